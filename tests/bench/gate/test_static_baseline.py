"""The committed file of facts: small, sorted, without times, and read back as it was."""

from __future__ import annotations

import json
import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from dsabench.bench.gate.static_baseline import StaticConfig, read_static, static_side, write_static
from dsabench.bench.inspection_file import InspectionFileError, Inspections, write_inspections
from dsabench.bench.inspection_records import Inspection, Outcome, SpanRecord
from tests.bench.test_inspection_file import HEADER, inspection


def made(*, op: str = "topk_select", config: dict[str, Any] | None = None, s_kv: int = 4096, **more: Any) -> Inspection:
    update = {"op": op, "config": config or {"BLOCK": 64}, "axes": {"rows": 1, "s_kv": s_kv}, **more}
    return inspection([]).model_copy(update=update)


ALL = [
    made(config={"BLOCK": block, "LOAD": load}, s_kv=s_kv, is_default=block == 64)
    for s_kv in (4096, 131072)
    for block in (64, 128)
    for load in ("cp.async", "tma")
]


def side(*inspections: Inspection, **header: Any):
    return static_side(Inspections(HEADER.model_copy(update=header), inspections))


def test_it_is_read_back_as_it_was(tmp_path: Path) -> None:
    failed = made(op="dense_mla_decode", outcome=Outcome.TIMEOUT, reason="120 s", launches=[])
    before = side(*ALL, failed)
    write_static(tmp_path / "baselines" / "inspect.jsonl", before)
    after = read_static(tmp_path / "baselines" / "inspect.jsonl")
    assert after == replace(before, name=str(tmp_path / "baselines" / "inspect.jsonl"))
    assert [c.runs for c in after.configs].count(False) == 1
    assert after.sources == {"topk_select/triton": "0123456789ab"}


def test_its_facts_are_those_of_the_inspection() -> None:
    code = ALL[0].launches[0].code
    loop = SpanRecord(instructions=9, sass={"LDL": 2, "STL": 1}, products={"QGMMA.64x64x32": 2, "HMMA.16816": 1})
    products = code.products
    assert products is not None
    unrolled = products.model_copy(update={"trips": 2, "useful_flops": 8, "issued_flops": 16, "fp8_useful_flops": 4})
    facts = {"spill_store_bytes": 8, "spill_load_bytes": 12, "loop": loop, "products": unrolled, "serialized": True}
    launch = ALL[0].launches[0].model_copy(update={"code": code.model_copy(update=facts)})
    (config,) = side(ALL[0].model_copy(update={"launches": [launch]})).configs
    (found,) = config.launches
    assert (found.spill_bytes, found.loop_spills, found.serialized) == (20, 3, True)
    assert (found.registers, found.shared_bytes, found.blocks_per_sm, found.warps_per_sm) == (96, 1024, 5, 20)
    assert found.products is not None
    assert found.products.families == ["HMMA", "QGMMA"]
    assert (found.products.useful, found.products.issued, found.products.fp8_useful) == (4, 8, 2)


def test_a_product_outside_of_loops_is_counted_over_the_whole_kernel() -> None:
    code = ALL[0].launches[0].code
    assert code.products is not None
    facts = {
        "loop": SpanRecord(instructions=1, sass={"LDL": 0, "STL": 0}, products={}),
        "products": code.products.model_copy(update={"in_loop": False}),
    }
    launch = ALL[0].launches[0].model_copy(update={"code": code.model_copy(update=facts)})
    (config,) = side(ALL[0].model_copy(update={"launches": [launch]})).configs
    assert config.launches[0].products is not None
    assert config.launches[0].products.families == ["HGMMA"]


def test_a_config_that_cannot_launch_says_why() -> None:
    (config,) = side(made(cannot_launch="needs 240 KB", can_launch=False)).configs
    assert (config.runs, config.reason) == (False, "needs 240 KB")


def test_two_inspections_of_the_same_code_differ_in_their_header_alone(tmp_path: Path) -> None:
    shuffled = random.Random(1).sample(ALL, len(ALL))
    timed = []
    for each in shuffled:
        launch = each.launches[0]
        code = launch.code.model_copy(update={"compile_s": 9.9, "ptx": "ffffffffffff"})
        launches = [launch.model_copy(update={"code": code})]
        timed.append(each.model_copy(update={"compile_s": 9.9, "predicted_s": 1.0, "launches": launches}))
    texts = []
    for name, found in (("one", side(*ALL)), ("two", side(*timed, started="2027-01-01T00:00:00+00:00"))):
        write_static(tmp_path / name, found)
        texts.append((tmp_path / name).read_text().splitlines())
    assert texts[0][0] != texts[1][0]
    assert texts[0][1:] == texts[1][1:]


def test_lines_are_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    blocks = [16, 128, 64, 8]
    write_static(tmp_path / "file", side(*(made(config={"BLOCK": block}) for block in blocks)))
    lines = [json.loads(line) for line in (tmp_path / "file").read_text().splitlines()]
    assert [line["kind"] for line in lines] == ["static", "source", *["config"] * 4]
    assert [line["config"]["BLOCK"] for line in lines[2:]] == sorted(blocks)


def test_a_line_is_short(tmp_path: Path) -> None:
    write_static(tmp_path / "file", side(*ALL))
    lines = (tmp_path / "file").read_text().splitlines()[2:]
    assert len(lines) == len(ALL)
    assert max(map(len, lines)) < 400


def test_what_inspect_wrote_is_read_too(tmp_path: Path) -> None:
    path = write_inspections(tmp_path, HEADER, ALL)
    for place in (path, tmp_path):
        found = read_static(place)
        assert found == replace(side(*ALL), name=str(place))


def test_it_can_be_narrowed() -> None:
    both = side(*ALL, made(op="dense_mla_decode"), made(op="dense_mla_decode", impl="mine"))

    def names(configs: tuple[StaticConfig, ...]) -> set[tuple[str, str]]:
        return {(config.op, config.impl) for config in configs}

    assert names(both.only(["dense_mla_decode"], []).configs) == {
        ("dense_mla_decode", "triton"),
        ("dense_mla_decode", "mine"),
    }
    assert names(both.only([], ["mine"]).configs) == {("dense_mla_decode", "mine")}
    assert both.only([], []) == both


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda lines: [lines[0].replace('"schema_version":1', '"schema_version":9'), *lines[1:]], "schema version 9"),
        (
            lambda lines: [lines[0], lines[1].replace('"source":', '"sauce":'), *lines[2:]],
            "line 2: source.*sauce|line 2",
        ),
        (lambda lines: [*lines, "{"], "line 11: not JSON"),
        (lambda lines: ["", *lines], "line 1"),
        (lambda lines: [], "does not begin with a header"),
    ],
)
def test_a_malformed_file_is_named_with_its_line(tmp_path: Path, edit: Any, message: str) -> None:
    path = tmp_path / "file"
    write_static(path, side(*ALL))
    path.write_text("".join(f"{line}\n" for line in edit(path.read_text().splitlines())))
    with pytest.raises(InspectionFileError, match=message):
        read_static(path)
    with pytest.raises(InspectionFileError, match="cannot read"):
        read_static(tmp_path / "none")


def test_a_file_that_cannot_be_written_leaves_the_old_one(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("old")
    with pytest.raises(InspectionFileError, match="cannot write"):
        write_static(tmp_path / "file" / "inside", side(*ALL))
    assert (tmp_path / "file").read_text() == "old"
