import pytest

from dsabench.bench.gpu.faults import cuda_fault
from dsabench.bench.records import Status


class AcceleratorError(RuntimeError):
    """As torch names it."""


class OutOfMemoryError(RuntimeError):
    """As torch names it."""


class OutOfResources(Exception):  # noqa: N818 - as Triton names it
    pass


@pytest.mark.parametrize(
    ("error", "status", "lost"),
    [
        (
            AcceleratorError("CUDA error: an illegal memory access was encountered\nCompile with ..."),
            Status.CRASHED,
            True,
        ),
        (RuntimeError("Triton Error [CUDA]: an illegal memory access was encountered"), Status.CRASHED, True),
        (RuntimeError("CUDA error: unspecified launch failure"), Status.CRASHED, True),
        (RuntimeError("CUDA error: misaligned address"), Status.CRASHED, True),
        (OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB"), Status.OUT_OF_MEMORY, True),
        (RuntimeError("Triton Error [CUDA]: out of memory"), Status.OUT_OF_MEMORY, True),
        (
            OutOfResources("out of resource: shared memory, Required: 270336, Hardware limit: 232448"),
            Status.LAUNCH_ERROR,
            False,
        ),
        (RuntimeError("CUDA error: invalid configuration argument"), Status.LAUNCH_ERROR, False),
        (AcceleratorError("CUDA error: something new"), Status.LAUNCH_ERROR, True),
        (RuntimeError("CUDA_ERROR_ILLEGAL_ADDRESS: an illegal memory access was encountered"), Status.CRASHED, True),
        (RuntimeError("CUDA_ERROR_INVALID_VALUE: invalid argument"), Status.LAUNCH_ERROR, False),
        (RuntimeError("CUDA_ERROR_SOMETHING: something new"), Status.LAUNCH_ERROR, True),  # CuPy's words
        (ValueError("a kernel's own complaint"), Status.LAUNCH_ERROR, False),
    ],
)
def test_an_error_ends_as_a_status_and_says_whether_the_process_is_lost(error, status, lost) -> None:
    fault = cuda_fault(error)
    assert (fault.status, fault.lost) == (status, lost)
    assert "\n" not in fault.reason
    assert str(error).splitlines()[0] in fault.reason
