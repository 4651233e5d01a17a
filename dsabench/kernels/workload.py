"""A workload: an op with every axis given a value, an input distribution and a seed."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import Any

import torch

from dsabench.kernels.op import format_size
from dsabench.kernels.registry import get_op


@dataclass(frozen=True)
class Workload:
    """Immutable and hashable; `axes` is a tuple of (name, value) in the op's order. Build with `Workload.of`."""

    op: str
    axes: tuple[tuple[str, int], ...]
    distribution: str
    seed: int

    @classmethod
    def of(cls, op: str, axes: dict[str, int], distribution: str = "normal", seed: int = 0) -> Workload:
        """Raises UnknownNameError or ValueError when the op, an axis, its value or the distribution is not known."""
        contract = get_op(op)
        contract.check_distribution(distribution)
        return cls(op, tuple(contract.complete_axes(axes).items()), distribution, seed)

    @property
    def axis_values(self) -> dict[str, int]:
        return dict(self.axes)

    @property
    def context(self) -> int:
        return self.axis_values[get_op(self.op).context_axis]

    @property
    def key(self) -> str:
        """Ten hex digits that name the workload in journals."""
        text = json.dumps([self.op, self.axes, self.distribution, self.seed])
        return hashlib.sha256(text.encode()).hexdigest()[:10]

    def label(self) -> str:
        """`s_q=64 s_kv=16k h=64`, for people."""
        words = " ".join(f"{name}={format_size(value)}" for name, value in self.axes)
        return words if self.distribution == "normal" else f"{words} ({self.distribution})"

    def make_inputs(self, device: torch.device | str = "cpu") -> Any:
        return get_op(self.op).make_inputs(self.axis_values, self.distribution, self.seed, torch.device(device))


def sample_rows(total: int, row_flops: float, seed: int, flop_budget: float = 4e9, least: int = 4) -> torch.Tensor:
    """The rows the reference computes: all of them when they fit `flop_budget` float64 FLOPs, else a seeded sample.

    Returns a sorted int64 tensor. The first and the last row are always in it: edges break first. 4e9 FLOPs take
    about 0.2 s on two cores, so a 128K workload is checked in seconds.
    """
    count = min(total, max(least, int(flop_budget / max(row_flops, 1.0))))
    if count >= total:
        return torch.arange(total)
    generator = torch.Generator().manual_seed(seed ^ 0x5EED)
    inner = torch.randperm(total - 2, generator=generator)[: count - 2] + 1
    return torch.cat([torch.tensor([0, total - 1]), inner]).sort().values
