from __future__ import annotations

import pytest

from dsabench.autotune.search import Rung, Search, TrialCost, full_effort, halving_rungs, plan_rungs, search_order

CHEAP = TrialCost(fixed=0.0, timing=1.0)


@pytest.mark.parametrize(
    ("count", "rungs"),
    [
        (1, [(0, 1, 1.0)]),
        (2, [(0, 2, 1.0)]),
        (3, [(1, 3, 1 / 3), (0, 1, 1.0)]),
        (8, [(1, 8, 1 / 3), (0, 3, 1.0)]),
        (9, [(1, 9, 1 / 9), (2, 3, 1 / 3), (0, 1, 1.0)]),
        (27, [(1, 27, 1 / 9), (2, 9, 1 / 3), (0, 3, 1.0)]),
        (100, [(1, 100, 1 / 9), (2, 34, 1 / 3), (0, 12, 1.0)]),
    ],
)
def test_each_rung_keeps_the_best_third_at_three_times_the_effort(count, rungs):
    found = halving_rungs(count)
    assert [(r.number, r.count) for r in found] == [(number, n) for number, n, _ in rungs]
    assert [r.fraction for r in found] == pytest.approx([fraction for _, _, fraction in rungs])


def test_halving_27_configs_costs_a_third_of_trying_all_at_full_effort():
    assert CHEAP.of(full_effort(27)) == pytest.approx(27)
    assert CHEAP.of(halving_rungs(27)) == pytest.approx(27 / 9 + 9 / 3 + 3)


def test_auto_is_exhaustive_where_all_fits_and_halving_where_not():
    assert plan_rungs("auto", 27, CHEAP, 27.0) == [Rung(0, 27, 1.0)]
    assert plan_rungs("auto", 27, CHEAP, 26.0) == halving_rungs(27)


def test_halving_starts_with_as_many_configs_as_fit():
    rungs = plan_rungs("halving", 1000, TrialCost(fixed=0.5, timing=1.0), 20.0)
    assert TrialCost(0.5, 1.0).of(rungs) <= 20.0
    assert TrialCost(0.5, 1.0).of(halving_rungs(rungs[0].count + 1)) > 20.0
    assert rungs[0].count > 9


def test_no_time_plans_nothing():
    assert plan_rungs("halving", 10, CHEAP, 0.0) == []
    assert plan_rungs("auto", 0, CHEAP, 10.0) == [Rung(0, 0, 1.0)]


CONFIGS = [{"N": n} for n in range(27)]


def searched(strategy, seed: str, seconds: float) -> Search:
    return Search(search_order(CONFIGS, strategy, seed), strategy, CHEAP, seconds)


def run(search: Search, times) -> list[tuple[int, int]]:
    proposed = []
    while proposal := search.propose():
        config, rung = proposal
        proposed.append((config["N"], rung.number))
        search.tell(config, times(config["N"]))
    return proposed


def test_halving_finds_the_fastest_and_measures_it_at_full_effort():
    proposed = run(searched("halving", "seed", 1e9), lambda n: abs(n - 13) + 1.0)
    by_rung = {r: [n for n, rung in proposed if rung == r] for r in (1, 2, 0)}
    assert sorted(by_rung[1]) == list(range(27))
    assert sorted(by_rung[2]) == list(range(9, 18))
    assert sorted(by_rung[0]) == [12, 13, 14]


def test_configs_that_fail_are_not_promoted():
    proposed = run(searched("halving", "seed", 1e9), lambda n: None if n < 25 else 1.0)
    assert sorted(n for n, rung in proposed if rung == 2) == [25, 26]
    assert sorted(n for n, rung in proposed if rung == 0) == [25, 26]


def test_when_all_fail_the_search_ends():
    assert len(run(searched("halving", "seed", 1e9), lambda n: None)) == 27


@pytest.mark.parametrize("strategy", ["random", "halving", "auto"])
def test_the_seed_alone_decides_the_order(strategy):
    first = run(searched(strategy, "7", 15.0), float)
    again = run(searched(strategy, "7", 15.0), float)
    other = run(searched(strategy, "8", 15.0), float)
    assert first == again
    assert first != other


def test_less_time_tries_a_prefix_of_the_same_order():
    short = run(searched("halving", "7", 3.0), float)
    long = run(searched("halving", "7", 9.0), float)
    tried = [n for n, rung in short if rung == short[0][1]]
    assert 0 < len(tried) < 27
    assert tried == [n for n, rung in long if rung == 1][: len(tried)]


def test_exhaustive_keeps_the_order_of_the_grid():
    search = searched("exhaustive", "7", 1.0)
    assert search.planned == 27
    assert run(search, float) == [(n, 0) for n in range(27)]


def test_what_a_plan_does_not_reach_is_left_for_the_next():
    search = searched("halving", "7", 3.0)
    tried = {n for n, _ in run(search, float)}
    left = [config["N"] for config in search.untried]
    assert tried | set(left) == set(range(27))
    assert not tried & set(left)
    assert left == [c["N"] for c in search_order(CONFIGS, "halving", "7")][-len(left) :]
    assert searched("halving", "7", 0.0).untried == search_order(CONFIGS, "halving", "7")


def test_what_the_default_has_compiled_comes_first() -> None:
    configs = [{"MATH": m, "BLOCK": b} for m in ("f32", "bf16") for b in range(8)]
    order = search_order(configs, "halving", "seed", lambda config: config["MATH"] != "bf16")
    assert [config["MATH"] for config in order] == ["bf16"] * 8 + ["f32"] * 8
    assert [config["BLOCK"] for config in order[:8]] != list(range(8))  # shuffled within
    assert search_order(configs, "exhaustive", "seed", lambda config: config["MATH"] != "bf16") == configs
