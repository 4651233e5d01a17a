from __future__ import annotations

import pytest

from dsabench.bench.pipeline import rounds as rounds_module
from dsabench.bench.pipeline.rounds import Entry, RoundPolicy, run_rounds


class Clock:
    """Time passes only where a sample says so."""

    def __init__(self) -> None:
        self.now = 0.0
        self.log: list[str] = []

    def entry(self, name: str, *seconds: float, side: str = "", **more) -> Entry:
        def sample() -> tuple[float, ...]:
            self.log.append(name)
            self.now += sum(seconds)
            return seconds

        return Entry(name, side or name, sample, **more)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(rounds_module.time, "perf_counter", lambda: made.now)
    return made


def measure(entry: Entry) -> bool:
    entry.measure(0.003)
    return True


def test_rounds_end_with_their_number(clock: Clock) -> None:
    entries = [clock.entry("a", 0.05), clock.entry("b", 0.1)]
    run_rounds(entries, RoundPolicy(7, 5, 0.003, 100.0, 0), measure)
    assert [entry.part(0) for entry in entries] == [[0.05] * 7, [0.1] * 7]


@pytest.mark.parametrize(("time_s", "done"), [(10.0, 12), (0.1, 5), (0.05, 3)])
def test_rounds_end_with_the_time_but_not_before_the_least(clock: Clock, time_s: float, done: int) -> None:
    """A round takes 0.05 s; ten seconds do for all twelve, 0.1 s are over after two: five are the least while they take no longer
    than three times that, and three are always made."""
    entry = clock.entry("a", 0.05)
    run_rounds([entry], RoundPolicy(12, 5, 0.003, time_s, 0), measure)
    assert len(entry.rounds_s) == done


def test_the_order_is_random_and_repeats_with_the_seed(clock: Clock) -> None:
    def order(seed: int) -> list[str]:
        clock.log.clear()
        run_rounds([clock.entry(name, 0.05) for name in "abcd"], RoundPolicy(6, 6, 0.0, 100.0, seed), measure)
        return list(clock.log)

    first = order(1)
    assert first == order(1)
    assert first != order(2)
    turns = [first[i : i + 4] for i in range(0, 24, 4)]
    assert all(sorted(turn) == list("abcd") for turn in turns)
    assert len(set(map(tuple, turns))) > 1


@pytest.mark.parametrize(("seconds", "samples"), [(0.04, 1), (0.02, 3), (0.0005, 6), (1e-6, 25)])
def test_short_samples_are_taken_more_often(clock: Clock, seconds: float, samples: int) -> None:
    clock.entry("a", seconds).measure(0.003)
    assert len(clock.log) == samples


def test_a_round_is_the_median_of_its_samples_part_by_part() -> None:
    samples = iter([(0.001, 0.009), (0.003, 0.001), (0.002, 0.002)])
    entry = Entry("staged", "sparse", lambda: next(samples))
    entry.measure(0.0)
    assert entry.rounds_s == [[0.002, 0.002]]
    assert entry.part(1) == [0.002]


def test_an_entry_that_had_its_time_sits_the_rest_out(clock: Clock) -> None:
    slow, other = clock.entry("slow", 1.0, most_s=4.5), clock.entry("other", 0.1)
    run_rounds([slow, other], RoundPolicy(9, 9, 0.0, 100.0, 0), measure)
    assert len(slow.rounds_s) == 5
    assert len(other.rounds_s) == 9
    least = clock.entry("least", 9.0, most_s=1.0)
    run_rounds([least], RoundPolicy(9, 9, 0.0, 1000.0, 0), measure)
    assert len(least.rounds_s) == 3


def test_a_side_that_fails_takes_all_its_entries_along_and_no_other(clock: Clock) -> None:
    entries = [clock.entry("whole", 0.05, side="sparse"), clock.entry("staged", 0.05, side="sparse")]
    entries.append(clock.entry("dense", 0.05))

    def failing(entry: Entry) -> bool:
        if entry.name == "staged" and len(entry.rounds_s) == 2:
            return False
        return measure(entry)

    run_rounds(entries, RoundPolicy(8, 8, 0.0, 100.0, 0), failing)
    assert len(entries[2].rounds_s) == 8
    assert len(entries[1].rounds_s) == 2
    assert len(entries[0].rounds_s) in (2, 3)
