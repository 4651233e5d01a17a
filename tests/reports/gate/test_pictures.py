"""The picture for a pull request: there is one for every result, and it shows something."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from matplotlib.image import imread

from dsabench.bench.gate.records import GateResult, RowVerdict
from dsabench.reports.gate.movers import movers_of
from dsabench.reports.gate.png import write_png
from tests.reports.gate.results import HOSTILE, invalid, result, row, static_row

R = RowVerdict


def test_movers_are_the_rows_with_a_verdict_on_two_times() -> None:
    rows = [row(verdict, 1.1) for verdict in RowVerdict] + [row(R.BROKEN, None)]
    movers = movers_of(result(rows))
    assert [mover.tone for mover in movers] == ["slower", "slower", "unclear", "faster", "flat"]
    first = movers[0]
    assert (first.label, first.detail) == ("topk_select/triton", "s_q=1 s_kv=64k k=2k")
    assert first.change_s == pytest.approx(5e-6)
    assert (first.low_s, first.high_s) == (pytest.approx(4.5e-6), pytest.approx(5.5e-6))
    assert first.noise_s == pytest.approx(0.6e-6)


def test_a_change_lies_in_its_interval() -> None:
    # The medians of the sides' samples say +12 %, the paired ratio +10 %.
    (mover,) = movers_of(result([row(R.SLOWER, 1.1, candidate_s=56e-6)]))
    assert mover.low_s is not None
    assert mover.high_s is not None
    assert mover.low_s <= mover.change_s <= mover.high_s


def test_a_row_without_a_ratio_moves_by_its_times() -> None:
    (mover,) = movers_of(result([row(R.SAME, 1.1, ratio=None, noise=None)]))
    assert (mover.change_s, mover.low_s, mover.noise_s) == (pytest.approx(5e-6), None, None)


@pytest.mark.parametrize(
    "given_result",
    [
        result([row(R.SLOWER, 1.2), row(R.UNCLEAR, 1.05), row(R.FASTER, 0.7), row()]),
        result([static_row(R.SLOWER, reason=text, impl=text) for text in HOSTILE] * 2, mode="static", device=None),
        invalid("the GPU is busy " * 50),
    ],
    ids=["measured", "static", "invalid"],
)
def test_a_picture_is_made_and_not_blank(given_result: GateResult, tmp_path: Path) -> None:
    path = tmp_path / "gate.png"
    write_png(given_result, path)
    pixels = imread(path)
    assert pixels.shape[1] == 2160
    dark = (pixels[..., :3].mean(axis=2) < 0.6).sum(axis=1)
    assert np.count_nonzero(dark) > 20
    # Nothing is cut off at the right edge.
    assert pixels[:, -4:, :3].min() == 1.0
