"""What `dsabench inspect` found, as heat maps: alone, beside a journal, and when it holds what nobody wished for."""

from __future__ import annotations

from pathlib import Path

import pytest

from dsabench.bench.inspection_file import InspectionFileError, Inspections, write_inspections
from dsabench.bench.inspection_records import (
    CodeRecord,
    Flag,
    InspectHeader,
    Inspection,
    LaunchRecord,
    Outcome,
    SourceRecord,
    SpanRecord,
)
from dsabench.reports.build import build
from dsabench.reports.inspection import MARKS, grids_of
from tests.reports.journals import JournalBuilder
from tests.reports.pages import Page

HEADER = InspectHeader(
    started="2026-11-23T18:00:00+00:00", command="dsabench inspect", arch="sm_90a", versions={"triton": "3.7.1"},
    git_commit="0" * 40, suite="inspect", sources={"topk_select/triton": SourceRecord(source="ab", hardware="unverified on hardware")},
)  # fmt: skip


def code(ptx: str, registers: int) -> CodeRecord:
    sass = {"HGMMA": 4, "QGMMA": 0, "HMMA": 0, "LDL": 0, "STL": 0}
    return CodeRecord(
        kernel="select", num_warps=4, num_stages=2, ptx=ptx, registers=registers, local_bytes=0, spill_store_bytes=0,
        spill_load_bytes=0, shared_bytes=65536, whole=SpanRecord(instructions=900, sass=sass, products={}),
        loop=SpanRecord(instructions=100, sass=sass, products={}), products=None, serialized=False, losses=[], compile_s=1.0,
    )  # fmt: skip


def inspection(config: dict, ptx: str = "", registers: int | None = 100, default: bool = False, **more) -> Inspection:
    launch = LaunchRecord(
        code=code(ptx, registers or 0),
        grid=[1],
        blocks_per_sm=2,
        warps_per_sm=8,
        limited_by="registers",
        cannot_launch="",
    )
    fields = {
        "op": "topk_select", "impl": "triton", "axes": {"rows": 1, "s_kv": 131072}, "config": config,
        "is_default": default, "outcome": Outcome.COMPILED, "reason": "", "output": "", "can_launch": True,
        "cannot_launch": "", "flags": [], "registers": registers, "spill_bytes": 0, "local_bytes": 0, "shared_bytes": 65536,
        "blocks_per_sm": 2, "useful_fraction": 1.0, "sass": {"HGMMA": 4}, "compile_s": 1.0, "launches": [launch],
        "same_code_as": None,
    }  # fmt: skip
    return Inspection(**fields | more)


def grid_2x2x2() -> Inspections:
    """BLOCK and NUM_WARPS change the code, NUM_SPLITS does not."""
    found = [
        inspection(
            {"BLOCK": block, "NUM_WARPS": warps, "NUM_SPLITS": splits},
            f"{block}-{warps}",
            registers=block + warps,
            default=(block, warps, splits) == (64, 8, 4),
        )
        for block in (32, 64)
        for warps in (4, 8)
        for splits in (1, 4)
    ]
    return Inspections(HEADER, tuple(found))


def test_tiles_stand_down_warps_across_and_inert_tunables_are_named() -> None:
    (grid,) = grids_of(grid_2x2x2())
    assert (grid.down, grid.across, grid.columns, grid.inert) == (
        ("BLOCK",), ("NUM_WARPS",), ("4", "8"), ("NUM_SPLITS",),
    )  # fmt: skip
    assert [label for label, _ in grid.rows] == ["32", "64"]
    assert [[c.inspection.registers for c in cells if c] for _, cells in grid.rows] == [[36, 40], [68, 72]]
    assert (grid.configs, grid.distinct, grid.to_try) == (8, 4, 8)
    assert grid.default is not None
    assert grid.default.inspection.config == {"BLOCK": 64, "NUM_WARPS": 8, "NUM_SPLITS": 4}
    # Of the two that are one code the default's is the one shown, in bold.
    assert [c.css_class for _, cells in grid.rows for c in cells if c] == ["", "", "", "top"]


def test_a_tunable_that_changes_some_codes_is_kept() -> None:
    found = [inspection({"A": a, "B": b}, "x" if a == 1 else f"y{b}") for a in (1, 2) for b in (1, 2)]
    (grid,) = grids_of(Inspections(HEADER, tuple(found)))
    assert grid.inert == ()
    assert (grid.distinct, grid.configs) == (3, 4)


def test_illegal_points_are_gaps_and_marks_say_what_is_wrong() -> None:
    bad = inspection(
        {"A": 2, "B": 2}, "z", flags=[Flag.CANNOT_LAUNCH, Flag.ONE_BLOCK], can_launch=False,
        cannot_launch="select: 300 KB of shared memory",
    )  # fmt: skip
    found = (inspection({"A": 1, "B": 1}, "x"), inspection({"A": 1, "B": 2}, "y"), bad)
    (grid,) = grids_of(Inspections(HEADER, found))
    assert [[cell is None for cell in cells] for _, cells in grid.rows] == [[False, False], [True, False]]
    cell = grid.rows[1][1][1]
    assert cell is not None
    assert cell.marks == MARKS[Flag.CANNOT_LAUNCH] + MARKS[Flag.ONE_BLOCK]
    assert cell.css_class == "bad"
    assert "300 KB of shared memory" in cell.tooltip
    assert grid.to_try == 2


def test_predicted_times_are_called_that(tmp_path: Path) -> None:
    found = [inspection({"BLOCK": 64}, "x", predicted_s=1.5e-3), inspection({"BLOCK": 32}, "y")]
    header = HEADER.model_copy(update={"predicted_for": "H100 SXM, vendor's figures"})
    (grid,) = grids_of(Inspections(header, tuple(found)))
    cells = [cell for _, row in grid.rows for cell in row if cell]
    assert ["predicted 1.5" in cell.facts.replace("1.50", "1.5") for cell in cells] == [True, False]
    write_inspections(tmp_path, header, found)
    assert (
        "are for H100 SXM, vendor's figures; none was measured" in Page(build([tmp_path], tmp_path / "out").html).text
    )


def test_every_flag_has_a_mark_of_its_own() -> None:
    assert set(MARKS) == set(Flag)
    assert len(set(MARKS.values())) == len(MARKS)


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    failed = inspection(
        {"BLOCK": 128, "NUM_WARPS": 4, "NUM_SPLITS": 1}, outcome=Outcome.TIMEOUT,
        reason="not done within 120 s <script>alert(1)</script>", registers=None, launches=[], blocks_per_sm=None,
        shared_bytes=None, sass=None, can_launch=None,
    )  # fmt: skip
    write_inspections(tmp_path, HEADER, [*grid_2x2x2().configs, failed])
    return tmp_path


def test_a_directory_without_a_journal_has_a_report_of_its_grids(directory: Path) -> None:
    built = build([directory], directory / "out")
    page = Page(built.html)
    assert page.unbalanced == []
    assert built.trials == 0
    assert built.plots == []
    rows = page.table("Compiled grid of topk_select/triton, rows=1 s_kv=128k")
    assert [row[0] for row in rows] == ["32", "64", "128"]
    assert rows[1][1].startswith("68")
    assert rows[2][1] == "did not compile"
    assert "unverified on hardware" in page.text
    assert "NUM_SPLITS changes no machine code" in page.text
    page.stands_alone()
    assert "<script>alert" not in page.source
    configs = page.drawn("Every config, compiled for sm_90a")
    assert [row["worth"] for row in configs] == ["yes"] * 8 + ["no"]
    assert "<script>alert(1)</script>" in str(configs[-1]["why_not"])
    assert "TIMEOUT" in page.source
    assert "How to read" not in page.text


def test_beside_a_journal_both_are_on_one_page(directory: Path, small: JournalBuilder) -> None:
    small.write(directory)
    page = Page(build([directory], directory / "out").html)
    assert page.unbalanced == []
    assert "Winners" in page.text
    assert "Compiled for sm_90a" in page.text
    assert len(page.ids) == len(set(page.ids))
    assert "#inspect1" in page.references


def test_a_malformed_file_is_named_with_its_line(directory: Path) -> None:
    path = directory / "inspect.jsonl"
    lines = path.read_text().splitlines()
    path.write_text("\n".join([lines[0], lines[1].replace('"registers":36', '"registers":"many"'), *lines[2:]]))
    with pytest.raises(InspectionFileError, match=r"inspect\.jsonl, line 2"):
        build([directory], directory / "out")
