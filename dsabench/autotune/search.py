"""Which config to try next: exhaustive, random, or successive halving on measuring effort.

A search is told how long a trial takes and how much time it has; what it proposes is a prefix of an order that depends on
the seed alone, so a second run with the same seed tries the same configs as far as its time goes.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from dsabench.kernels.implementation import ConfigValue, config_key

Config = dict[str, ConfigValue]
StrategyName = Literal["auto", "exhaustive", "random", "halving"]
STRATEGIES: tuple[StrategyName, ...] = ("auto", "exhaustive", "random", "halving")
ETA = 3
"""Each rung of halving keeps the best third: with a trial's noise of 3–7 % a third keeps the winner, a tenth would not."""
MOST_CHEAP_RUNGS = 2
"""Below a ninth of the full effort the compile and the check outweigh the timing, and a cheaper rung saves nothing."""


@dataclass(frozen=True)
class Rung:
    """`number` as the journal has it: 0 full effort, 1 the cheapest, 2 the next. `fraction` of the full timing effort."""

    number: int
    count: int
    fraction: float

    def once(self) -> Rung:
        return replace(self, count=1)


@dataclass(frozen=True)
class TrialCost:
    """Seconds of one trial: `fixed` (compile, check, copies) whatever the effort, `timing` at full effort."""

    fixed: float
    timing: float

    def of(self, rungs: Sequence[Rung]) -> float:
        return sum(r.count * (self.fixed + self.timing * r.fraction) for r in rungs)


def full_effort(count: int) -> list[Rung]:
    return [Rung(0, count, 1.0)]


def halving_rungs(count: int) -> list[Rung]:
    """All `count` configs at the cheapest effort, the best third at thrice that, …, the last few at full effort."""
    cheap = min(MOST_CHEAP_RUNGS, int(math.log(max(count, 1), ETA) + 1e-9))
    rungs = [Rung(i + 1, math.ceil(count / ETA**i), ETA ** (i - cheap)) for i in range(cheap)]
    return [*rungs, Rung(0, math.ceil(count / ETA**cheap), 1.0)]


def plan_rungs(strategy: StrategyName, count: int, cost: TrialCost, seconds: float) -> list[Rung]:
    """The rungs of a search over `count` configs that fit `seconds`. `auto` is exhaustive where all configs at full effort
    fit, else halving; halving starts with as many configs as fit. The result may be empty."""
    if strategy in ("exhaustive", "random"):
        return full_effort(count)
    if strategy == "auto" and cost.of(full_effort(count)) <= seconds:
        return full_effort(count)
    while count and cost.of(halving_rungs(count)) > seconds:
        count -= 1
    return halving_rungs(count) if count else []


def search_order(
    configs: Sequence[Config],
    strategy: StrategyName,
    seed: str,
    compiles_anew: Callable[[Config], int] = lambda config: 0,
) -> list[Config]:
    """The order in which configs are tried: the grid's when exhaustive, else shuffled by `seed`, those that run machine
    code the default has compiled already first (`compiles_anew` 0): on a cold cache the seconds that one new variant
    compiles are worth dozens of trials."""
    ordered = list(configs)
    if strategy != "exhaustive":
        random.Random(seed).shuffle(ordered)
        ordered.sort(key=compiles_anew)
    return ordered


class Search:
    """Proposes as many of `configs` as fit `seconds`, from the first on, rung after rung."""

    def __init__(self, configs: Sequence[Config], strategy: StrategyName, cost: TrialCost, seconds: float) -> None:
        self.configs = list(configs)
        self.rungs = plan_rungs(strategy, len(self.configs), cost, seconds)
        self._rung = -1
        self._todo: list[Config] = []
        self._results: dict[str, tuple[float, Config]] = {}

    @property
    def planned(self) -> int:
        """Trials that are still to come if none fails."""
        return len(self._todo) + sum(r.count for r in self.rungs[self._rung + 1 :])

    @property
    def untried(self) -> list[Config]:
        """Configs that no rung of this plan reaches, in their order: those of the next search, should time be left."""
        return self.configs[self.rungs[0].count :] if self.rungs else self.configs

    def propose(self) -> tuple[Config, Rung] | None:
        """The next config and its rung; None when the search is over. Each proposal is to be answered by `tell`."""
        while not self._todo:
            if self._rung + 1 >= len(self.rungs):
                return None
            if self._rung < 0:
                ranked = self.configs
            else:
                ranked = [config for _, config in sorted(self._results.values(), key=lambda pair: pair[0])]
            self._rung += 1
            self._results = {}
            self._todo = ranked[: self.rungs[self._rung].count]
            if not self._todo:
                return None
        return self._todo[0], self.rungs[self._rung]

    def tell(self, config: Config, median_s: float | None) -> None:
        """The outcome of the config proposed last; None when it did not pass."""
        self._todo.pop(0)
        if median_s is not None:
            self._results[config_key(config)] = (median_s, config)
