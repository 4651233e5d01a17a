"""One launch of a TileLang program as data: it can be run, or compiled ahead for a GPU that is not here."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dsabench.kernels.cuda.source import Argument, Products
from dsabench.kernels.implementation import Config
from dsabench.kernels.op import Outputs

Constant = int | str | bool
NO_DESCRIPTORS: Mapping[str, Constant] = {"tl.disable_tma_lower": True, "tl.disable_warp_specialized": True}
"""TileLang's pass configs unless a launch says otherwise. A TMA descriptor is made by host code that reads pointers, and a launch here
passes pointers and scalars alone; the first keeps `T.copy` from storing by one, the second from loading by one in the producer
warps that TileLang splits off. A program that has warps of its own for loading says `T.copy(..., disable_tma=True)` instead."""


@dataclass(frozen=True)
class TileLangSource:
    """file: the program, a Python file beside the module that names it:
    `TileLangSource(Path(__file__).with_name("tilelang_program.py"), "logits")`. The file's name must stand there as a literal, by
    which `source_hash` finds it. It imports tilelang at its top and is itself imported only where a kernel must be lowered.
    entry: a function in it, `entry(**constants) -> tilelang PrimFunc` of one kernel.
    """

    file: Path
    entry: str


@dataclass(frozen=True)
class TileLangLaunch:
    """grid          blocks along up to three dimensions; checked against the `T.Kernel` of the program
    arguments     by name: every parameter of the PrimFunc, and each dynamic dimension (`T.dynamic("s_q")`) that the kernel reads.
                  Tensors have the buffer's dtype, shape and strides and begin at a multiple of 16 bytes, which TileLang's vector
                  loads rely on (None is a null pointer); scalars and dimensions are NumPy scalars of the declared type: np.int32 for
                  `T.dynamic("s_q")`, np.float32 for `T.float32`. Tensors may be on the meta device when the launch is only compiled
    constants     what `entry` is called with
    products      optional, for `inspect` alone: without it nothing is said of repeated or fallen-back products
    stages        buffers of the main loop's asynchronous copies, for the predicted time alone
    pass_configs  TileLang's (`tilelang.PassConfigKey`), over NO_DESCRIPTORS

    Threads of a block, dynamic shared memory, the kernel's name and the order of its parameters are the lowered function's.
    TileLang takes buffers for distinct: no two tensors of a launch may overlap where one is written.
    """

    source: TileLangSource
    grid: tuple[int, ...]
    arguments: Mapping[str, Argument]
    constants: Mapping[str, Constant] = field(default_factory=dict)
    products: Products | None = None
    stages: int = 1
    pass_configs: Mapping[str, Constant] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Raises ValueError: CuPy would launch one block where a dimension is 0."""
        if not 1 <= len(self.grid) <= 3 or min(self.grid) < 1:
            raise ValueError(
                f"{self.source.entry}: grid {self.grid} must have one to three dimensions and be at least 1 everywhere"
            )

    def run(self) -> None:
        """Lowers, compiles and loads the kernel where no earlier launch did, and queues it on torch's current stream."""
        from dsabench.kernels.tilelang.launching import launch

        launch(self)


TileLangPlan = Callable[[Any, Outputs, Config], Sequence[TileLangLaunch]]
"""plan(inputs, outputs, config) -> the launches of one call, in order; as `kernels.cuda.source.CudaPlan`."""
