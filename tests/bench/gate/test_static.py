"""The static gate: each fact that is judged, and those that are not."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from dsabench.bench.gate.records import GateResult, GateRow, RowVerdict, Verdict
from dsabench.bench.gate.static import gate_static
from dsabench.bench.gate.static_baseline import StaticConfig, StaticHeader, StaticLaunch, StaticProducts, StaticSide
from dsabench.bench.inspection_records import Outcome

PRODUCTS = StaticProducts(useful=2 << 20, issued=2 << 20, families=["HGMMA"])
FP8 = StaticProducts(useful=2 << 20, issued=2 << 20, families=["QGMMA"], fp8_useful=2 << 20, fp8_issued=2 << 20)
LAUNCH = StaticLaunch(
    kernel="decode", registers=128, shared_bytes=1 << 16, blocks_per_sm=2, warps_per_sm=16, products=PRODUCTS
)
DEFAULT, OTHER = {"BLOCK": 64, "STAGES": 3}, {"BLOCK": 128, "STAGES": 3}


def launch(products: StaticProducts | None = PRODUCTS, **facts: Any) -> StaticLaunch:
    return LAUNCH.model_copy(update={**facts, "products": products})


def config(
    *launches: StaticLaunch, values: dict[str, Any] | None = None, is_default: bool | None = None, **more: Any
) -> StaticConfig:
    values = DEFAULT if values is None else values
    return StaticConfig(
        kind="config",
        op=more.pop("op", "sparse_mla_decode"),
        impl=more.pop("impl", "triton"),
        axes=more.pop("axes", {"b": 1, "s_kv": 4096}),
        config=values,
        is_default=values == DEFAULT if is_default is None else is_default,
        launches=list(launches or (LAUNCH,)),
        **more,
    )


def side(*configs: StaticConfig, source: str = "aaaaaaaaaaaa", arch: str = "sm_90a", **versions: str) -> StaticSide:
    header = StaticHeader(
        kind="static",
        schema_version=1,
        arch=arch,
        suite="inspect",
        versions={"triton": "3.7.1", "ptxas": "12.8.93", **versions},
        started="2026-01-01T00:00:00+00:00",
        git_commit="unknown",
    )
    return StaticSide("side", header, {"sparse_mla_decode/triton": source}, configs)


BASE = side(config(), config(values=OTHER), source="before")


def gate(*configs: StaticConfig, base: StaticSide = BASE, allow_missing: bool = False, **more: str) -> GateResult:
    return gate_static(base, side(*configs, **more), allow_missing, "dsabench gate --static")


def rows_of(old: StaticLaunch, new: StaticLaunch, values: dict[str, Any] | None = None) -> GateRow:
    """The row of one config whose launch changed."""
    (row,) = gate(config(new, values=values), base=side(config(old, values=values))).rows
    return row


def test_the_same_facts_pass() -> None:
    result = gate(config(), config(values=OTHER))
    assert (result.verdict, result.mode, result.arch) == (Verdict.PASS, "static", "sm_90a")
    assert result.reason == "2 same of 2 rows"
    assert {row.reason for row in result.rows} == {"default config: no fact changed", "no fact changed"}
    assert result.notices == []


WORSE = {
    "spills past the slack": (LAUNCH, launch(spill_bytes=17), "spilled bytes"),
    "any spill in the loop": (LAUNCH, launch(spill_bytes=8, loop_spills=1), "spills in the main loop"),
    "serialized": (LAUNCH, launch(serialized=True), "wgmma serialized"),
    "fewer warps": (LAUNCH, launch(warps_per_sm=8, blocks_per_sm=1), "warps an SM"),
    "mma.sync": (
        LAUNCH,
        launch(PRODUCTS.model_copy(update={"families": ["HMMA"]})),
        "tensor-core instructions",
    ),
    "mma.sync beside wgmma": (
        LAUNCH,
        launch(PRODUCTS.model_copy(update={"families": ["HGMMA", "HMMA"]})),
        "tensor-core instructions",
    ),
    "no tensor cores": (
        LAUNCH,
        launch(PRODUCTS.model_copy(update={"families": [], "issued": 0})),
        "tensor-core instructions",
    ),
    "no products": (LAUNCH, launch(None), "tensor-core instructions"),
    "some products left the tensor cores": (
        LAUNCH,
        launch(PRODUCTS.model_copy(update={"issued": PRODUCTS.useful * 3 // 4})),
        "products on tensor cores",
    ),
    "work repeated": (
        LAUNCH,
        launch(PRODUCTS.model_copy(update={"issued": PRODUCTS.useful * 2})),
        "useful tensor-core work",
    ),
    "fp8 fell back": (
        launch(FP8),
        launch(FP8.model_copy(update={"fp8_issued": 0, "families": ["HGMMA"]})),
        "products in fp8",
    ),
    "the source asks for less in fp8": (
        launch(FP8),
        launch(FP8.model_copy(update={"fp8_useful": 0, "fp8_issued": 0, "families": ["HGMMA"]})),
        "products in fp8",
    ),
}


@pytest.mark.parametrize(("old", "new", "name"), WORSE.values(), ids=list(WORSE))
def test_worse_machine_code_is_slower_and_the_reverse_is_faster(
    old: StaticLaunch, new: StaticLaunch, name: str
) -> None:
    assert rows_of(old, new, OTHER).verdict is RowVerdict.SLOWER
    row = rows_of(old, new)
    assert row.verdict is RowVerdict.SLOWER
    assert next(change.name for change in row.changes if change.worse) == name
    assert name in row.reason
    back = rows_of(new, old)
    assert back.verdict is RowVerdict.FASTER
    assert not any(change.worse for change in back.changes)
    assert name in back.reason


TOLD = {
    "spills within the slack": (launch(spill_bytes=16), "spilled bytes"),
    "registers": (launch(registers=255), "registers"),
    "shared memory": (launch(shared_bytes=1 << 17), "shared bytes"),
    "fewer, larger blocks": (launch(blocks_per_sm=1), "blocks an SM"),
    "another family as fast": (
        launch(PRODUCTS.model_copy(update={"families": ["QGMMA"]})),
        "tensor-core instructions",
    ),
    "a share within its slack": (
        launch(PRODUCTS.model_copy(update={"issued": int(PRODUCTS.useful * 1.01)})),
        "useful tensor-core work",
    ),
    "the kernel's name": (launch(kernel="decode_2"), "kernel"),
}


@pytest.mark.parametrize(("new", "name"), TOLD.values(), ids=list(TOLD))
def test_what_is_no_loss_is_told_and_not_judged(new: StaticLaunch, name: str) -> None:
    row = rows_of(LAUNCH, new)
    assert row.verdict is RowVerdict.SAME
    assert [(change.name, change.worse) for change in row.changes] == [(name, False)]
    assert "nothing became worse" in row.reason


def test_repeated_fp8_work_is_no_more_fp8() -> None:
    twice = FP8.model_copy(update={"issued": FP8.issued * 2, "fp8_issued": FP8.issued * 2})
    row = rows_of(launch(FP8), launch(twice))
    assert [(change.name, change.worse) for change in row.changes] == [("useful tensor-core work", True)]


def test_a_larger_shape_or_another_unrolling_is_no_loss() -> None:
    """Twice the FLOPs a trip with as many wasted: counts would say otherwise."""
    products = PRODUCTS.model_copy(update={"useful": PRODUCTS.useful * 2, "issued": PRODUCTS.issued * 2})
    assert rows_of(LAUNCH, launch(products)).changes == []


def test_a_renamed_kernel_is_still_held_against_its_old_self() -> None:
    row = rows_of(LAUNCH, launch(kernel="decode_2", loop_spills=4, spill_bytes=32))
    assert row.verdict is RowVerdict.SLOWER


def test_launches_are_matched_by_their_kernels() -> None:
    merge = launch(None, kernel="merge", warps_per_sm=64)
    old, new = config(LAUNCH, merge), config(merge, launch(warps_per_sm=8))
    (row,) = gate(new, base=side(old)).rows
    assert [(c.name, c.baseline, c.candidate) for c in row.changes] == [("warps an SM of decode", 16, 8)]


def test_a_launch_that_came_must_not_spill_and_one_that_went_is_told() -> None:
    merge = launch(None, kernel="merge")
    (row,) = gate(config(LAUNCH, merge), base=side(config())).rows
    assert (row.verdict, row.changes[0].candidate) == (RowVerdict.SAME, "merge")
    (row,) = gate(config(LAUNCH, merge.model_copy(update={"spill_bytes": 64})), base=side(config())).rows
    assert row.verdict is RowVerdict.SLOWER
    (row,) = gate(config(), base=side(config(LAUNCH, merge))).rows
    assert (row.verdict, row.changes[0].baseline) == (RowVerdict.SAME, "merge")


NOT_RUNNING = [
    (
        {"outcome": Outcome.COMPILE_ERROR, "reason": "no such layout", "launches": []},
        "does not compile (COMPILE_ERROR)",
    ),
    ({"outcome": Outcome.TIMEOUT, "reason": "120 s", "launches": []}, "does not compile (TIMEOUT): 120 s"),
    ({"reason": "decode: needs 240 KB"}, "cannot launch: decode: needs 240 KB"),
]


@pytest.mark.parametrize(("broken", "why"), NOT_RUNNING)
def test_a_config_that_no_longer_runs_is_broken(broken: dict[str, Any], why: str) -> None:
    bad = config().model_copy(update=broken)
    result = gate(bad, config(values=OTHER))
    row = result.rows[0]
    assert (row.verdict, result.verdict) == (RowVerdict.BROKEN, Verdict.REGRESSED)
    assert why in row.reason
    mended = gate(config(), config(values=OTHER), base=side(bad, config(values=OTHER)))
    assert mended.rows[0].verdict is RowVerdict.MENDED
    assert why in mended.rows[0].reason
    both = gate(bad, config(values=OTHER), base=side(bad, config(values=OTHER)))
    assert both.rows[0].verdict is RowVerdict.SAME
    assert both.verdict is Verdict.PASS
    nothing = gate(bad, base=side(bad))
    assert (nothing.verdict, nothing.exit_code) == (Verdict.INVALID, 4)


@pytest.mark.parametrize(
    "pointless",
    [
        launch(loop_spills=2),
        launch(serialized=True),
        launch(FP8.model_copy(update={"fp8_issued": 0})),
    ],
)
def test_a_config_that_a_tuner_prunes_anyway_cannot_become_worse_only_break(pointless: StaticLaunch) -> None:
    worse = pointless.model_copy(update={"loop_spills": 9, "spill_bytes": 99, "warps_per_sm": 4})
    row = rows_of(pointless, worse, OTHER)
    assert row.verdict is RowVerdict.SAME
    assert "a tuner prunes this config" in row.reason
    assert row.changes
    # The default is what runs without a tuned table.
    assert rows_of(pointless, worse).verdict is RowVerdict.SLOWER
    base = side(config(), config(pointless, values=OTHER))
    chosen = gate(config(is_default=False), config(worse, values=OTHER, is_default=True), base=base)
    assert RowVerdict.SLOWER in [row.verdict for row in chosen.rows if row.baseline_config == OTHER]
    broken = config(pointless, values=OTHER, reason="needs 240 KB")
    (row,) = gate(broken, base=side(config(pointless, values=OTHER))).rows
    assert row.verdict is RowVerdict.BROKEN


# The default config, and the grid.


def test_another_default_is_held_against_the_old_one_but_for_its_occupancy() -> None:
    lean = launch(warps_per_sm=8, blocks_per_sm=1)
    base = side(config(), config(lean, values=OTHER, is_default=False))
    result = gate(config(is_default=False), config(lean, values=OTHER, is_default=True), base=base)
    assert len(result.rows) == 3
    (row,) = (row for row in result.rows if row.baseline_config != row.candidate_config)
    assert (row.baseline_config, row.candidate_config) == (DEFAULT, OTHER)
    assert row.verdict is RowVerdict.SAME
    assert "the default config changed" in row.reason
    assert [change.name for change in row.changes] == ["warps an SM", "blocks an SM"]
    spilling = lean.model_copy(update={"loop_spills": 1})
    base = side(config(), config(spilling, values=OTHER, is_default=False))
    result = gate(config(is_default=False), config(spilling, values=OTHER, is_default=True), base=base)
    assert result.rows[0].verdict is RowVerdict.SLOWER
    assert result.rows[0].candidate_config == OTHER


def test_configs_that_the_grid_lost_or_gained_are_told() -> None:
    third = {"BLOCK": 32, "STAGES": 3}
    result = gate(config(), config(values=third))
    assert result.verdict is Verdict.PASS
    assert len(result.rows) == 1
    assert result.notices == [
        "sparse_mla_decode/triton: 1 configs of the baseline are no longer in the grid and 1 are new; neither is judged."
    ]


@pytest.mark.parametrize(
    ("after", "why"),
    [
        ((), "the implementation is gone, 2 configs"),
        ((config(axes={"b": 1, "s_kv": 8192}),), "this shape was not compiled"),
        ((config(values=OTHER),), "no default config was compiled"),
    ],
)
def test_what_only_the_baseline_has_is_missing(after: tuple[StaticConfig, ...], why: str) -> None:
    here = config(op="topk_select")
    result = gate(*after, here, base=side(*BASE.configs, here))
    (row,) = (row for row in result.rows if row.verdict is RowVerdict.MISSING)
    assert why in row.reason
    assert (row.baseline_config, row.candidate_config) == (DEFAULT, None)
    assert result.verdict is Verdict.INVALID
    assert gate(*after, here, base=side(*BASE.configs, here), allow_missing=True).verdict is Verdict.PASS


def test_what_only_the_candidate_has_is_new() -> None:
    come = [config(impl="mine"), config(impl="mine", values=OTHER), config(axes={"b": 2, "s_kv": 4096})]
    result = gate(*BASE.configs, *come)
    new = [row for row in result.rows if row.verdict is RowVerdict.NEW]
    assert {row.reason for row in new} == {"a new shape, 1 configs", "a new implementation, 2 configs"}
    assert len(new) == 2
    assert result.verdict is Verdict.PASS
    broken = gate(*BASE.configs, config(impl="mine", reason="needs 240 KB"))
    assert "cannot launch: needs 240 KB" in next(r.reason for r in broken.rows if r.verdict is RowVerdict.NEW)


# Both sides.


def test_other_architectures_are_not_compared() -> None:
    result = gate(*BASE.configs, arch="sm_100a")
    assert (result.verdict, result.rows) == (Verdict.INVALID, [])
    assert "sm_90a in the baseline, sm_100a in the candidate" in result.reason


def test_a_compiler_that_makes_worse_code_is_a_regression_of_its_own_name() -> None:
    spilling = config(launch(loop_spills=3))
    result = gate(spilling, config(values=OTHER), source="before", triton="3.8.0")
    assert result.verdict is Verdict.REGRESSED
    assert "the source is the same, the compiler is not (triton 3.7.1 → 3.8.0)" in result.rows[0].reason
    assert result.notices == ["The compiler changed: triton 3.7.1 → 3.8.0."]
    edited = gate(spilling, config(values=OTHER), source="after", triton="3.8.0")
    assert "compiler" not in edited.rows[0].reason
    same = gate(spilling, config(values=OTHER), source="before")
    assert "compiler" not in same.rows[0].reason


def test_an_implementations_own_compilers_are_named() -> None:
    changed = {"triton": "3.8.0", "nvrtc": "13.1.80", "tilelang": "0.1.16"}
    said = {
        "triton": "triton 3.7.1 → 3.8.0",
        "cuda": "nvrtc 13.0.88 → 13.1.80",
        "tilelang": "tilelang none → 0.1.16, nvrtc 13.0.88 → 13.1.80",
        "mine": "triton 3.7.1 → 3.8.0, nvrtc 13.0.88 → 13.1.80, tilelang none → 0.1.16",
    }
    for impl, words in said.items():
        base = side(config(impl=impl), nvrtc="13.0.88")
        assert gate(config(impl=impl), base=base, **changed).notices == [f"The compiler changed: {words}."]
    triton = gate(config(), base=side(config()), nvrtc="13.0.88", tilelang="0.1.15")
    assert triton.notices == []  # they have no part in its code


def test_another_suite_is_told() -> None:
    base = replace(BASE, header=BASE.header.model_copy(update={"suite": "hopper"}))
    assert gate(*BASE.configs, base=base).notices == ["Other suites: hopper in the baseline, inspect in the candidate."]


def test_an_empty_baseline_is_no_pass() -> None:
    assert gate(config(), base=side()).verdict is Verdict.INVALID
    assert gate(base=side()).verdict is Verdict.INVALID


def test_a_row_says_how_to_compile_it_again() -> None:
    command = gate(*BASE.configs).rows[0].command
    assert command.startswith("dsabench inspect --suite inspect --op sparse_mla_decode --impl triton --context 4k")
    assert """--config '{"BLOCK": 64, "STAGES": 3}' --arch sm_90a""" in command
