"""The parts on their own: numbers, runs, ties, effects of parameters, label placing, SVG."""

from __future__ import annotations

import itertools
import random
from pathlib import Path

import matplotlib
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dsabench.bench.journal import read_journal
from dsabench.bench.records import Ratio
from dsabench.bench.roofline import CEILING_MARGIN
from dsabench.reports import quantities
from dsabench.reports.failures import failure_groups
from dsabench.reports.figures.labels import Label, log_ticks, place_labels, spread
from dsabench.reports.figures.latency import latency_panels
from dsabench.reports.figures.search import MOST_DOTS, search_panels
from dsabench.reports.figures.svg import TITLED, inline_svg
from dsabench.reports.figures.theme import LIGHT, PAGE, RC, add_axes, canvas
from dsabench.reports.sections import FULL_EFFORT, Section, sections_of
from dsabench.reports.summary import headlines, moment, reproduce_command, short_commit
from dsabench.reports.winners import ROOF_MARGIN, fastest_rows, winner_rows
from tests.reports.journals import JournalBuilder, device, header, write_records


def section_of(directory: Path, builder: JournalBuilder) -> Section:
    return sections_of([read_journal(builder.write(directory))])[0]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0023456, "2.35 ms"),
        (1.0, "1.00 s"),
        (0.9999, "1.00 s"),
        (0.000999999, "1.00 ms"),
        (123e-6, "123 µs"),
        (4.2e-9, "4.20 ns"),
        (75.04, "75.0 s"),
    ],
)
def test_times(value: float, text: str) -> None:
    assert quantities.format_time(value) == text


@given(st.floats(min_value=1e-9, max_value=1e5))
def test_a_written_time_is_within_half_a_unit_of_its_last_digit(seconds: float) -> None:
    number, unit = quantities.format_time(seconds).split(" ")
    size = {"s": 1.0, "ms": 1e-3, "µs": 1e-6, "ns": 1e-9}[unit]
    assert float(number) * size == pytest.approx(seconds, rel=0.0051)
    assert "e" not in number


def test_rates_bytes_percent_durations() -> None:
    assert quantities.format_flop_rate(439e9) == "439 GFLOP/s"
    assert quantities.format_flop_rate(1.979e15) == "1.98 PFLOP/s"
    assert quantities.format_byte_rate(38.04e9) == "38.0 GB/s"
    assert quantities.format_bytes(656 * 2048) == "1.28 MiB"
    assert quantities.format_bytes(132) == "132 B"
    assert quantities.format_percent(0.0342) == "3.4 %"
    assert quantities.format_percent(0.996) == "100 %"
    assert quantities.format_duration(290) == "4 min 50 s"
    assert quantities.format_duration(7322) == "2 h 2 min"
    assert quantities.format_time_interval(quantities.Span(0.001, 0.00099, 0.00101)) == "0.990–1.01 ms"


def test_margin_is_that_of_the_trials() -> None:
    assert ROOF_MARGIN == CEILING_MARGIN


def test_moment_and_commit() -> None:
    assert moment("2026-01-02T03:04:05+02:00") == "2026-01-02 01:04 UTC"
    assert moment("yesterday") == "yesterday"
    assert short_commit("0123456789abcdef0123456789abcdef01234567-dirty") == "0123456789ab-dirty"
    assert short_commit("unknown") == "unknown"


def test_runs_are_paired_with_their_own_ends(tmp_path: Path, small: JournalBuilder) -> None:
    records = small.records()
    second = header(small.device, started="2026-01-02T04:00:00+00:00", run_id="killed")
    third = header(small.device, started="2026-01-02T05:00:00+00:00", run_id="last")
    end = records[-1].model_copy(update={"ended": "2026-01-02T05:05:00+00:00", "reason": "interrupted"})
    path = write_records(tmp_path, [*records, second, third, end])
    runs = sections_of([read_journal(path)])[0].runs
    assert [(run.header.run_id, run.end.reason if run.end else None) for run in runs] == [
        ("synthetic-run", "complete"),
        ("killed", None),
        ("last", "interrupted"),
    ]


def test_cheap_rungs_do_not_win_over_full_effort(tmp_path: Path, small: JournalBuilder) -> None:
    """Halving measures many configs loosely; the winner is named among those measured with full effort."""
    rng = random.Random(5)
    fast = {"NK": 6, "BLOCK_KV": 128, "DEQUANT": "permute"}
    slow = {"NK": 2, "BLOCK_KV": 64, "DEQUANT": "table"}
    trials = [
        small.trial("sparse_mla_decode", "cpu", 4096, fast, rng, rung=1),
        small.trial("sparse_mla_decode", "cpu", 4096, slow, rng, rung=0),
    ]
    path = write_records(tmp_path, [header(device()), *trials])
    section = sections_of([read_journal(path)])[0]
    assert section.frame["effort"].max() == FULL_EFFORT
    row = next(r for r in winner_rows(section)["sparse_mla_decode"] if r.impl == "cpu")
    assert row.state == "provisional"
    assert row.config == slow


def test_fastest_rows_have_one_a_workload(tmp_path: Path) -> None:
    section = section_of(tmp_path, JournalBuilder(ops=("topk_select", "sparse_mla_prefill"), contexts=(4096, 16384)))
    fastest = fastest_rows(winner_rows(section))
    assert len(fastest) == 4
    assert {row.impl for row in fastest} == {"cpu"}


def test_reasons_that_differ_in_numbers_are_one_group(tmp_path: Path, small: JournalBuilder) -> None:
    section = section_of(tmp_path, small)
    groups = failure_groups(section)
    assert [(g.status.value, g.count) for g in groups] == [("PRUNED", 2)]
    assert groups[0].example_config.startswith("NK=6 BLOCK_KV=256")


def test_search_counts_no_pruned_trials(tmp_path: Path, small: JournalBuilder) -> None:
    line = next(line for line in search_panels(section_of(tmp_path, small))[0].lines if line.impl == "cpu")
    assert (line.count, line.failed) == (22, 0)


def test_headline_against_torch_counts_the_workloads_that_were_lost(tmp_path: Path, small: JournalBuilder) -> None:
    records = []
    for record in small.records():
        if record.kind == "comparison":
            won = {
                name: w.model_copy(update={"speedup_over_torch": Ratio(ratio=0.5, low=0.4, high=0.6)})
                for name, w in record.winners.items()
            }
            record = record.model_copy(update={"winners": won, "best_impl": "torch"})
        records.append(record)
    section = sections_of([read_journal(write_records(tmp_path, records))])[0]
    rows = winner_rows(section)
    assert headlines(rows, fastest_rows(rows))[0].value == "0.500×"


def test_search_line_keeps_every_improvement_and_thins_the_rest(tmp_path: Path, small: JournalBuilder) -> None:
    rng = random.Random(4)
    base = small.trial("sparse_mla_decode", "cpu", 4096, {"NK": 4, "BLOCK_KV": 64, "DEQUANT": "table"}, rng)
    assert base.timing is not None
    times = [rng.uniform(1, 2) for _ in range(3000)]
    trials = [
        base.model_copy(
            update={"config": {"TILE": i}, "timing": base.timing.model_copy(update={"median_s": t, "samples_s": []})}
        )
        for i, t in enumerate(times)
    ]
    path = write_records(tmp_path, [header(device()), *trials])
    line = search_panels(sections_of([read_journal(path)])[0])[0].lines[0]
    falls = [(i + 1, t) for i, t in enumerate(times) if t < min(times[:i], default=9.0)]
    assert line.best == falls
    assert set(line.best) <= set(line.dots)
    assert len(line.dots) <= MOST_DOTS + len(falls)
    assert line.count == 3000


def test_latency_panels_keep_shapes_apart(tmp_path: Path, small: JournalBuilder) -> None:
    records = small.records()
    moved = []
    for record in records:
        if hasattr(record, "workload"):
            workload = record.workload
            other = workload.model_copy(update={"key": "f" * 10, "axes": {**workload.axes, "b": 64}})
            moved.append(record.model_copy(update={"workload": other}))
    section = sections_of([read_journal(write_records(tmp_path, [*records[:-1], *moved, records[-1]]))])[0]
    panels = latency_panels(section, winner_rows(section))
    assert [panel.other.split()[0] for panel in panels] == ["b=1", "b=64"]


def test_command_carries_plugins_and_quotes(tmp_path: Path, small: JournalBuilder) -> None:
    run = section_of(tmp_path, small).runs[0]
    strange = run.header.model_copy(update={"command": "dsabench tune --plugin 'my kernel.py'", "suite": "a b"})
    command = reproduce_command(type(run)(run.path, strange, run.end), _workload(small), "mine")
    assert "--suite 'a b'" in command
    assert "'--plugin=my kernel.py'" in command
    assert command.startswith("dsabench tune")


def _workload(builder: JournalBuilder) -> object:
    return next(r.workload for r in builder.records() if hasattr(r, "workload"))


def test_labels_do_not_cover_each_other() -> None:
    with matplotlib.rc_context(RC):
        figure = canvas(600, 400, LIGHT)
        axes = add_axes(figure, 20, 20, 560, 360)
        axes.set_xlim(0, 1)
        axes.set_ylim(0, 1)
        rng = random.Random(1)
        labels = [
            Label(((0.4 + 0.1 * rng.random(), 0.5 + 0.1 * rng.random()),), f"some_label_{i}", "#000000")
            for i in range(7)
        ]
        placed = place_labels(axes, labels, [], 11, LIGHT)
        figure.canvas.draw()
        renderer = figure.canvas.get_renderer()  # type: ignore[attr-defined]
        boxes = [matplotlib.text.Text.get_window_extent(text, renderer) for text in placed]
        inside = axes.get_window_extent(renderer)
    for first, second in itertools.combinations(boxes, 2):
        assert not first.overlaps(second)
    for box in boxes:
        assert inside.x0 - 1 <= box.x0
        assert box.x1 <= inside.x1 + 1


@given(st.lists(st.floats(0, 300), min_size=1, max_size=12))
def test_spread_keeps_the_order_and_the_gap(positions: list[float]) -> None:
    moved = spread(positions, 13, 0, 300)
    order = sorted(range(len(positions)), key=lambda i: positions[i])
    for a, b in itertools.pairwise(order):
        assert moved[b] - moved[a] >= 13 - 1e-6
    assert all(value <= 300 for value in moved)


@given(st.floats(-8, 12), st.floats(0.05, 9))
def test_log_ticks_are_few_and_inside(exponent: float, decades: float) -> None:
    low = 10**exponent
    high = low * 10**decades
    ticks = log_ticks(low, high)
    assert 1 <= len(ticks) <= 7
    assert all(low * 0.95 <= tick <= high * 1.05 for tick in ticks)


def test_svg_escapes_text_and_titles_and_renames_ids() -> None:
    hostile = '<b onload="x">&$\\alpha$'
    with matplotlib.rc_context(RC):
        figure = canvas(200, 100, PAGE)
        axes = add_axes(figure, 10, 10, 180, 80)
        axes.plot([0, 1], [0, 1], color=PAGE.series[0], gid=f"{TITLED}0")
        axes.text(0.5, 0.5, hostile, color=PAGE.fg)
        svg = str(inline_svg(figure, "p1", hostile, [hostile]))
    assert "<b " not in svg
    assert svg.count("&lt;b onload=") == 3
    assert "var(--s1)" in svg
    assert "<title>&lt;b" in svg
    assert "http" not in svg
    assert 'id="p1-' in svg
