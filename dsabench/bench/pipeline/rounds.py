"""Interleaved rounds of several things in random order: what disturbs the machine then disturbs all alike."""

from __future__ import annotations

import random
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from dsabench.bench.timing import no_garbage_collection

_SHORT_S = 0.03
_SAMPLES = 3  # their median: one hiccup does not decide a round, nor scratch that the other side's kernels displaced
_MOST_SAMPLES = 25
_LEAST = 3
_PATIENCE = 3.0


@dataclass
class Entry:
    """sample: seconds of each of its parts, once; rounds_s[r][p]: median of part p in round r; most_s: time after which it sits
    the remaining rounds out (after three), so that its rounds are the first of the others'."""

    name: str
    side: str
    sample: Callable[[], Sequence[float]]
    most_s: float = float("inf")
    rounds_s: list[list[float]] = field(default_factory=list)
    spent_s: float = 0.0

    def measure(self, round_s: float) -> None:
        """One round: samples for `round_s`, three at least, 25 at most; a single one of what takes 30 ms or longer."""
        begin = time.perf_counter()
        samples = [self.sample()]
        if sum(samples[0]) < _SHORT_S:
            while len(samples) < _MOST_SAMPLES and (len(samples) < _SAMPLES or sum(map(sum, samples)) < round_s):
                samples.append(self.sample())
        self.rounds_s.append([statistics.median(part) for part in zip(*samples, strict=True)])
        self.spent_s += time.perf_counter() - begin

    @property
    def done(self) -> bool:
        return len(self.rounds_s) >= _LEAST and self.spent_s >= self.most_s

    def part(self, number: int) -> list[float]:
        return [each[number] for each in self.rounds_s]


@dataclass(frozen=True)
class RoundPolicy:
    """Up to `rounds` of them, no more once `time_s` have passed; but `least` while those take no longer than three times that, and
    three always."""

    rounds: int
    least: int
    round_s: float
    time_s: float
    seed: int

    def enough(self, done: int, elapsed_s: float) -> bool:
        if done >= self.rounds:
            return True
        if done < _LEAST:
            return False
        return elapsed_s >= (self.time_s if done >= self.least else _PATIENCE * self.time_s)


def run_rounds(entries: Sequence[Entry], policy: RoundPolicy, measure: Callable[[Entry], bool]) -> None:
    """`measure` measures one entry for one round and says whether its side goes on; entries of a side that does not are left out
    from then on."""
    order = random.Random(policy.seed)
    going = list(entries)
    begin, done = time.perf_counter(), 0
    with no_garbage_collection():
        while going and not policy.enough(done, time.perf_counter() - begin):
            turn = [entry for entry in going if not entry.done]
            order.shuffle(turn)
            for entry in turn:
                if entry in going and not measure(entry):
                    going = [other for other in going if other.side != entry.side]
            done += 1
