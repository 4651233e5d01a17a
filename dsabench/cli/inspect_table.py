"""Inspections as tables on the terminal: one row for each distinct machine code."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from dsabench.autotune.inspect.summary import Summary, summaries
from dsabench.bench.inspection_records import Flag, InspectHeader, Inspection

if TYPE_CHECKING:
    from rich.table import Table

PIPE_WIDTH = 120
_WORDS = {  # Flag.ONE_BLOCK stands in its column
    Flag.CANNOT_LAUNCH: "no launch",
    Flag.FP8_FELL_BACK: "fp8 fell back",
    Flag.SPILLS_IN_LOOP: "loop spills",
    Flag.SERIALIZED: "serialized",
    Flag.NO_TENSOR_CORE: "no tensor cores",
    Flag.MMA_SYNC: "mma.sync",
    Flag.REPEATED: "repeats",
    Flag.SPILLS: "spills",
}
_LEGEND = (
    "* default. regs, spill (bytes stored and loaded): of a thread; smem: of a block; each the worst of a config's launches. "
    "blk: blocks an SM (!: one). products: tensor-core instructions in the main loop. useful: share of the issued tensor-core "
    "FLOPs that the source asks for. same: further configs with this machine code. sec: compile time."
)
_PREDICTED = "pred: µs of a call as predicted for {}, not measured: an order to try configs in, no claim of speed."
Group = tuple[str, str, tuple[tuple[str, int], ...]]


def print_inspections(header: InspectHeader, found: list[Inspection], wall_s: float, written: Path | None) -> None:
    from rich.console import Console

    console = Console()
    if not console.is_terminal and "COLUMNS" not in console._environ:
        console = Console(width=PIPE_WIDTH)  # a pipe has no width
    for (op, impl, axes), group in _groups(found).items():
        console.print(
            _title(op, impl, axes, header, group), markup=False, highlight=False, style="bold", soft_wrap=True
        )
        if any(inspection.launches for inspection in group):
            console.print(_table(group))
    console.print(_LEGEND, style="dim", highlight=False)
    if header.predicted_for:
        console.print(_PREDICTED.format(header.predicted_for), style="dim", highlight=False)
    for summary in summaries(found):
        console.print(_summary_line(summary), markup=False, highlight=False, soft_wrap=True)
    versions = " ".join(f"{name} {version}" for name, version in header.versions.items())
    console.print(f"{header.arch}, {versions}; {wall_s:.1f} s", markup=False, highlight=False, soft_wrap=True)
    if written:
        console.print(f"written: {written}", markup=False, highlight=False, soft_wrap=True)


def _groups(found: list[Inspection]) -> dict[Group, list[Inspection]]:
    groups: dict[Group, list[Inspection]] = {}
    for inspection in found:
        groups.setdefault((inspection.op, inspection.impl, tuple(inspection.axes.items())), []).append(inspection)
    return groups


def _title(
    op: str, impl: str, axes: tuple[tuple[str, int], ...], header: InspectHeader, group: list[Inspection]
) -> str:
    from dsabench.kernels.sizes import format_size

    shape = " ".join(f"{name}={format_size(value)}" for name, value in axes)
    fixed = " ".join(f"{name}={value}" for name, value in group[0].config.items() if name not in _varying(group))
    source = header.sources[f"{op}/{impl}"]
    return f"\n{op}/{impl}  {shape}" + (f"  ({fixed})" if fixed else "") + f"  {source.hardware}"


def _varying(group: list[Inspection]) -> list[str]:
    """Tunables that differ between the rows; the others stand in the title."""
    return [name for name in group[0].config if len({str(i.config[name]) for i in group}) > 1]


def _table(group: list[Inspection]) -> Table:
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    names = _varying(group)
    multiply = any(launch.code.products for inspection in group for launch in inspection.launches)
    table = Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False, show_edge=False)
    table.add_column("")
    for name in names:
        table.add_column(name.replace("_", "\n"), justify="right", vertical="bottom")
    for name in ("regs", "spill", "smem\nKB", "blk"):
        table.add_column(name, justify="right", vertical="bottom")
    for name in ("products", "use-\nful") if multiply else ():
        table.add_column(name, justify="right", vertical="bottom")
    for name in ("pred\nµs", "same", "sec"):
        table.add_column(name, justify="right", vertical="bottom")
    table.add_column("flags", vertical="bottom", overflow="fold")
    shown = [i for i in group if i.same_code_as is None or i.is_default or i.cannot_launch]
    for inspection in shown:
        others = [i for i in group if i not in shown and i.same_code_as == inspection.config]
        values = [str(inspection.config[name]) for name in names]
        table.add_row("*" if inspection.is_default else "", *values, *_facts(inspection, len(others), multiply))
    return table


def _facts(inspection: Inspection, same: int, multiply: bool) -> list[str]:
    if not inspection.launches or inspection.shared_bytes is None or inspection.compile_s is None:
        return [*[""] * (9 if multiply else 7), f"[red]{inspection.outcome}[/]"]
    fraction = inspection.useful_fraction
    products = [_products(inspection), "-" if fraction is None else f"{fraction:.0%}"] if multiply else []
    return [
        str(inspection.registers),
        str(inspection.spill_bytes or "-"),
        f"{inspection.shared_bytes / 1024:.0f}",
        f"{inspection.blocks_per_sm}" + (" !" if Flag.ONE_BLOCK in inspection.flags else "  "),
        *products,
        "-" if inspection.predicted_s is None else _microseconds(inspection.predicted_s),
        str(same or "-"),
        f"{inspection.compile_s:.1f}",
        ", ".join(f"[red]{_WORDS[flag]}[/]" for flag in inspection.flags if flag in _WORDS),
    ]


def _microseconds(seconds: float) -> str:
    """Three digits; `1440`, not `1.44e+03`."""
    return f"{seconds * 1e6:.0f}" if seconds >= 1e-4 else f"{seconds * 1e6:.3g}"


def _products(inspection: Inspection) -> str:
    """Of the launch with most of them: `HGMMA 44`."""
    spans = [launch.code.loop or launch.code.whole for launch in inspection.launches]
    span = max(spans, key=lambda s: sum(s.products.values()))
    kinds: dict[str, int] = {}
    for opcode, number in span.products.items():
        family = opcode.split(".")[0]
        kinds[family] = kinds.get(family, 0) + number
    return " ".join(f"{family} {number}" for family, number in kinds.items()) or "-"


def _summary_line(summary: Summary) -> str:
    failed = summary.configs - summary.compiled
    return (
        f"{summary.op}/{summary.impl}: {summary.configs} configs, {summary.distinct} distinct, "
        f"{summary.can_launch} can launch, {summary.to_try} worth a trial"
        + (f", {failed} do not compile" if failed else "")
        + f"; default {summary.default}"
    )
