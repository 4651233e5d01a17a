"""What a CUDA error means for its trial, and whether the process that got it can go on."""

from __future__ import annotations

from dsabench.bench.faults import Fault, python_fault
from dsabench.bench.records import Status

_CONTEXT_LOST = (
    "illegal memory access",
    "misaligned address",
    "illegal instruction",
    "illegal address",
    "invalid program counter",
    "hardware stack error",
    "device-side assert",
    "unspecified launch failure",
    "launch timed out",
    "uncorrectable",
    "mmu fault",
    "cluster target block not present",
)
"""Errors after which every further call of the process fails with the same error (CUDA driver API, `CUresult`)."""
_REFUSED = (
    "invalid configuration",
    "too many resources",
    "invalid argument",
    "out of resource",
    "invalid device function",
)


def cuda_fault(error: BaseException) -> Fault:
    """An error that ends the CUDA context is CRASHED: the kernel ran and brought its context down; one that the driver or Triton
    refuses to launch is a LAUNCH_ERROR. After exhausted memory the process is replaced too: what its allocator keeps and how it is
    cut up would decide the next trial."""
    found = python_fault(error)
    text = f"{type(error).__name__}: {error}".lower()
    if any(sign in text for sign in _CONTEXT_LOST):
        return Fault(Status.CRASHED, found.reason, lost=True)
    if type(error).__name__ == "OutOfResources" or any(sign in text for sign in _REFUSED):
        return Fault(
            Status.LAUNCH_ERROR, found.reason
        )  # Triton's: registers, shared memory or threads beyond the chip's
    if found.status is Status.OUT_OF_MEMORY or "out of memory" in text:
        return Fault(Status.OUT_OF_MEMORY, found.reason, lost=True)
    if "cuda error" in text or "cuda_error_" in text or type(error).__name__ == "AcceleratorError":
        return Fault(found.status, found.reason, lost=True)  # unknown: better a fresh process than a poisoned one
    return found
