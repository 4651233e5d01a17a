"""What the CUDA C++ kernels of the caches' rows have in common: tunables, launch, and the constants of the layouts."""

from __future__ import annotations

import numpy as np
import torch

from dsabench.kernels.cuda.source import Argument, CudaLaunch, CudaSource
from dsabench.kernels.fp8 import AMAX_FLOOR, E4M3_MAX
from dsabench.kernels.implementation import Config, ConfigValue, Tunable
from dsabench.kernels.kv_cache import GROUP, LATENT, ROPE, ROPE_OFFSET, SCALE_OFFSET, TOKEN_BYTES
from dsabench.kernels.op import Axes

SMS = 132
"""of an H100, H200 and H800 SXM"""
TUNABLES = (
    Tunable("THREADS", (128, 256, 512), "threads of a block", recompiles=True),
    Tunable("ROWS_A_WARP", (1, 2), "rows whose loads a warp has in flight together", recompiles=True),
    Tunable(
        "VALUES", (8, 16), "neighbouring numbers of a lane: bytes of its loads or stores of codes", recompiles=True
    ),
)
FORMULA = {"E4M3_MAX": int(E4M3_MAX), "AMAX_FLOOR_BITS": int(np.float32(AMAX_FLOOR).view(np.uint32))}
"""Of a scale."""
TOKEN = {
    "LATENT": LATENT,
    "ROPE": ROPE,
    "GROUP": GROUP,
    "SCALE_OFFSET": SCALE_OFFSET,
    "ROPE_OFFSET": ROPE_OFFSET,
    "TOKEN_BYTES": TOKEN_BYTES,
}
"""The 656-byte token, see `kernels.kv_cache`."""


def launch_rows(
    source: CudaSource,
    config: Config,
    tensors: tuple[Argument, torch.Tensor, Argument],
    capacity: int,
    constants: dict[str, int],
    warp_rows: int = 1,
) -> CudaLaunch:
    """One launch over all rows. tensors: what is read, the slots, what is written; warp_rows: rows that a warp takes at a time."""
    slots = tensors[1]
    rows = slots.shape[0]
    block_rows = int(config["THREADS"]) // 32 * int(config["ROWS_A_WARP"]) * warp_rows
    return CudaLaunch(
        source,
        grid=(-(-rows // block_rows),),
        block=(int(config["THREADS"]),),
        arguments=(*tensors, np.int32(rows), np.int64(capacity)),
        constants={
            **{name: int(value) for name, value in config.items()},
            "SLOT_BYTES": slots.element_size(),
            **constants,
        },
    )


def default_config(axes: Axes) -> dict[str, ConfigValue]:
    """A row a warp, 8 warps a block, 16-byte accesses to codes."""
    return {"THREADS": 256, "ROWS_A_WARP": 1, "VALUES": 16}


def constraint(config: Config, axes: Axes) -> str | None:
    """Rows a warp are for hiding latency, which fewer warps than the SMs' schedulers hide worse."""
    rows = int(config["ROWS_A_WARP"])
    if rows > 1 and axes["s_kv"] < 4 * SMS * rows:
        return f"ROWS_A_WARP = {rows} of {axes['s_kv']} rows leaves schedulers of {SMS} SMs without a warp"
    return None
