"""The language that an implementation is written in, and the fastest of each language.

By the implementation's name, so that journals tell it, old ones too. A field of `Implementation` would be among the sources that are
hashed: every committed measurement would be void.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

PLUGIN = "plugin"
_LANGUAGES = {"triton": "Triton", "tilelang": "TileLang", "cuda": "CUDA C++", "cpu": "numba", "torch": "torch"}


def language_of(impl: str) -> str:
    """As tables write it, `plugin` for a name that is none of ours: a journal does not say what a user's kernel is written in."""
    return _LANGUAGES.get(impl, PLUGIN)


@dataclass(frozen=True)
class Timed:
    """An implementation's time on one workload, of rounds that it shared with the others. roofline_fraction: None where unknown."""

    impl: str
    median_s: float
    roofline_fraction: float | None


@dataclass(frozen=True)
class BestOfLanguage:
    """The fastest implementation of one language on one workload. to_best: its time / the time of the fastest of all."""

    language: str
    impl: str
    median_s: float
    roofline_fraction: float | None
    to_best: float


def best_of_languages(timed: Iterable[Timed]) -> list[BestOfLanguage]:
    """Of one workload, the fastest first; none where there is one language or fewer, and so nothing to compare."""
    best: dict[str, Timed] = {}
    for each in sorted(timed, key=lambda each: each.median_s):
        best.setdefault(language_of(each.impl), each)
    if len(best) < 2:
        return []
    fastest = next(iter(best.values())).median_s
    return [
        BestOfLanguage(language, each.impl, each.median_s, each.roofline_fraction, each.median_s / fastest)
        for language, each in best.items()
    ]
