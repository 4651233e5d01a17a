"""From journals to `report.html` and `plots/*.png`. Reads nothing else and measures nothing."""

from __future__ import annotations

import os
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import matplotlib
from matplotlib.figure import Figure

from dsabench.bench.gate.reading import read_for_gate
from dsabench.bench.inspection_file import RESULTS_NAME, Inspections, read_inspections
from dsabench.bench.journal import JOURNAL_NAME, PACKED_NAME, Journal, collection_paused, read_journal
from dsabench.bench.records import Status
from dsabench.reports.against import AgainstError, compare_with
from dsabench.reports.dense.losses import loss_groups
from dsabench.reports.dense.rows import rows_of
from dsabench.reports.dense.study import studies_of
from dsabench.reports.dense.view import PUBLISHED_CAVEAT
from dsabench.reports.figures import cost, latency, losses, memory, predicted, roofline, search, speedup, stages
from dsabench.reports.figures.theme import LIGHT, RC, save_png
from dsabench.reports.known import Known, know
from dsabench.reports.page import render, view_all
from dsabench.reports.sections import Section, sections_of

REPORT_NAME = "report.html"
LARGEST = 5_000_000
"""bytes: what mail and review tools still take"""


class ReportError(Exception):
    """A report that cannot be made or written; the message says why, in one line."""


@dataclass(frozen=True)
class Built:
    """What was written, and from what."""

    html: Path
    plots: list[Path]
    points: int
    """context lengths at which `compare --dense` measured something"""
    trials: int
    by_status: dict[str, int]
    inspected: int
    """configs that `dsabench inspect` compiled"""


def build_report(journal_paths: list[Path], out_dir: Path) -> Path:
    """Writes out_dir/report.html and out_dir/plots/*.png and returns the HTML's path. `journal_paths` are journals or
    directories that hold one, or what `dsabench inspect` wrote, or both. Raises JournalError or InspectionFileError
    (unreadable or malformed) or ReportError (unwritable)."""
    return build(journal_paths, out_dir).html


def build(journal_paths: list[Path], out_dir: Path, against: Sequence[Path] = ()) -> Built:
    """As `build_report`, with what was written. `against`: older journals or their directories, to stand beside these; ReportError
    too where they cannot."""
    if not journal_paths:
        raise ReportError("no journal was given; name the directories that `dsabench tune` wrote")
    journals, inspections = _read(journal_paths)
    # None of it holds cycles. Figures do: they are collected.
    with collection_paused():
        sections = sections_of(journals)
        known = [know(section) for section in sections]
    try:
        older = compare_with(sections, [read_for_gate(path) for path in against])
    except AgainstError as error:
        raise ReportError(str(error)) from error
    plots_dir = out_dir / "plots"
    try:
        plots_dir.mkdir(parents=True, exist_ok=True)
        with matplotlib.rc_context(RC), warnings.catch_warnings():
            # A device may be named in a script that the font lacks: boxes in a PNG, and no reason to speak.
            warnings.filterwarnings("ignore", message="Glyph .* missing")
            plots = [path for index, each in enumerate(known) for path in _write_plots(each, index, plots_dir)]
            views = view_all(known, inspections, older)
            text = render(views)
            if len(text.encode()) > LARGEST:
                text = render(views.lean())
        html = out_dir / REPORT_NAME
        partial = html.with_suffix(".html.partial")
        partial.write_text(text, encoding="utf-8")
        os.replace(partial, html)
    except OSError as error:
        raise ReportError(f"cannot write the report in {out_dir}: {error.strerror or error}") from error
    counts = [section.count_by_status() for section in sections]
    return Built(
        html=html,
        plots=plots,
        points=sum(len(study.points) for section in sections for study in studies_of(section)),
        trials=sum(len(section.trials) for section in sections),
        by_status={status.value: sum(count[status.value] for count in counts) for status in Status},
        inspected=sum(len(found.configs) for found in inspections),
    )


def _read(paths: list[Path]) -> tuple[list[Journal], list[Inspections]]:
    """Journals, and inspections beside or instead of them. A directory with neither counts as one without a journal."""
    journals, inspections = [], []
    for path in paths:
        inspected = path / RESULTS_NAME
        found = inspected.is_file()
        if found:
            inspections.append(read_inspections(inspected))
        if not found or any((path / name).exists() for name in (JOURNAL_NAME, PACKED_NAME)):
            journals.append(read_journal(path))
    return journals, inspections


def _write_plots(known: Known, index: int, directory: Path) -> list[Path]:
    """The PNGs of a device, those that have something to show; a second device's names end in `-2`. An older plot of
    the same name that has nothing to show any more is removed: it would pass for this report's."""
    section, dots, rated, impls, predictions = known.section, known.dots, known.rated, known.impls, known.predictions
    name = section.device.name
    panels = known.latency[: latency.MOST_PANELS]
    searches = search.one_an_op(known.searches)
    figures: dict[str, Figure | None] = {
        "roofline": roofline.draw_roofline(section, dots, LIGHT, narrow=False, title=f"Roofline, {name}")[0]
        if dots
        else None,
        "latency": latency.draw_latency_grid(panels, LIGHT, impls, f"Latency against context length, {name}")
        if panels
        else None,
        "speedup": speedup.draw_speedup(rated, LIGHT, narrow=False, title=f"What tuning gave, {name}")[0]
        if rated
        else None,
        "search": search.draw_search_grid(searches, LIGHT, impls, f"Best so far against trials, {name}")
        if searches
        else None,
        "predicted": predicted.draw_predicted(
            predictions, LIGHT, narrow=False, title=f"Predicted against measured, {name}"
        )[0]
        if predictions
        else None,
        **_dense_plots(section),
    }
    written = []
    for kind, figure in figures.items():
        path = directory / (f"{kind}.png" if index == 0 else f"{kind}-{index + 1}.png")
        if figure is None:
            path.unlink(missing_ok=True)
            continue
        save_png(figure, str(path))
        written.append(path)
    return written


def _dense_plots(section: Section) -> dict[str, Figure | None]:
    """Of `compare --dense`: all its phases in one figure each."""
    name = section.device.name
    studies = [(study, rows_of(study)) for study in studies_of(section)]
    costs = [priced for study, rows in studies if (priced := cost.cost_panel(study, rows))]
    timed = [staged for study, rows in studies if (staged := stages.stage_panel(study, rows))]
    memories = [held for study, _ in studies if (held := memory.memory_panel(study))]
    groups = loss_groups(section.losses)
    return {
        "cost": cost.draw_cost_grid(
            costs, LIGHT, f"Cost of attention per million tokens, {name}", f"{PUBLISHED_CAVEAT}."
        )
        if costs
        else None,
        "stages": stages.draw_stages_grid(
            timed,
            LIGHT,
            f"Sparse by stage, beside dense, {name}",
            "A call in one layer. Ticks: intervals. Dashed, with its interval as a band: the length from which the winner changes.",
        )
        if timed
        else None,
        "memory": memory.draw_memory_grid(
            memories,
            LIGHT,
            f"Memory of attention, {name}",
            "Of a call, filled: buffers allocated once (scores, indices, outputs); outline: what it needs besides at its peak.",
        )
        if memories
        else None,
        "losses": losses.draw_losses(
            groups,
            LIGHT,
            narrow=False,
            title=f"What selecting keys loses, {name}",
            subtitle="Against dense attention in float64. Lines: median over queries; band: lowest to highest."
            + (" Synthetic inputs say nothing of a trained model." if any(group.synthetic for group in groups) else ""),
        )[0]
        if groups
        else None,
    }
