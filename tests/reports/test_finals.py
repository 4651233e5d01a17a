"""What was timed again side by side: time saved, margins against noise, verdicts of pairs, distributions."""

from __future__ import annotations

import random
import re
from pathlib import Path

import pytest

from dsabench.reports.finalists import finales, margins
from dsabench.reports.gains import gain_movers, gains
from dsabench.reports.samples import MOST_POINTS, WIDEST_GROUP, SampleFigure, sample_figures
from dsabench.reports.sections import Section
from dsabench.reports.winners import winner_rows
from tests.reports.made_comparisons import Made, made_comparison
from tests.reports.made_trials import made_section, made_trial


def around(seconds: float, spread: float = 0.01, n: int = 12, seed: int = 1) -> list[float]:
    rng = random.Random(seed)
    return [seconds * (1 + spread * rng.uniform(-1, 1)) for _ in range(n)]


def gains_in(section: Section) -> list:
    return gains(section, (row for rows in winner_rows(section).values() for row in rows))


class TestGains:
    def test_the_largest_in_time_comes_first_not_the_largest_in_per_cent(self, tmp_path: Path) -> None:
        small = [Made("cpu", {"T": 1}, around(1e-6)), Made("cpu", {"T": 2}, around(5e-6), is_default=True)]
        large = [Made("cpu", {"T": 1}, around(1.0)), Made("cpu", {"T": 2}, around(1.2), is_default=True)]
        comparisons = [
            made_comparison(small, noise=0.01, context=4096),
            made_comparison(large, noise=0.01, context=65536),
        ]
        found = gains_in(made_section(tmp_path, [], comparisons))
        assert [g.workload.axes["s_kv"] for g in found] == [65536, 4096]
        assert found[0].change.value == pytest.approx(-0.2, rel=0.1)
        assert found[1].change.value == pytest.approx(-4e-6, rel=0.1)

    def test_interval_and_noise_are_of_the_ratio_on_the_tuned_time(self, tmp_path: Path) -> None:
        made = [Made("cpu", {"T": 1}, around(2.0)), Made("cpu", {"T": 2}, around(3.0), is_default=True)]
        comparison = made_comparison(made, noise=0.04)
        (gain,) = gains_in(made_section(tmp_path, [], [comparison]))
        ratio = comparison.winners["cpu"].speedup_over_default
        tuned = comparison.candidates[0].median_s
        assert ratio is not None
        assert gain.change.low == pytest.approx(tuned * (1 - ratio.high))
        assert gain.change.high == pytest.approx(tuned * (1 - ratio.low))
        assert gain.noise_s == pytest.approx(0.04 * tuned)
        assert gain.settled
        assert gain_movers([gain])[0].tone == "faster"

    def test_a_default_that_stayed_is_in_the_list_and_no_mover(self, tmp_path: Path) -> None:
        made = [Made("cpu", {"T": 1}, around(1.0)), Made("cpu", {"T": 2}, around(1.01), is_default=True)]
        found = gains_in(made_section(tmp_path, [], [made_comparison(made, noise=0.05)]))
        assert [(g.change.value, g.settled) for g in found] == [(0.0, False)]
        assert gain_movers(found) == []

    def test_what_was_not_timed_again_is_left_out(self, tmp_path: Path) -> None:
        assert (
            gains_in(made_section(tmp_path, [made_trial({"T": 1}, 1.0), made_trial({"T": 2}, 2.0, is_default=True)]))
            == []
        )

    def test_details_name_the_axes_that_differ(self, tmp_path: Path) -> None:
        made = [Made("cpu", {"T": 1}, around(1.0)), Made("cpu", {"T": 2}, around(2.0), is_default=True)]
        first = made_comparison(made, noise=0.01)
        other = first.workload.model_copy(update={"key": "f" * 10, "axes": {**first.workload.axes, "b": 64}})
        found = gains_in(made_section(tmp_path, [], [first, first.model_copy(update={"workload": other})]))
        assert sorted(m.detail for m in gain_movers(found)) == ["4k b=1", "4k b=64"]


class TestMargins:
    def test_clear_and_tied(self) -> None:
        made = [
            Made("cpu", {"A": 1, "B": 1}, around(1.0)),
            Made("cpu", {"A": 1, "B": 2}, around(1.03, seed=2)),
            Made("torch", {"A": 9}, around(4.0, seed=3)),
        ]
        of_cpu, of_torch, between = margins(made_comparison(made, noise=0.1))
        assert (of_cpu.impl, of_cpu.verdict, of_cpu.runner_up) == ("cpu", "tie", "B=2")
        assert of_cpu.margin is not None
        assert of_cpu.margin.value == pytest.approx(0.03, abs=0.01)
        assert (of_torch.verdict, of_torch.margin) == ("alone", None)
        assert (between.impl, between.winner, between.runner_up, between.verdict) == ("", "cpu", "torch", "clear")
        assert between.margin is not None
        assert between.margin.value == pytest.approx(3.0, abs=0.1)
        assert margins(made_comparison(made, noise=0.001))[0].verdict == "clear"

    def test_a_default_that_stayed_has_a_margin_below_zero(self) -> None:
        made = [Made("cpu", {"A": 1}, around(1.0)), Made("cpu", {"A": 2}, around(1.02, seed=2), is_default=True)]
        (margin,) = margins(made_comparison(made, noise=0.05))
        assert margin.winner == "A=2"
        assert margin.margin is not None
        assert margin.margin.value == pytest.approx(-0.02, abs=0.01)
        assert margin.verdict == "tie"

    def test_implementations_that_tie(self) -> None:
        made = [Made("cpu", {"A": 1}, around(1.0)), Made("torch", {"A": 1}, around(1.02, seed=2))]
        assert margins(made_comparison(made, noise=0.05))[-1].verdict == "tie"

    def test_two_rounds_have_no_interval(self) -> None:
        made = [Made("cpu", {"A": 1}, [1.0, 1.1]), Made("cpu", {"A": 2}, [2.0, 2.1])]
        (margin,) = margins(made_comparison(made, noise=0.05))
        assert margin.margin is not None
        assert margin.margin.low is None


class TestPairs:
    def test_every_pair_both_ways_fastest_first(self, tmp_path: Path) -> None:
        made = [
            Made("slow", {}, around(3.0, seed=2)),
            Made("fast", {}, around(1.0, seed=3)),
            Made("like", {}, around(1.01, seed=4)),
        ]
        comparison = made_comparison(made, noise=0.05, pairs=True)
        pairs = finales(made_section(tmp_path, [], [comparison]))[0].pairs
        assert pairs is not None
        assert pairs.names == ("fast", "like", "slow")
        words = [[cell and cell[1] for cell in row] for row in pairs.cells]
        assert words == [[None, "tie", "faster"], ["tie", None, "faster"], ["slower", "slower", None]]
        assert pairs.cells[2][0] is not None
        assert float(pairs.cells[2][0][0].rstrip("×")) == pytest.approx(3.0, abs=0.1)
        assert pairs.cells[0][2] is not None
        assert float(pairs.cells[0][2][0].rstrip("×")) == pytest.approx(1 / 3, abs=0.02)

    def test_tune_writes_none(self, tmp_path: Path) -> None:
        made = [Made("cpu", {"A": 1}, around(1.0)), Made("cpu", {"A": 2}, around(2.0))]
        assert finales(made_section(tmp_path, [], [made_comparison(made, noise=0.05)]))[0].pairs is None


def marks(path: str) -> list[int]:
    return [int(x) for x in re.findall(r"M(\d+) ", path)]


class TestSamples:
    def figure(self, directory: Path, made: list[Made], trials: list = []) -> SampleFigure:  # noqa: B006
        return sample_figures(made_section(directory, trials, [made_comparison(made, noise=0.05)]))[0]

    def test_halves_of_the_rounds_and_the_trial_have_a_lane_each(self, tmp_path: Path) -> None:
        rounds = [1.0] * 6 + [1.1] * 7
        trials = [
            made_trial({"A": 1}, 1.05, samples=[1.04, 1.05, 1.06]),
            made_trial({"A": 1}, 1.5, rung=1, samples=[1.5] * 4),
        ]
        figure = self.figure(tmp_path, [Made("cpu", {"A": 1}, rounds)], trials)
        (finalist,) = figure.groups[0].finalists
        assert [(lane.name, lane.n) for lane in finalist.lanes] == [("1st half", 6), ("2nd half", 7), ("trial", 3)]
        assert finalist.drift == pytest.approx(0.1)
        assert finalist.lanes[2].median_s == 1.05

    def test_drift_needs_rounds(self, tmp_path: Path) -> None:
        figure = self.figure(tmp_path, [Made("cpu", {"A": 1}, [1.0, 1.1, 1.2])])
        assert figure.groups[0].finalists[0].drift is None
        assert [lane.name for lane in figure.groups[0].finalists[0].lanes] == ["1st half", "2nd half"]

    def test_like_times_share_an_axis(self, tmp_path: Path) -> None:
        times = [1.0, 1.2, WIDEST_GROUP * 1.05, 10.0]
        figure = self.figure(tmp_path, [Made("cpu", {"A": i}, around(t, seed=i)) for i, t in enumerate(times)])
        assert [len(group.finalists) for group in figure.groups] == [2, 1, 1]

    def test_a_mark_stands_where_its_sample_is_on_both_axes(self, tmp_path: Path) -> None:
        fast, slow = around(1.0, 0.02, seed=5), around(8.0, 0.02, seed=6)
        figure = self.figure(tmp_path, [Made("cpu", {"A": 1}, fast), Made("cpu", {"A": 2}, slow)])
        zero = {round(t.at, 1): float(t.text.split()[0]) for t in figure.from_zero}
        per_unit = next(at / 100 * 1000 / seconds for at, seconds in zero.items() if seconds)
        for group, rounds in zip(figure.groups, (fast, slow), strict=True):
            shrink, _, _, _, shift, _ = map(float, re.findall(r"[-\d.]+", group.matrix))
            lane = group.finalists[0].lanes[0]
            drawn = [x * shrink + shift for x in marks(lane.strip)]
            assert drawn == pytest.approx([per_unit * seconds for seconds in rounds[:6]], abs=1.5)
            ticks = {t.at: float(t.text.split()[0]) for t in group.ticks}
            assert len(ticks) >= 2
            (at, seconds), (next_at, next_seconds), *_ = ticks.items()
            scale = (next_at - at) / (next_seconds - seconds)
            assert [x / 10 for x in marks(lane.strip)] == pytest.approx(
                [at + scale * (s - seconds) for s in rounds[:6]], abs=0.5
            )

    def test_far_samples_do_not_set_the_scale_and_are_told(self, tmp_path: Path) -> None:
        rounds = around(1.0, n=20)
        rounds[3], rounds[15] = 50.0, 70.0
        (finalist,) = self.figure(tmp_path, [Made("cpu", {"A": 1}, rounds)]).groups[0].finalists
        assert finalist.beyond == [
            "1st half: 1 of 10 beyond the axis, up to 50.0 s",
            "2nd half: 1 of 10 beyond the axis, up to 70.0 s",
        ]
        assert len(marks(finalist.lanes[0].strip)) == 9
        assert max(marks(finalist.lanes[0].strip)) - min(marks(finalist.lanes[0].strip)) > 500

    def test_strips_are_thinned_and_boxes_need_five(self, tmp_path: Path) -> None:
        trials = [made_trial({"A": 1}, 1.0, samples=around(1.0, n=200))]
        (finalist,) = self.figure(tmp_path, [Made("cpu", {"A": 1}, around(1.0, n=8))], trials).groups[0].finalists
        assert [len(marks(lane.strip)) for lane in finalist.lanes] == [4, 4, MOST_POINTS]
        assert finalist.lanes[2].n == 200
        assert [bool(lane.box) for lane in finalist.lanes] == [False, False, True]

    def test_samples_that_are_all_equal_have_an_axis(self, tmp_path: Path) -> None:
        (group,) = self.figure(tmp_path, [Made("cpu", {"A": 1}, [1.0] * 8)]).groups
        assert marks(group.finalists[0].lanes[0].strip) == [500] * 4

    def test_no_rounds_is_no_row(self, tmp_path: Path) -> None:
        comparison = made_comparison([Made("cpu", {"A": 1}, [1.0])], noise=0.05)
        bare = comparison.candidates[0].model_copy(update={"rounds_s": []})
        section = made_section(tmp_path, [], [comparison.model_copy(update={"candidates": [bare]})])
        assert sample_figures(section)[0].groups == ()
