import pytest
import torch

from dsabench.bench.gpu.spin import spin_launch


def test_a_spin_is_asked_for_in_nanoseconds() -> None:
    elapsed = torch.zeros(1, dtype=torch.int64)
    launch = spin_launch(0.2e-3, elapsed)
    assert launch.grid == (1,)
    assert launch.arguments["duration_ns"] == 200_000
    assert launch.arguments["elapsed_ptr"] is elapsed


@pytest.mark.parametrize("seconds", [0.0, -1.0, 2.1, float("nan")])
def test_durations_that_no_spin_has_are_refused(seconds: float) -> None:
    with pytest.raises(ValueError, match="between 1e-6 and 2 seconds"):
        spin_launch(seconds, torch.zeros(1, dtype=torch.int64))
