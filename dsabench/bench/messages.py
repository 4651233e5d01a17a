"""What a worker says besides its results. Imports nothing of ours: a worker whose kernels cannot be imported can still say so."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Stage:
    """A worker's sign of life: what it does now. In a comparison `entry` is the one that runs."""

    text: str
    entry: int = -1


@dataclass(frozen=True)
class Ready:
    """A worker's first message: modules and plugins are loaded."""


@dataclass(frozen=True)
class Failure:
    """A job that raised where no kernel is to blame (inputs that do not fit, a reference that fails)."""

    reason: str
    trace: str
    out_of_memory: bool
