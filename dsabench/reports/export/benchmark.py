"""github-action-benchmark's `customSmallerIsBetter`: a list of named times, for dashboards on GitHub pages."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from dsabench.bench.journal import Journal
from dsabench.bench.records import Measured, PipelinePoint
from dsabench.kernels.sizes import format_size
from dsabench.reports.export.exported import Exported, ExportError, LeftOut, json_text, write_file
from dsabench.reports.quantities import Span, format_config
from dsabench.reports.sections import Section, sections_of
from dsabench.reports.winners import WinnerRow, winner_rows

UNIT = "us"
"""One for all, for ever: a dashboard takes the numbers as they come."""


def write_benchmark(journals: list[Journal], path: Path) -> Exported:
    """One entry for the winner of each implementation on each workload, and for each side of a pipeline against dense attention.
    Names hold neither config nor version, so that a curve goes on where the winner changes. Raises ExportError."""
    sections = sections_of(journals)
    if len(sections) > 1:
        names = " and ".join(section.device.key for section in sections[:2])
        raise ExportError(f"one dashboard is of one device, these journals are of {names}; export them one by one")
    done = Exported()
    entries: list[dict[str, Any]] = []
    for section in sections:
        entries += _winners(section, done)
        latest = {_pipeline_name(point): point for point in section.pipelines}
        entries += [entry for name, point in latest.items() for entry in _pipeline(name, point, done)]
    if not entries:
        raise ExportError("nothing to export: no implementation passed on any workload of these journals")
    write_file(path, json_text(entries))
    done.files, done.rows = [path], len(entries)
    return done


def _winners(section: Section, done: Exported) -> list[dict[str, Any]]:
    entries = []
    for row in (row for rows in winner_rows(section).values() for row in rows):
        if row.workload is None or row.time is None:
            done.left_out.append(LeftOut(_name(row), row.note or row.state))
            continue
        entries.append(_entry(_name(row), row.time, _winner_words(row)))
    return entries


def _name(row: WinnerRow) -> str:
    if row.workload is None:
        return f"{row.op}/{row.impl}"
    words = [f"{name}={format_size(value)}" for name, value in row.workload.axes.items()]
    if row.workload.distribution != "normal":
        words.append(f"({row.workload.distribution})")
    return " ".join([f"{row.op}/{row.impl}", *words])


def _winner_words(row: WinnerRow) -> list[str]:
    words = [f"config: {format_config(row.config)}"]
    if row.ties:
        words.append(f"ties with {len(row.ties)} other configs within the noise")
    if row.fraction is not None:
        words.append(f"{row.fraction:.1%} of the roofline ({row.limit})")
    for against, span in (("its default config", row.over_default), ("eager torch", row.over_torch)):
        if span is not None:
            interval = "" if span.low is None or span.high is None else f" [{span.low:.3f}, {span.high:.3f}]"
            words.append(f"{span.value:.3f} times as fast as {against}{interval}")
    if row.state != "compared":
        words.append("one trial, not re-timed against its rivals")
    return words


def _pipeline_name(point: PipelinePoint) -> str:
    axes = " ".join(f"{name}={format_size(value)}" for name, value in point.axes.items())
    name = f"{point.phase} context={format_size(point.context)} queries={format_size(point.queries)} {axes}"
    return name if point.distribution == "normal" else f"{name} ({point.distribution})"


def _pipeline(name: str, point: PipelinePoint, done: Exported) -> list[dict[str, Any]]:
    entries = []
    for title, side in (("sparse", point.sparse), ("dense", point.dense), ("eager", point.eager)):
        if side is None:
            done.left_out.append(LeftOut(f"pipeline/{title} {name}", point.gaps.get(title, "not measured")))
            continue
        words = [f"{stage.name}: {stage.impl} {format_config(stage.config)}" for stage in side.stages]
        entries.append(_entry(f"pipeline/{title} {name}", _span(side.time), words))
    return entries


def _span(time: Measured) -> Span:
    return Span(time.median_s, time.low_s, time.high_s)


def _entry(name: str, time: Span, words: list[str]) -> dict[str, Any]:
    """range: the further end of the median's interval, as the charts show one number."""
    entry: dict[str, Any] = {"name": name, "unit": UNIT, "value": round(time.value * 1e6, 4)}
    if time.low is not None and time.high is not None:
        entry["range"] = f"± {max(time.high - time.value, time.value - time.low) * 1e6:.4g}"
        words = [f"95 % interval: {time.low * 1e6:.6g} to {time.high * 1e6:.6g} {UNIT}", *words]
    return entry | {"extra": "\n".join(words)}
