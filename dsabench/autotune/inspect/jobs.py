"""What passes between the inspector and its workers; small, picklable, no compiler's objects."""

from __future__ import annotations

from dataclasses import dataclass

from dsabench.autotune.inspect.products import SourceProducts
from dsabench.autotune.inspect.resources import PtxasLog, Resources
from dsabench.autotune.inspect.sass import Code
from dsabench.bench.inspection_records import ConfigId, Outcome


@dataclass(frozen=True)
class PlanJob:
    """Find the launches of a config. Result: a tuple of PlannedLaunch."""

    config: ConfigId


@dataclass(frozen=True)
class PlannedLaunch:
    """key: of all that decides its facts: kernel source, signature, constants, attributes, options, compiler's environment.
    language: a name of `languages.LANGUAGES`; entry: what a launch looks up in its language's cache of machine code."""

    key: str
    kernel: str
    grid: tuple[int, ...]
    language: str
    entry: str


@dataclass(frozen=True)
class CompileJob:
    """Compile launch number `launch` of a config. Result: Compiled."""

    config: ConfigId
    launch: int
    key: str


@dataclass(frozen=True)
class Compiled:
    """A kernel's facts but for its SASS. machine_code: the raw instructions; products: None where the compiler or the author says
    nothing of them."""

    kernel: str
    num_warps: int
    num_stages: int
    ptx: str
    shared_bytes: int
    resources: Resources
    log: PtxasLog
    machine_code: bytes
    products: SourceProducts | None
    compile_s: float


@dataclass(frozen=True)
class DisassembleJob:
    """Read the machine code of several kernels in one go. Result: a tuple of sass.Code. keys: of their launches."""

    keys: tuple[str, ...]
    machine_codes: tuple[bytes, ...]


@dataclass(frozen=True)
class CompilerMissing:
    """Result of any job of a launch whose language has no compiler here. reason: one line, with what would bring it."""

    reason: str


Job = PlanJob | CompileJob | DisassembleJob
Result = tuple[PlannedLaunch, ...] | Compiled | tuple[Code, ...] | CompilerMissing


@dataclass(frozen=True)
class JobFailed:
    """outcome: any but COMPILED; reason: one line; output: the end of what the job printed."""

    outcome: Outcome
    reason: str
    output: str = ""


class Ready:
    """A worker's first message: its modules are loaded."""
