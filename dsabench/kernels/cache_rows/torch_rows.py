"""How the eager implementations cut their rows."""

from __future__ import annotations

from dsabench.kernels.implementation import Config, ConfigValue, Tunable
from dsabench.kernels.op import Axes

ROWS_PER_CALL = Tunable(
    "ROWS_PER_CALL", (256, 1024, 4096, 16384, 65536), "rows at a time, which bounds the temporaries"
)


def default_config(axes: Axes) -> dict[str, ConfigValue]:
    return {ROWS_PER_CALL.name: 1024}


def constraint(config: Config, axes: Axes) -> str | None:
    step = int(config[ROWS_PER_CALL.name])
    if step > 1024 and step >= 4 * axes["s_kv"]:
        return f"ROWS_PER_CALL = {step} is more than the {axes['s_kv']} rows need"
    return None
