"""The config an implementation is compared with: what the library would run it with on this device."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from dsabench.autotune.table import TableError
from dsabench.kernels.implementation import ConfigValue, Implementation
from dsabench.kernels.tuned_table import nearest_entries
from dsabench.kernels.workload import Workload


@dataclass(frozen=True)
class Choice:
    """tuned_for: the axes it was tuned at, the nearest that the tables know; None: the stated default."""

    config: dict[str, ConfigValue]
    tuned_for: Mapping[str, int] | None


def choose_config(device_key: str, workload: Workload, implementation: Implementation) -> Choice:
    """As `kernels.dispatch` chooses it. Raises TableError when a tuned table cannot be read."""
    axes = workload.axis_values
    try:
        entry = nearest_entries(device_key, workload.op, axes).get(implementation.name)
    except ValueError as error:
        raise TableError(str(error)) from error
    if entry is not None and implementation.constraint(entry.config, axes) is None:
        return Choice(dict(entry.config), dict(entry.axes))
    return Choice(implementation.default_config(axes), None)
