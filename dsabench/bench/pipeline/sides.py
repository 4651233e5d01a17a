"""What a side of the comparison is: steps on buffers that were allocated once, run without the library's overhead."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from dsabench.bench.records import ConfigValues
from dsabench.kernels.dispatch import choose
from dsabench.kernels.implementation import Config, Implementation
from dsabench.kernels.op import Op, Outputs
from dsabench.kernels.registry import get_op


@dataclass(frozen=True)
class Step:
    """One call of one stage. stage: `indexer`, `topk`, `slots` or `attention`."""

    stage: str
    impl: str
    config: ConfigValues
    run: Callable[[], None]


@dataclass(frozen=True, eq=False)
class KernelCall:
    """An op's implementation with its config, on inputs and outputs that stay where they are."""

    op: Op
    implementation: Implementation
    config: ConfigValues
    inputs: Any
    outputs: Outputs

    def run(self) -> None:
        self.implementation.run(self.inputs, self.outputs, self.config)

    def step(self, stage: str) -> Step:
        return Step(stage, self.implementation.name, self.config, self.run)


def tuned_call(
    op: str, inputs: Any, outputs: Outputs, impl: str | None = None, config: Config | None = None
) -> KernelCall:
    """With the implementation and config that a library call would take (see `kernels.dispatch.choose`, and what it raises)."""
    contract = get_op(op)
    implementation, full = choose(op, contract.axes_of(inputs), outputs[0].device, impl, config)
    return KernelCall(contract, implementation, full, inputs, outputs)


class Side:
    """attention: the call that writes the outputs; steps: all that one run does, in order; buffers: what was allocated for it once,
    outputs among them; constants: dataclasses of the tensors that no step may change; kv_bytes_per_token: of the caches that live
    on between calls, one layer."""

    def __init__(
        self,
        name: str,
        attention: KernelCall,
        steps: Sequence[Step],
        buffers: Sequence[torch.Tensor],
        constants: Sequence[Any],
        kv_bytes_per_token: int,
    ) -> None:
        self.name = name
        self.attention = attention
        self.steps = tuple(steps)
        self.buffers = tuple(buffers)
        self.constants = tuple(constants)
        self.kv_bytes_per_token = kv_bytes_per_token
        self._calls = tuple(step.run for step in steps)

    @property
    def chunks(self) -> int:
        """Pieces the queries are cut into."""
        return 1

    @property
    def buffer_bytes(self) -> int:
        return sum(buffer.numel() * buffer.element_size() for buffer in self.buffers)

    def run(self) -> None:
        """The whole, once."""
        for call in self._calls:
            call()
