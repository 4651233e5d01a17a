"""inspect.jsonl is written whole and read strictly."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from dsabench.bench.inspection_file import InspectionFileError, read_inspections, write_inspections
from dsabench.bench.inspection_records import (
    CodeRecord,
    Flag,
    InspectHeader,
    Inspection,
    LaunchRecord,
    Outcome,
    ProductRecord,
    SourceRecord,
    SpanRecord,
)

HEADER = InspectHeader(
    started="2026-01-01T00:00:00+00:00",
    command="dsabench inspect",
    arch="sm_90a",
    versions={"triton": "3.7.1"},
    git_commit="unknown",
    suite="inspect",
    sources={"topk_select/triton": SourceRecord(source="0123456789ab", hardware="unverified on hardware")},
)
SPAN = SpanRecord(instructions=10, sass={"HGMMA": 4, "LDL": 0, "STL": 0}, products={"HGMMA.64x128x16.F32.BF16": 4})


def inspection(flags: list[Flag], cannot_launch: str = "", outcome: Outcome = Outcome.COMPILED) -> Inspection:
    products = ProductRecord(
        in_loop=True, trips=1, useful_flops=3, issued_flops=4, fp8_useful_flops=0, fp8_issued_flops=0
    )
    code = CodeRecord(
        kernel="k",
        num_warps=4,
        num_stages=2,
        ptx="abcdefabcdef",
        registers=96,
        local_bytes=0,
        spill_store_bytes=0,
        spill_load_bytes=0,
        shared_bytes=1024,
        whole=SPAN,
        loop=SPAN,
        products=products,
        serialized=False,
        losses=[],
        compile_s=0.5,
    )
    launch = LaunchRecord(
        code=code, grid=[1, 2], blocks_per_sm=5, warps_per_sm=20, limited_by="registers", cannot_launch=cannot_launch
    )
    return Inspection(
        op="topk_select",
        impl="triton",
        axes={"rows": 1},
        config={"BLOCK": 64, "DETERMINISTIC": True, "LOAD": "tma"},
        is_default=True,
        outcome=outcome,
        reason="" if outcome == Outcome.COMPILED else "ended by SIGKILL",
        output="",
        can_launch=not cannot_launch,
        cannot_launch=cannot_launch,
        flags=flags,
        registers=96,
        spill_bytes=0,
        local_bytes=0,
        shared_bytes=1024,
        blocks_per_sm=5,
        useful_fraction=products.useful_fraction,
        sass=SPAN.sass,
        compile_s=0.5,
        launches=[launch],
        same_code_as=None,
    )


def test_round_trip(tmp_path: Path) -> None:
    found = [inspection([Flag.ONE_BLOCK]), inspection([], outcome=Outcome.CRASHED)]
    path = write_inspections(tmp_path / "new" / "folder", HEADER, found)
    assert path.name == "inspect.jsonl"
    for where in (path, path.parent):
        read = read_inspections(where)
        assert read.header == HEADER
        assert list(read.configs) == found
    write_inspections(path.parent, HEADER, found[:1])
    assert len(read_inspections(path).configs) == 1
    assert [p.name for p in path.parent.iterdir()] == ["inspect.jsonl"]


def test_what_cannot_be_read(tmp_path: Path) -> None:
    path = write_inspections(tmp_path, HEADER, [inspection([])])
    good = path.read_text().splitlines()
    for lines, message in (
        ([], "does not begin with a header"),
        (good[1:], "does not begin with a header"),
        ([good[0], good[1][:50]], "line 2: not JSON"),
        ([good[0], json.dumps({**json.loads(good[1]), "new": 1})], "line 2: inspection.new: Extra inputs"),
        ([json.dumps({**json.loads(good[0]), "schema_version": 9})], "schema version 9; this dsabench reads 1"),
        ([good[0], good[1].replace('"registers":96', '"registers":"96"', 1)], "line 2: .*registers: Input should be"),
    ):
        path.write_text("".join(f"{line}\n" for line in lines))
        with pytest.raises(InspectionFileError, match=message):
            read_inspections(path)
    with pytest.raises(InspectionFileError, match=r"cannot read .*: No such file"):
        read_inspections(tmp_path / "absent.jsonl")


def test_what_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InspectionFileError, match="cannot write"):
        write_inspections(tmp_path / "file", HEADER, [])


@pytest.mark.parametrize(
    ("found", "reason"),
    [
        (inspection([]), None),
        (inspection([Flag.ONE_BLOCK, Flag.REPEATED, Flag.MMA_SYNC, Flag.SPILLS]), None),
        (inspection([Flag.SPILLS_IN_LOOP, Flag.SERIALIZED]), "spills in the main loop, wgmma serialized"),
        (inspection([Flag.FP8_FELL_BACK]), "fp8 product fell back"),
        (inspection([Flag.CANNOT_LAUNCH], "k: too much"), "cannot launch: k: too much"),
        (inspection([], outcome=Outcome.CRASHED), "does not compile: ended by SIGKILL"),
    ],
)
def test_what_need_not_be_tried(found: Inspection, reason: str | None) -> None:
    assert found.prune_reason == reason


def test_identities() -> None:
    found = inspection([])
    assert found.code_identity == (("k", "abcdefabcdef"),)
    assert hash(found.id) == hash(inspection([Flag.SPILLS]).id)
    assert found.id.config == (("BLOCK", 64), ("DETERMINISTIC", True), ("LOAD", "tma"))
