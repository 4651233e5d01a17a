"""One launch of a CUDA C++ kernel as data: it can be run, or compiled ahead for a GPU that is not here."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from dsabench.kernels.implementation import Config
from dsabench.kernels.op import Outputs

Argument = torch.Tensor | None | np.number[Any]
MAX_CLUSTER = 16
"""on Hopper; more than 8 is not portable, and may find no GPC with room"""


@dataclass(frozen=True)
class CudaSource:
    """file: the .cu file, beside the module that names it: `CudaSource(Path(__file__).with_name("radix.cu"), "select")`. The file's
    name must stand there as a literal, by which `source_hash` finds it. entry: an `extern "C" __global__` function in it.

    Included files are named in quotes and found beside the file that includes them or in `kernels/cuda/include`. NVRTC has no
    standard headers: fixed-width types come from `types.cuh`.
    """

    file: Path
    entry: str


@dataclass(frozen=True)
class Products:
    """What the author says of a kernel's tensor-core products, from which `inspect` tells repeated from useful work: of one trip of
    the machine code's main loop (`#pragma unroll 1` makes it the source's) of one block.

    useful_flops: the sum of 2·M·N·K; fp8_useful_flops: those with fp8 operands; warps: of a block, that issue these products.

    Where other warps run loops of their own beside that loop, for the predicted time alone: tile_flops: useful_flops and what the
    other consumers' loops add to it, 0: nothing; producers: warps that only fetch. The rest of the block's warps run the other
    loops with products. Machine code tells these loops apart, and not who runs them.

    rows: of the op (heads, queries) for which a tile's keys are fetched once, 0: the config's, or all of them."""

    useful_flops: int
    warps: int
    fp8_useful_flops: int = 0
    tile_flops: int = 0
    producers: int = 0
    rows: int = 0


@dataclass(frozen=True)
class CudaLaunch:
    """grid          blocks along up to three dimensions
    block         threads along up to three dimensions
    arguments     in the order of the kernel's parameters: tensors (their pointer; None is a null pointer) and NumPy scalars, whose
                  type is the parameter's: np.int32, np.int64, np.uint32, np.float32 …; tensors may be on the meta device when the
                  launch is only compiled
    constants     macros: {"BLOCK": 512} is `#define BLOCK 512`; a bool is 1 or 0
    cluster       blocks of a cluster along x: the source gets it as the macro CLUSTER and must declare
                  `__cluster_dims__(CLUSTER, 1, 1)`; the grid's first dimension is a multiple of it
    shared_bytes  dynamic shared memory (`extern __shared__`), beside what the source declares
    products      optional, for `inspect` alone: without it nothing is said of repeated or fallen-back products
    stages        buffers of the main loop's asynchronous copies, for the predicted time alone
    """

    source: CudaSource
    grid: tuple[int, ...]
    block: tuple[int, ...]
    arguments: Sequence[Argument]
    constants: Mapping[str, int] = field(default_factory=dict)
    cluster: int | None = None
    shared_bytes: int = 0
    products: Products | None = None
    stages: int = 1

    def __post_init__(self) -> None:
        """Raises ValueError: CuPy would launch one block where a dimension is 0."""
        if min(self.grid) < 1 or min(self.block) < 1:
            raise ValueError(
                f"{self.source.entry}: grid {self.grid} and block {self.block} must be at least 1 everywhere"
            )
        if self.cluster is not None and (not 1 <= self.cluster <= MAX_CLUSTER or self.grid[0] % self.cluster):
            raise ValueError(
                f"{self.source.entry}: a cluster has 1 to {MAX_CLUSTER} blocks and divides the grid's first dimension, got "
                f"{self.cluster} and {self.grid[0]}"
            )

    def run(self) -> None:
        """Compiles and loads the kernel where no earlier launch did, and queues it on torch's current stream."""
        from dsabench.kernels.cuda.launching import launch

        launch(self)


CudaPlan = Callable[[Any, Outputs, Config], Sequence[CudaLaunch]]
"""plan(inputs, outputs, config) -> the launches of one call, in order. Looks at shapes and scalars only, never at data: a
copy from the GPU would stall it, and tensors on the meta device have none. Workspaces are allocated on the inputs' device."""


def runner(plan: Callable[[Any, Outputs, Config], Sequence[Any]]) -> Callable[[Any, Outputs, Config], None]:
    """An `Implementation.run` that launches what `plan` plans: a CudaPlan, or one of another language's launches."""

    def run(inputs: Any, outputs: Outputs, config: Config) -> None:
        for launch in plan(inputs, outputs, config):
            launch.run()

    return run
