"""One launch of a Triton kernel as data: it can be run, or compiled ahead for a GPU that is not here."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from dsabench.kernels.implementation import Config
from dsabench.kernels.op import Outputs


@dataclass(frozen=True)
class Launch:
    """kernel     a function decorated with triton.jit
    grid       programs along up to three dimensions
    arguments  every parameter of the kernel by name, constexprs too; tensors may be on the meta device when the launch is
               only compiled
    num_warps, num_stages   Triton's compile options
    """

    kernel: Any
    grid: tuple[int, ...]
    arguments: Mapping[str, Any]
    num_warps: int
    num_stages: int

    def run(self) -> None:
        self.kernel[self.grid](**self.arguments, num_warps=self.num_warps, num_stages=self.num_stages)


Plan = Callable[[Any, Outputs, Config], Sequence[Launch]]
"""plan(inputs, outputs, config) -> the launches of one call, in order. Looks at shapes and scalars only, never at data: a
copy from the GPU would stall it, and tensors on the meta device have none. Workspaces are allocated on the inputs' device."""


def runner(plan: Plan) -> Callable[[Any, Outputs, Config], None]:
    """An `Implementation.run` that launches what `plan` plans."""

    def run(inputs: Any, outputs: Outputs, config: Config) -> None:
        for launch in plan(inputs, outputs, config):
            launch.run()

    return run
