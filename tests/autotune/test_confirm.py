from __future__ import annotations

import numpy as np
import pytest

from dsabench.autotune.confirm import Entry, comparison, contenders, with_duplicate
from dsabench.bench.effort import QUICK
from dsabench.bench.records import Status, Timing, Trial, WorkloadId

WORKLOAD = WorkloadId(key="0123456789", op="topk_select", axes={"rows": 1}, distribution="normal", seed=0)


def trial(impl: str, n: int, median: float, *, status=Status.PASSED, rung=0, default=False, low=None) -> Trial:
    timing = Timing(
        median_s=median, low_s=low or median * 0.99, high_s=median * 1.01, confidence=0.95, min_s=median, p10_s=median,
        p90_s=median, n=6, calls_per_sample=1, warmup_calls=1, input_copies=1, clock="wall", stopped_by="interval",
        samples_s=[median] * 6,
    )  # fmt: skip
    return Trial(
        number=1, op="topk_select", impl=impl, workload=WORKLOAD, config={"N": n}, is_default=default, source="s", rung=rung,
        status=status, reason="" if status is Status.PASSED else "no", describe="", compile_s=0.1, check=None,
        timing=timing if status is Status.PASSED else None, roofline_fraction=0.5, peak_extra_bytes=None, started="now",
        duration_s=1.0,
    )  # fmt: skip


def chosen(entries: list[Entry]) -> list[tuple[str, int]]:
    return [(e.impl, e.config["N"]) for e in entries]


def test_the_best_three_near_the_best_and_every_default_are_contenders():
    cpu = [trial("cpu", n, 1.0 + 0.04 * n, default=n == 7) for n in range(9)]
    torch = [trial("torch", 0, 9.0, default=True), trial("torch", 1, 5.0)]
    found = contenders({"cpu": cpu, "torch": torch}, ["cpu"], QUICK)
    assert chosen(found) == [("cpu", 0), ("cpu", 1), ("cpu", 2), ("cpu", 7), ("torch", 0)]
    assert [e.is_default for e in found] == [False, False, False, True, True]


def test_what_is_far_behind_is_no_contender_unless_its_interval_reaches():
    trials = [trial("cpu", 0, 1.0, default=True), trial("cpu", 1, 1.3), trial("cpu", 2, 1.3, low=1.1)]
    assert chosen(contenders({"cpu": trials}, ["cpu"], QUICK)) == [("cpu", 0), ("cpu", 2)]


def test_the_trial_of_the_most_effort_speaks_for_a_config():
    trials = [
        trial("cpu", 0, 1.0, rung=1),
        trial("cpu", 0, 2.0, rung=2),
        trial("cpu", 0, 3.0, rung=0),
        trial("cpu", 1, 2.9),
    ]
    assert [(e.config["N"], e.median_s) for e in contenders({"cpu": trials}, ["cpu"], QUICK)] == [(1, 2.9), (0, 3.0)]


def test_what_did_not_pass_is_no_contender():
    trials = [trial("cpu", 0, 1.0, status=Status.INCORRECT, default=True), trial("cpu", 1, 2.0)]
    assert chosen(contenders({"cpu": trials}, ["cpu"], QUICK)) == [("cpu", 1)]


def rounds(median: float, n: int = 21, seed: int = 0, noise: float = 0.004) -> list[float]:
    return (median * np.random.default_rng(seed).lognormal(0.0, noise, n)).tolist()


def compare(*given: tuple[str, float, bool], noise: float = 0.004):
    entries = [Entry(impl, {"N": i}, default, median) for i, (impl, median, default) in enumerate(given)]
    doubled = with_duplicate(entries)
    twin = entries.index(doubled[-1])
    measured = [rounds(e.median_s, seed=i, noise=noise) for i, e in enumerate(doubled)]
    return comparison(WORKLOAD, entries, measured[:-1], measured[-1], twin, 0.5, 0, "now", 1.0)


def test_a_clear_winner_is_named_with_its_ratios():
    found = compare(("cpu", 1.0, False), ("cpu", 1.5, True), ("cpu", 1.2, False), ("torch", 4.0, True))
    won = found.winners["cpu"]
    assert (won.winner, won.default, won.ties) == (0, 1, [])
    assert won.speedup_over_default.ratio == pytest.approx(1.5, rel=0.02)
    assert won.speedup_over_default.low < 1.5 < won.speedup_over_default.high
    assert won.speedup_over_torch.ratio == pytest.approx(4.0, rel=0.02)
    assert found.winners["torch"].speedup_over_torch.ratio == 1.0
    assert (found.best_impl, found.best_is_tie) == ("cpu", False)
    assert found.candidates[0].roofline_fraction == pytest.approx(0.5, rel=0.02)
    assert len(found.candidates) == 4, "the duplicate stays hidden"


def test_configs_within_the_noise_are_ties():
    found = compare(("cpu", 1.0, False), ("cpu", 1.002, False), ("cpu", 1.5, True), noise=0.02)
    won = found.winners["cpu"]
    assert {won.winner, *won.ties} == {0, 1}
    assert 0.002 < found.noise < 0.1


def test_a_default_that_nobody_beats_beyond_the_noise_stays_the_winner():
    found = compare(("cpu", 1.0, False), ("cpu", 1.001, True), noise=0.02)
    won = found.winners["cpu"]
    assert (won.winner, won.ties) == (1, [0])
    assert (won.speedup_over_default.ratio, won.speedup_over_default.low, won.speedup_over_default.high) == (
        1.0,
        1.0,
        1.0,
    )


def test_implementations_that_tie_say_so():
    assert compare(("cpu", 1.0, True), ("torch", 1.001, True), noise=0.02).best_is_tie


def test_a_default_that_did_not_pass_leaves_no_ratio():
    won = compare(("cpu", 1.0, False), ("torch", 2.0, True)).winners["cpu"]
    assert won.default is None
    assert won.speedup_over_default is None
    assert won.speedup_over_torch is not None
