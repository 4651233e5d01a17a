"""What passes between the inspector and its workers; small, picklable, no Triton objects."""

from __future__ import annotations

from dataclasses import dataclass

from dsabench.autotune.inspect.products import Dot
from dsabench.autotune.inspect.resources import PtxasLog, Resources
from dsabench.autotune.inspect.sass import Code
from dsabench.bench.inspection_records import ConfigId, Outcome


@dataclass(frozen=True)
class PlanJob:
    """Find the launches of a config. Result: a tuple of PlannedLaunch."""

    config: ConfigId


@dataclass(frozen=True)
class PlannedLaunch:
    """key: the entry of Triton's cache that a launch looks up (see `bench.gpu.compile_cache`), and with it all that decides the
    machine code: kernel source, signature, constants, attributes, options, compiler's environment."""

    key: str
    kernel: str
    grid: tuple[int, ...]


@dataclass(frozen=True)
class CompileJob:
    """Compile launch number `launch` of a config. Result: Compiled."""

    config: ConfigId
    launch: int
    key: str


@dataclass(frozen=True)
class Compiled:
    """A kernel's facts but for its SASS. machine_code: the raw instructions; source_dots, laid_out_dots: of the TTIR and TTGIR."""

    kernel: str
    num_warps: int
    num_stages: int
    ptx: str
    shared_bytes: int
    resources: Resources
    log: PtxasLog
    machine_code: bytes
    source_dots: tuple[Dot, ...]
    laid_out_dots: tuple[Dot, ...]
    compile_s: float


@dataclass(frozen=True)
class DisassembleJob:
    """Read the machine code of several kernels in one go. Result: a tuple of sass.Code. keys: of their launches."""

    keys: tuple[str, ...]
    machine_codes: tuple[bytes, ...]


Job = PlanJob | CompileJob | DisassembleJob
Result = tuple[PlannedLaunch, ...] | Compiled | tuple[Code, ...]


@dataclass(frozen=True)
class JobFailed:
    """outcome: any but COMPILED; reason: one line; output: the end of what the job printed."""

    outcome: Outcome
    reason: str
    output: str = ""


class Ready:
    """A worker's first message: its modules are loaded."""
