"""When a row is settled, and what it is then."""

from __future__ import annotations

import pytest

from dsabench.bench.gate.estimate import Pass
from dsabench.bench.gate.judging import LEAST_PASSES, Measured, judge
from dsabench.bench.gate.pairing import OfferPair
from dsabench.bench.gate.records import RowVerdict
from dsabench.bench.gate.trio import RowFault
from dsabench.bench.jobs import Offer
from dsabench.kernels.workload import Workload

OFFER = Offer(Workload.of("topk_select", {"rows": 1, "s_kv": 256, "k": 64}), "mine", {}, "")
QUIET = 1e-6
"""typical variance: 0.1 % between processes"""


def measured(*changes: float, faults: tuple[RowFault, ...] = ()) -> Measured:
    """A row whose passes found these changes, to within 0.1 %."""
    return Measured(
        OfferPair(OFFER, OFFER), [Pass((1.0,) * 9, (1.001,) * 9, (1.0 + c,) * 9) for c in changes], list(faults)
    )


@pytest.mark.parametrize(
    ("changes", "verdict", "settled"),
    [
        ((0.0, 0.001), RowVerdict.SAME, True),
        ((0.02, 0.021), RowVerdict.SAME, True),
        ((-0.08, -0.081), RowVerdict.FASTER, True),
        ((0.06,), RowVerdict.UNCLEAR, False),
        ((0.0,), RowVerdict.UNCLEAR, False),
        ((0.06, 0.061), RowVerdict.UNCLEAR, False),
        ((0.06, 0.061, 0.06), RowVerdict.UNCLEAR, False),
        ((0.06, 0.061, 0.06, 0.06), RowVerdict.SLOWER, True),
    ],
)
def test_a_row_is_slower_only_when_it_was_measured_again(changes, verdict, settled):
    found = judge(measured(*changes), QUIET, 0.03)
    assert (found.verdict, found.settled) == (verdict, settled)


def test_what_was_chosen_for_being_slow_and_is_not_when_measured_again_is_no_regression():
    found = judge(measured(0.30, 0.30, 0.001, 0.001), 1e-8, 0.03)
    assert found.verdict is RowVerdict.UNCLEAR
    assert not found.settled


def test_the_threshold_is_the_greater_of_effect_and_noise():
    row = measured(0.06, 0.061, 0.06, 0.06)
    assert judge(row, QUIET, 0.03).threshold == 0.03
    assert judge(row, QUIET, 0.10).verdict is RowVerdict.SAME
    noisy = judge(row, 4e-3, 0.03)
    assert noisy.threshold is not None
    assert noisy.threshold > 0.06
    assert noisy.verdict is RowVerdict.UNCLEAR


def test_a_row_too_noisy_to_fail_is_unclear_and_measured_again():
    found = judge(measured(*([0.0] * 6)), 0.1, 0.03)
    assert found.verdict is RowVerdict.UNCLEAR
    assert not found.settled
    assert "cannot be seen" in found.reason


@pytest.mark.parametrize(
    ("side", "verdict"),
    [("candidate", RowVerdict.BROKEN), ("baseline", RowVerdict.MENDED), ("gate", RowVerdict.INVALID)],
)
def test_a_fault_counts_when_it_happens_again(side, verdict):
    fault = RowFault(side, "CRASHED: signal 11")
    twice = judge(measured(faults=(fault, fault)), QUIET, 0.03)
    assert (twice.verdict, twice.settled) == (verdict, True)
    assert "signal 11" in twice.reason
    once = judge(measured(faults=(fault,)), QUIET, 0.03)
    assert not once.settled
    assert once.verdict is (RowVerdict.INVALID if side == "gate" else RowVerdict.UNCLEAR)


def test_a_kernel_that_fails_now_and_then_is_neither_broken_nor_the_same():
    fault = RowFault("candidate", "TIMEOUT: no answer")
    found = judge(measured(*([0.0] * LEAST_PASSES), faults=(fault, fault)), QUIET, 0.03)
    assert found.verdict is RowVerdict.UNCLEAR
    assert "failed in 2 of 4 passes" in found.reason


def test_a_row_that_was_not_reached_is_invalid():
    found = judge(measured(), QUIET, 0.03)
    assert found.verdict is RowVerdict.INVALID
    assert "budget" in found.reason
