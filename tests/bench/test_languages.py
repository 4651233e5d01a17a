"""The languages of implementations, and the fastest of each."""

from __future__ import annotations

from pathlib import Path

import dsabench.kernels
from dsabench.bench.languages import PLUGIN, Timed, best_of_languages, language_of


def test_every_implementation_of_ours_has_a_language_of_its_own():
    files = Path(dsabench.kernels.__path__[0]).glob("*/impl_*.py")
    names = {file.stem.removeprefix("impl_") for file in files}
    assert names >= {"cpu", "torch", "triton", "tilelang", "cuda"}
    assert len({language_of(name) for name in names}) == len(names)
    assert PLUGIN not in {language_of(name) for name in names}
    assert language_of("mine") == PLUGIN


def test_the_fastest_of_each_language_against_the_fastest_of_all():
    timed = [Timed("mine", 4.0, None), Timed("cuda", 2.0, 0.5), Timed("yours", 3.0, 0.25), Timed("triton", 1.0, 0.75)]
    best = [
        (each.language, each.impl, each.median_s, each.roofline_fraction, each.to_best)
        for each in best_of_languages(timed)
    ]
    assert best == [
        ("Triton", "triton", 1.0, 0.75, 1.0),
        ("CUDA C++", "cuda", 2.0, 0.5, 2.0),
        ("plugin", "yours", 3.0, 0.25, 3.0),
    ]


def test_one_language_alone_is_compared_with_nothing():
    assert best_of_languages([Timed("mine", 1.0, None), Timed("yours", 2.0, None)]) == []
    assert best_of_languages([]) == []
