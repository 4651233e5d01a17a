"""Work of known duration for a GPU, to test what times it. Imports Triton only when a launch is made.

torch's own spin, `torch.cuda._sleep`, counts cycles of a clock that runs at anything from idle to boost, so its duration is known
only by the very events it would test. This one ends by the GPU's nanosecond timer, which does not depend on the clocks. To hold
a stream while the host queues work, where the duration need only be long enough, `_sleep` does: nothing of it has to be compiled.
"""

from __future__ import annotations

import torch

from dsabench.kernels.triton.launch import Launch

MOST_SPIN_S = 2.0
"""int32 nanoseconds; and a display's watchdog ends kernels that last longer."""


def spin_launch(seconds: float, elapsed: torch.Tensor) -> Launch:
    """The launch that spins for `seconds` and writes the nanoseconds it saw pass to elapsed int64 [1], see triton_spin.spin.
    Raises ValueError when `seconds` is not between 1e-6 and 2."""
    if not 1e-6 <= seconds <= MOST_SPIN_S:
        raise ValueError(f"a spin lasts between 1e-6 and {MOST_SPIN_S:g} seconds, not {seconds:g}")
    from dsabench.bench.gpu.triton_spin import spin

    arguments = {"elapsed_ptr": elapsed, "duration_ns": round(seconds * 1e9)}
    return Launch(spin, (1,), arguments, num_warps=1, num_stages=1)


class GpuSpin:
    """Queues spins on the current stream of `device`."""

    def __init__(self, device: torch.device) -> None:
        self._elapsed = torch.zeros(1, dtype=torch.int64, device=device)

    def __call__(self, seconds: float) -> None:
        spin_launch(seconds, self._elapsed).run()

    def elapsed_s(self) -> float:
        """Waits for the last spin; how long it lasted by the GPU's timer."""
        return float(self._elapsed.item()) * 1e-9
