"""Every compiled config as a row, for the table that the page's script draws."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from dsabench.bench.inspection_records import Inspection
from dsabench.kernels.sizes import format_size
from dsabench.reports.failures import shorten
from dsabench.reports.island import Column, island
from dsabench.reports.quantities import format_config

LONGEST_REASON = 240


@dataclass(frozen=True)
class InspectionTable:
    """`shown` of `total` configs, as data for the page's script."""

    shown: int
    total: int
    data: Markup


def inspection_table(configs: Sequence[Inspection], most: int) -> InspectionTable:
    """The first `most` in the file's order."""
    shown = configs[:most]
    columns = [
        Column("op", "op", "text", [i.op for i in shown], filter=True),
        Column("impl", "implementation", "text", [i.impl for i in shown], filter=True),
        Column("axes", "workload", "text", [_axes(i) for i in shown], filter=True),
        Column("config", "config", "text", [format_config(i.config) for i in shown]),
        Column("default", "default", "text", ["default" if i.is_default else "" for i in shown], hidden=True),
        Column("registers", "registers", "count", [i.registers for i in shown]),
        Column("spill_bytes", "spilled, B", "count", [i.spill_bytes for i in shown]),
        Column("shared_bytes", "shared, B", "count", [i.shared_bytes for i in shown]),
        Column("blocks_per_sm", "blocks an SM", "count", [i.blocks_per_sm for i in shown]),
        Column("useful_fraction", "useful products", "share", [i.useful_fraction for i in shown]),
        Column("predicted_s", "predicted", "seconds", [i.predicted_s for i in shown]),
        Column("flags", "flags", "text", [", ".join(i.flags) for i in shown]),
        Column("worth", "worth a trial", "text", ["no" if i.prune_reason else "yes" for i in shown], filter=True),
        Column("why_not", "why not", "text", [shorten(i.prune_reason or "", LONGEST_REASON) for i in shown]),
        Column("same_code_as", "same code as", "text", [_same(i) for i in shown], hidden=True),
    ]
    # Facts of ops without products, or of a run without predictions, would be columns of dashes.
    known = [c for c in columns if c.kind == "text" or any(value is not None for value in c.values)]
    return InspectionTable(len(shown), len(configs), island(known))


def _axes(inspection: Inspection) -> str:
    return " ".join(f"{name}={format_size(value)}" for name, value in inspection.axes.items())


def _same(inspection: Inspection) -> str:
    return format_config(inspection.same_code_as) if inspection.same_code_as else ""
