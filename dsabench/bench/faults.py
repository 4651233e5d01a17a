"""What an exception of a kernel's launcher means for its trial."""

from __future__ import annotations

from dataclasses import dataclass

from dsabench.bench.records import Status
from dsabench.kernels.plugin import WrongOutputsError


@dataclass(frozen=True)
class Fault:
    """lost: the process can run nothing more on its device and must be replaced."""

    status: Status
    reason: str
    lost: bool = False


def python_fault(error: BaseException) -> Fault:
    """By what Python knows of it: exhausted memory, a compiler's error, or any other."""
    if isinstance(error, WrongOutputsError):
        return Fault(Status.INCORRECT, str(error))
    kind = type(error)
    first = next(iter(str(error).strip().splitlines()), "")
    reason = f"{kind.__name__}: {first}" if first else kind.__name__
    # torch's CPU allocator reports exhaustion as a plain RuntimeError.
    exhausted = isinstance(error, RuntimeError) and "can't allocate memory" in str(error)
    if isinstance(error, MemoryError) or kind.__name__ == "OutOfMemoryError" or exhausted:
        return Fault(Status.OUT_OF_MEMORY, reason)
    if kind.__module__.split(".")[0] in ("numba", "triton") or "compil" in kind.__name__.lower():
        return Fault(Status.COMPILE_ERROR, reason)
    return Fault(Status.LAUNCH_ERROR, reason)
