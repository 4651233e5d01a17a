"""Searches as grids: the rows, effects of parameters, what they explain, maps, the best configs."""

from __future__ import annotations

import itertools
import math
import random
from pathlib import Path

import numpy as np
import pytest

from dsabench.bench.records import Status
from dsabench.reports.heatmaps import LETTERS, HeatCell, HeatSeries, heat_series
from dsabench.reports.main_effects import main_effects
from dsabench.reports.parameters import MOST_VALUES, ParameterStudy, parameter_studies
from dsabench.reports.sections import Section
from dsabench.reports.top_configs import MOST_CONFIGS, top_lists
from dsabench.reports.tried import Tried, tried_by_impl
from tests.reports.made_comparisons import Made, made_comparison
from tests.reports.made_trials import made_section, made_trial


def first_of(section: Section) -> Tried:
    return next(iter(tried_by_impl(section).values()))[0]


def study_in(section: Section) -> ParameterStudy:
    return parameter_studies(tried_by_impl(section).values())[0]


def series_in(section: Section, most: int = 8) -> HeatSeries:
    by_impl = list(tried_by_impl(section).values())
    return heat_series(by_impl, parameter_studies(by_impl), most)[0]


class TestTried:
    def test_a_config_counts_once_with_the_most_effort_and_last(self, tmp_path: Path) -> None:
        trials = [
            made_trial({"TILE": 1}, 5.0, rung=0),
            made_trial({"TILE": 1}, 4.0, rung=0),
            made_trial({"TILE": 1}, 1.0, rung=2),
            made_trial({"TILE": 2}, 3.0, rung=1),
        ]
        tried = first_of(made_section(tmp_path, trials))
        by_value = {tried.values["TILE"][code]: s for code, s in zip(tried.codes["TILE"], tried.seconds, strict=True)}
        assert by_value == {1: 4.0, 2: 3.0}

    def test_true_one_and_the_text_1_are_three_values(self, tmp_path: Path) -> None:
        values = [True, 1, "1"]
        tried = first_of(made_section(tmp_path, [made_trial({"FLAG": v}, 1.0 + i) for i, v in enumerate(values)]))
        assert sorted(map(repr, tried.values["FLAG"])) == sorted(map(repr, values))
        assert len(set(tried.codes["FLAG"].tolist())) == 3

    def test_the_workload_with_most_configs_comes_first(self, tmp_path: Path) -> None:
        trials = [made_trial({"TILE": i}, 1.0 + i, context=4096) for i in range(3)]
        trials += [made_trial({"TILE": i}, 1.0 + i, context=65536) for i in range(2)]
        (group,) = tried_by_impl(made_section(tmp_path, trials)).values()
        assert [t.workload.axes["s_kv"] for t in group] == [4096, 65536]

    def test_what_never_passed_is_left_out(self, tmp_path: Path) -> None:
        trials = [made_trial({"TILE": i}, None, status=Status.TIMEOUT) for i in range(3)]
        assert tried_by_impl(made_section(tmp_path, trials)) == {}


class TestEffects:
    def test_order_is_by_influence(self, tmp_path: Path) -> None:
        trials = [
            made_trial({"FLAG": flag, "TILE": tile}, (2.0 if flag else 1.0) * (1.5 if tile == 1 else 1.0))
            for flag, tile in itertools.product((True, False), (1, 2))
        ]
        study = study_in(made_section(tmp_path, trials))
        assert [(e.tunable, e.spread) for e in study.effects] == [("FLAG", 2.0), ("TILE", 1.5)]
        assert [(s.value, s.slowdown) for s in study.effects[0].settings] == [(False, 1.0), (True, 2.0)]
        assert study.effects[0].best.value is False

    def test_the_spread_is_of_the_best_that_can_be_reached(self, tmp_path: Path) -> None:
        """B = 1 was tried with bad values of A as well: they do not count against it."""
        times = {(1, 1): 1.0, (2, 1): 9.0, (3, 1): 8.0, (1, 2): 1.1}
        section = made_section(tmp_path, [made_trial({"A": a, "B": b}, s) for (a, b), s in times.items()])
        effects = {e.tunable: e for e in study_in(section).effects}
        assert effects["B"].spread == pytest.approx(1.1)
        assert effects["A"].spread == pytest.approx(9.0)

    def test_pruned_configs_say_nothing_and_failed_ones_count_as_tried(self, tmp_path: Path) -> None:
        trials = [
            made_trial({"TILE": 1}, 1.0),
            made_trial({"TILE": 2}, 2.0),
            made_trial({"TILE": 3}, None, status=Status.INCORRECT),
            made_trial({"TILE": 4}, None, status=Status.PRUNED),
        ]
        study = study_in(made_section(tmp_path, trials))
        settings = {s.value: (s.passed, s.tried, s.slowdown) for s in study.effects[0].settings}
        assert settings == {1: (1, 1, 1.0), 2: (1, 1, 2.0), 3: (0, 1, None)}
        assert (study.passed, study.configs) == (2, 3)

    def test_the_best_of_many_values_are_kept(self, tmp_path: Path) -> None:
        section = made_section(tmp_path, [made_trial({"TILE": t}, 1 + (39 - t) / 10) for t in range(40)])
        effect = study_in(section).effects[0]
        assert [s.value for s in effect.settings] == list(range(40 - MOST_VALUES, 40))
        assert effect.left_out == 40 - MOST_VALUES

    def test_one_config_has_no_study(self, tmp_path: Path) -> None:
        assert parameter_studies(tried_by_impl(made_section(tmp_path, [made_trial({"TILE": 1}, 1.0)])).values()) == []


class TestMainEffects:
    def test_a_full_grid_of_products_is_explained_whole(self, tmp_path: Path) -> None:
        """log time is a sum of effects, variances (log 2)²/4 and (log 1.5)²/4: shares are known in closed form."""
        grid = itertools.product((1, 2), (1, 2), (1, 2))
        trials = [
            made_trial({"A": a, "B": b, "C": c}, (2.0 if a == 1 else 1.0) * (1.5 if b == 1 else 1.0))
            for a, b, c in grid
        ]
        fit = main_effects(first_of(made_section(tmp_path, trials)))
        assert fit is not None
        a, b = math.log(2) ** 2, math.log(1.5) ** 2
        assert fit.explained == pytest.approx(1.0)
        assert fit.unique == pytest.approx({"A": a / (a + b), "B": b / (a + b), "C": 0.0}, abs=1e-9)

    def test_an_interaction_is_explained_by_nobody(self, tmp_path: Path) -> None:
        trials = [
            made_trial({"A": a, "B": b, "C": c}, 2.0 if a == b else 1.0)
            for a, b, c in itertools.product((1, 2), repeat=3)
        ]
        fit = main_effects(first_of(made_section(tmp_path, trials)))
        assert fit is not None
        assert fit.explained == pytest.approx(0.0, abs=1e-9)
        assert max(fit.unique.values()) == pytest.approx(0.0, abs=1e-9)

    def test_what_the_search_mixed_up_is_given_to_neither(self, tmp_path: Path) -> None:
        """A and B always moved together: either explains what the other does, so neither has a share of its own."""
        trials = [
            made_trial({"A": a, "B": a, "C": c, "D": d}, (3.0 if a == 1 else 1.0) * (1.2 if c == 1 else 1.0))
            for a, c, d in itertools.product((1, 2), (1, 2), (1, 2, 3))
        ]
        fit = main_effects(first_of(made_section(tmp_path, trials)))
        assert fit is not None
        assert fit.explained == pytest.approx(1.0)
        assert fit.unique["A"] == pytest.approx(0.0, abs=1e-9)
        assert fit.unique["B"] == pytest.approx(0.0, abs=1e-9)
        assert fit.unique["C"] > 0.001

    def test_an_incomplete_grid_agrees_with_least_squares_on_the_design(self, tmp_path: Path) -> None:
        rng = random.Random(3)
        configs = rng.sample(list(itertools.product(range(3), range(4), range(2))), 19)
        trials = [
            made_trial({"A": a, "B": b, "C": c}, math.exp(0.3 * a - 0.1 * b * b + 0.2 * c + rng.gauss(0, 0.1)))
            for a, b, c in configs
        ]
        fit = main_effects(first_of(made_section(tmp_path, trials)))
        assert fit is not None
        y = np.log([t.timing.median_s for t in trials if t.timing])
        total = ((y - y.mean()) ** 2).sum()

        def explained(columns: tuple[int, ...]) -> float:
            design = [np.ones(len(y))]
            for c in columns:
                design += [np.array([float(config[c] == v) for config in configs]) for v in range(1, 4)]
            x = np.stack(design, axis=1)
            return 1 - ((y - x @ np.linalg.lstsq(x, y, rcond=None)[0]) ** 2).sum() / total

        assert fit.explained == pytest.approx(explained((0, 1, 2)))
        for i, name in enumerate("ABC"):
            rest = tuple(c for c in range(3) if c != i)
            assert fit.unique[name] == pytest.approx(explained((0, 1, 2)) - explained(rest), abs=1e-9)

    def test_too_few_configs_have_no_fit(self, tmp_path: Path) -> None:
        section = made_section(tmp_path, [made_trial({"A": a, "B": 2 * a % 3}, 1.0 + a) for a in range(3)])
        assert main_effects(first_of(section)) is None


class TestHeatMaps:
    @pytest.fixture
    def series(self, tmp_path: Path) -> HeatSeries:
        """A by B with C free; A = 3 fails, A = 3 with B = 2 was never tried, A = 2 with B = 2 is pruned or wrong."""
        trials = [
            made_trial({"A": 1, "B": 1, "C": 1}, 2.0),
            made_trial({"A": 1, "B": 1, "C": 2}, 1.0, is_default=True),
            made_trial({"A": 1, "B": 2, "C": 1}, 1.5),
            made_trial({"A": 1, "B": 2, "C": 2}, None, status=Status.TIMEOUT),
            made_trial({"A": 2, "B": 1, "C": 1}, 3.0),
            made_trial({"A": 2, "B": 1, "C": 2}, None, status=Status.PRUNED),
            made_trial({"A": 2, "B": 2, "C": 1}, None, status=Status.PRUNED),
            made_trial({"A": 2, "B": 2, "C": 2}, None, status=Status.INCORRECT),
            made_trial({"A": 3, "B": 1, "C": 1}, None, status=Status.PRUNED),
        ]
        return series_in(made_section(tmp_path, trials))

    def cell(self, series: HeatSeries, a: int, b: int) -> HeatCell | None:
        heat = series.maps[0]
        i, j = heat.rows.index(a), heat.columns.index(b)
        return heat.cells[i][j]

    def test_axes_are_the_two_that_matter_most(self, series: HeatSeries) -> None:
        assert (series.down, series.across) == ("A", "B")

    def test_a_cell_is_the_best_over_the_others(self, series: HeatSeries) -> None:
        slowdowns = {(a, b): c.slowdown for a in (1, 2) for b in (1, 2) if (c := self.cell(series, a, b))}
        assert slowdowns == {(1, 1): 1.0, (1, 2): 1.5, (2, 1): 3.0, (2, 2): None}

    def test_the_default_has_its_cell(self, series: HeatSeries) -> None:
        found = [(a, b) for a in (1, 2) for b in (1, 2) if (c := self.cell(series, a, b)) and c.is_default]
        assert found == [(1, 1)]

    @pytest.mark.parametrize(("a", "b", "marks"), [(1, 1, ""), (1, 2, "T"), (2, 1, ""), (2, 2, "IP"), (3, 1, "P")])
    def test_letters(self, series: HeatSeries, a: int, b: int, marks: str) -> None:
        """Of the pruned only where nothing passed; the worst first."""
        cell = self.cell(series, a, b)
        assert cell is not None
        assert cell.marks == marks

    def test_untried_is_no_cell(self, series: HeatSeries) -> None:
        assert self.cell(series, 3, 2) is None

    def test_the_legend_names_the_letters_there_are(self, series: HeatSeries) -> None:
        assert {letter for letter, _ in series.letters} == {"I", "T", "P"}
        assert len(set(LETTERS.values())) == len(LETTERS) == len(Status) - 1

    def test_words_count_everything(self, series: HeatSeries) -> None:
        cell = self.cell(series, 2, 1)
        assert cell is not None
        assert cell.words == "best 3.00 s, 1 passed, 1 PRUNED"

    def test_all_workloads_share_the_axes(self, tmp_path: Path) -> None:
        """At 64K C matters more than B; the map is still A by B, so that the two can be compared."""
        grid = list(itertools.product((1, 2), (1, 2), (1, 2)))
        trials = [made_trial({"A": a, "B": b, "C": c}, 4.0 * a + b + 0.1 * c) for a, b, c in grid]
        trials += [made_trial({"A": a, "B": b, "C": c}, 4.0 * a + 2 * c, context=65536) for a, b, c in grid[:-1]]
        series = series_in(made_section(tmp_path, trials))
        assert [m.workload.axes["s_kv"] for m in series.maps] == [4096, 65536]
        assert (series.down, series.across) == ("A", "B")
        assert len(series_in(made_section(tmp_path / "again", trials), most=1).maps) == 1


class TestTopConfigs:
    def test_the_best_ten_in_order_with_their_part(self, tmp_path: Path) -> None:
        trials = [made_trial({"TILE": t}, 1.0 + 0.01 * t, rung=t % 2, is_default=t == 5) for t in range(15)]
        made = [Made("cpu", {"TILE": 0}, [1.02] * 5), Made("cpu", {"TILE": 2}, [1.0] * 5)]
        section = made_section(tmp_path, trials, [made_comparison(made, noise=0.0)])
        (top,) = top_lists(section, 8)
        assert [c.config for c in top.configs] == [f"TILE={t}" for t in range(MOST_CONFIGS)]
        assert top.passed == 15
        assert [c.part for c in top.configs[:3]] == ["finalist", "", "winner"]
        assert [c.is_default for c in top.configs].index(True) == 5
        assert [c.effort for c in top.configs[:2]] == ["full", "rung 1"]
        assert top.configs[4].over_best == pytest.approx(1.04)
        # Intervals reach 1 % to either side.
        assert [c.overlaps for c in top.configs[:4]] == [True, True, True, False]

    def test_failed_configs_are_none_of_them(self, tmp_path: Path) -> None:
        trials = [made_trial({"TILE": 1}, 1.0), made_trial({"TILE": 2}, None, status=Status.CRASHED)]
        (top,) = top_lists(made_section(tmp_path, trials), 8)
        assert [c.config for c in top.configs] == ["TILE=1"]
