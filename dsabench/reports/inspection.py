"""The configs that `dsabench inspect` compiled, as grids: tile shapes down, warps and stages across."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

from dsabench.bench.inspection_file import Inspections
from dsabench.bench.inspection_records import Flag, Inspection, Outcome
from dsabench.kernels.sizes import format_size
from dsabench.reports.quantities import format_config, format_time

MOST_REGISTERS = 255
"""of a thread; what ptxas cannot place spills"""
ACROSS = ("NUM_WARPS", "NUM_STAGES")
"""Tunables that stand in the columns, where a grid has them."""
MARKS = {
    Flag.CANNOT_LAUNCH: "✗",
    Flag.FP8_FELL_BACK: "F",
    Flag.SPILLS_IN_LOOP: "S",
    Flag.SERIALIZED: "W",
    Flag.NO_TENSOR_CORE: "N",
    Flag.MMA_SYNC: "M",
    Flag.REPEATED: "R",
    Flag.SPILLS: "s",
    Flag.ONE_BLOCK: "1",
}


@dataclass(frozen=True)
class Cell:
    """One config: its marks in a few letters, everything else in words."""

    inspection: Inspection
    marks: str
    facts: str

    @property
    def tooltip(self) -> str:
        same = self.inspection.same_code_as
        more = f"; same code as {format_config(same)}" if same else ""
        return f"{format_config(self.inspection.config)}: {self.facts}{more}"

    @property
    def heat(self) -> int:
        """Registers as a share of what a thread can have, per cent of the strongest tint."""
        return round(60 * (self.inspection.registers or 0) / MOST_REGISTERS)

    @property
    def css_class(self) -> str:
        names = [
            name
            for name, holds in (
                ("bad", self.inspection.prune_reason),
                ("same", self.inspection.same_code_as),
                ("top", self.inspection.is_default),
            )
            if holds
        ]
        return " ".join(names)


@dataclass(frozen=True)
class Grid:
    """One implementation on one workload. `inert` are tunables that change no machine code: one of their values is shown."""

    op: str
    impl: str
    axes: str
    hardware: str
    down: tuple[str, ...]
    across: tuple[str, ...]
    columns: tuple[str, ...]
    rows: tuple[tuple[str, tuple[Cell | None, ...]], ...]
    inert: tuple[str, ...]
    configs: int
    distinct: int
    to_try: int
    default: Cell | None
    """the default config, also where its cell is one that stands for several"""
    failures: tuple[str, ...]
    """configs that did not compile, each with its reason"""

    @property
    def name(self) -> str:
        return f"{self.op}/{self.impl}"


def grids_of(inspections: Inspections) -> list[Grid]:
    """In the order of the file: a grid for each implementation on each workload."""
    groups: dict[tuple[str, str, str], list[Inspection]] = {}
    for inspection in inspections.configs:
        groups.setdefault((inspection.op, inspection.impl, json.dumps(inspection.axes)), []).append(inspection)
    return [_grid(group, inspections) for group in groups.values()]


def _grid(group: list[Inspection], inspections: Inspections) -> Grid:
    first = group[0]
    names = list(first.config)
    shown, inert = _without_inert(group, names)
    varying = [name for name in names if name not in inert and len({repr(i.config[name]) for i in shown}) > 1]
    across = tuple(name for name in varying if name in ACROSS) or tuple(varying[-1:])
    down = tuple(name for name in varying if name not in across)
    columns = list(dict.fromkeys(_point(i, across) for i in shown))
    cells: dict[tuple[str, ...], dict[tuple[str, ...], Cell]] = {}
    for inspection in shown:
        cells.setdefault(_point(inspection, down), {})[_point(inspection, across)] = _cell(inspection)
    source = inspections.header.sources.get(f"{first.op}/{first.impl}")
    default = next((i for i in group if i.is_default), None)
    return Grid(
        op=first.op,
        impl=first.impl,
        axes=" ".join(f"{name}={format_size(value)}" for name, value in first.axes.items()),
        hardware=source.hardware if source else "",
        down=down,
        across=across,
        columns=tuple(" · ".join(point) for point in columns),
        rows=tuple(
            (" · ".join(point), tuple(found.get(column) for column in columns)) for point, found in cells.items()
        ),
        inert=tuple(inert),
        configs=len(group),
        distinct=len({i.code_identity for i in group if i.launches}),
        to_try=sum(i.prune_reason is None for i in group),
        default=_cell(default) if default else None,
        failures=tuple(f"{format_config(i.config)}: {i.reason}" for i in group if i.outcome is not Outcome.COMPILED),
    )


def _point(inspection: Inspection, names: Sequence[str]) -> tuple[str, ...]:
    return tuple(str(inspection.config[name]) for name in names)


def _without_inert(group: list[Inspection], names: list[str]) -> tuple[list[Inspection], list[str]]:
    """The configs with every tunable that changes no machine code held at one value, and those tunables."""
    inert: list[str] = []
    kept = group
    for name in names:
        others: dict[str, list[Inspection]] = {}
        for inspection in kept:
            rest = {k: v for k, v in inspection.config.items() if k != name}
            others.setdefault(json.dumps(rest), []).append(inspection)
        several = [same for same in others.values() if len(same) > 1]
        if not several or any(len({i.code_identity for i in same}) > 1 for same in several):
            continue
        inert.append(name)
        held = next((i.config[name] for i in group if i.is_default), kept[0].config[name])
        kept = [next((i for i in same if i.config[name] == held), same[0]) for same in others.values()]
    return kept, inert


def _cell(inspection: Inspection) -> Cell:
    if inspection.outcome is not Outcome.COMPILED:
        return Cell(inspection, "!", f"{inspection.outcome}: {inspection.reason}")
    products: dict[str, int] = {}
    for launch in inspection.launches:
        if launch.code.loop is not None:
            for name, count in launch.code.loop.sass.items():
                if name.endswith("MMA") and count:
                    products[name] = products.get(name, 0) + count
    facts = [
        f"{inspection.registers} registers",
        *([f"{inspection.spill_bytes} B spilled"] if inspection.spill_bytes else []),
        f"{(inspection.shared_bytes or 0) / 1024:.0f} KB shared",
        f"{inspection.blocks_per_sm} {'block' if inspection.blocks_per_sm == 1 else 'blocks'} an SM",
        *(f"{count} {name} in the main loop" for name, count in products.items()),
        *([f"{inspection.useful_fraction:.0%} of them useful"] if inspection.useful_fraction is not None else []),
        *(str(flag) for flag in inspection.flags if flag is not Flag.ONE_BLOCK),
        *([f"predicted {format_time(inspection.predicted_s)}"] if inspection.predicted_s is not None else []),
        *([inspection.cannot_launch] if inspection.cannot_launch else []),
    ]
    return Cell(inspection, "".join(MARKS[flag] for flag in inspection.flags), ", ".join(facts))
