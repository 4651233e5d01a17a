"""Library calls: which implementation and config they take, and how they refuse."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

import dsabench
from dsabench.kernels import dispatch, machine, registry, tuned_table
from dsabench.kernels.implementation import Implementation
from dsabench.kernels.registry import get_implementation, get_op, op_names
from dsabench.kernels.source_hash import source_hash
from dsabench.kernels.triton.runtime import INTERPRET_ENV, interpreting
from dsabench.kernels.workload import Workload
from tests.kernels.cpu_cases import SHAPES

CPU = torch.device("cpu")
# Their machine code is cached where DSABENCH_CACHE_DIR pointed when they were imported: not in a test's directory.
for _op in op_names():
    get_implementation(_op, "cpu")


@pytest.fixture(autouse=True)
def empty_tables(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """No tuned table but what a test writes."""
    monkeypatch.setenv("DSABENCH_CACHE_DIR", str(tmp_path))
    monkeypatch.setattr(tuned_table, "_PACKAGED", tmp_path / "packaged")
    tuned_table.forget()
    yield tmp_path
    tuned_table.forget()


def write_table(entries: list[dict[str, Any]], schema: int = 1) -> Path:
    path = tuned_table.user_table_path(machine.cpu_device_key())
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"schema": schema, "entries": entries}))
    tuned_table.forget()
    return path


def entry(
    impl: str, axes: dict[str, int], config: dict[str, Any], median_s: float = 1e-3, **other: Any
) -> dict[str, Any]:
    op = "topk_select"
    return {
        "device": machine.cpu_device_key(),
        "op": op,
        "impl": impl,
        "axes": get_op(op).complete_axes(axes),
        "config": {**get_implementation(op, impl).default_config(get_op(op).complete_axes(axes)), **config},
        "source": source_hash(op, impl),
        "versions": tuned_table.keyed_versions(machine.cpu_device_key()),
        "median_s": median_s,
        **other,
    }


def chosen_samples(s_kv: int, rows: int = 1) -> Any:
    axes = get_op("topk_select").complete_axes({"rows": rows, "s_kv": s_kv})
    return dispatch.choose("topk_select", axes, CPU, "cpu", None)[1]["SAMPLES"]


def library_arguments(op: str, inputs: Any) -> list[Any]:
    """An op's inputs in the order of its function; a cache that is written into stands there for its shape."""
    arguments = dict(vars(inputs))
    if op in ("quantize_kv_cache", "quantize_index_cache"):
        arguments["num_blocks"] = get_op(op).empty_outputs(inputs)[0]
        arguments.pop("page", None)
    return list(arguments.values())


@pytest.mark.parametrize("op", op_names())
@pytest.mark.parametrize("impl", [None, "torch", "cpu"])
def test_the_library_computes_what_the_reference_says(op: str, impl: str | None) -> None:
    contract = get_op(op)
    inputs = Workload.of(op, SHAPES[op][0], "normal", 11).make_inputs()
    result = getattr(dsabench, op)(*library_arguments(op, inputs), impl=impl)
    outputs = result if isinstance(result, tuple) else (result,)
    rows = torch.arange(contract.row_count(inputs))
    verdict = contract.check(inputs, outputs, rows, contract.reference(inputs, rows))
    assert verdict.passed, verdict.reason


def gpu_kernel(**fields: Any) -> Implementation:
    """A kernel that is compiled for a GPU: right, so that a call of it can be told from no call."""
    base = get_implementation("topk_select", "torch")
    return replace(
        base,
        name="kernel",
        device_types=("cuda",),
        unavailable=lambda: "needs an NVIDIA GPU",
        plan=lambda inputs, outputs, config: [],
        **fields,
    )


def topk(impl: str | None) -> torch.Tensor:
    zeros = torch.zeros(2, dtype=torch.int32)
    return dsabench.topk_select(torch.arange(16.0).reshape(2, 8), zeros, zeros + 8, k=1, impl=impl)


def test_a_gpus_kernel_on_cpu_tensors_says_how_it_would_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(INTERPRET_ENV, raising=False)
    monkeypatch.setitem(registry._plugins, ("topk_select", "kernel"), gpu_kernel(emulated=interpreting))
    with pytest.raises(ValueError, match="impl = 'kernel' runs on cuda tensors, the arguments are on cpu") as caught:
        topk("kernel")
    hint = "set TRITON_INTERPRET=1 before Python starts to run it in Triton's interpreter on CPU tensors"
    assert hint in str(caught.value)
    assert "\n" not in str(caught.value)
    monkeypatch.setitem(registry._plugins, ("topk_select", "kernel"), gpu_kernel())  # of another language
    with pytest.raises(ValueError, match=r"the arguments are on cpu$"):
        topk("kernel")


def test_an_emulated_kernel_runs_when_it_is_asked_for_and_never_otherwise(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[str] = []
    base = get_implementation("topk_select", "torch")

    def run(inputs: Any, outputs: Any, config: Any) -> None:
        calls.append("kernel")
        base.run(inputs, outputs, config)

    interpreted = replace(gpu_kernel(run=run), device_types=("cpu",), unavailable=lambda: None, emulated=lambda: True)
    monkeypatch.setitem(registry._plugins, ("topk_select", "kernel"), interpreted)
    monkeypatch.setattr(dispatch, "PREFERENCE", ("kernel", "cpu"))
    assert topk(None).tolist() == [[7], [7]]
    assert calls == []
    assert topk("kernel").tolist() == [[7], [7]]
    assert calls == ["kernel"]
    axes = get_op("topk_select").complete_axes({})
    with pytest.raises(ValueError, match="TRITON_INTERPRET is set: unset it"):
        dispatch.choose("topk_select", axes, torch.device("cuda"), "kernel", None)


@pytest.mark.parametrize("interpret", ["1", None])
def test_the_triton_implementation_on_cpu_tensors(interpret: str | None) -> None:
    """In a process of its own: Triton reads the variable when it is imported."""
    code = (
        "import torch, dsabench\n"
        "zeros = torch.zeros(2, dtype=torch.int32)\n"
        "logits = torch.arange(16.0).reshape(2, 8)\n"
        "print(dsabench.topk_select(logits, zeros, zeros + 8, k=1, impl='triton').tolist())\n"
    )
    environment = {k: v for k, v in os.environ.items() if k != "TRITON_INTERPRET"}
    environment |= {"TRITON_INTERPRET": interpret} if interpret else {}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment)
    if interpret:
        assert done.stdout.strip() == "[[7], [7]]", done.stderr
    else:
        assert "set TRITON_INTERPRET=1 before Python starts" in done.stderr.splitlines()[-1]


def test_without_a_table_our_kernel_and_its_default() -> None:
    axes = get_op("topk_select").complete_axes({})
    implementation, config = dispatch.choose("topk_select", axes, CPU, None, None)
    assert implementation.name == "cpu"
    assert config == implementation.default_config(axes)


def test_the_nearest_context_wins() -> None:
    write_table([entry("cpu", {"rows": 1, "s_kv": s}, {"SAMPLES": n}) for s, n in ((4096, 128), (65536, 1024))])
    assert chosen_samples(4096) == 128
    assert chosen_samples(6000) == 128
    assert chosen_samples(40000) == 1024
    assert chosen_samples(1 << 20) == 1024


def test_other_axes_weigh_more_than_the_context() -> None:
    write_table(
        [
            entry("cpu", {"rows": 64, "s_kv": 4096}, {"SAMPLES": 128}),
            entry("cpu", {"rows": 1, "s_kv": 65536}, {"SAMPLES": 1024}),
        ]
    )
    assert chosen_samples(4096, rows=1) == 1024
    assert chosen_samples(65536, rows=48) == 128


@pytest.mark.parametrize(
    "other",
    [{"device": "cpu-another"}, {"source": "0" * 12}, {"versions": {"torch": "1.0", "numba": "0.1"}}],
    ids=["device", "source", "versions"],
)
def test_entries_of_another_device_source_or_version_do_not_count(other: dict[str, Any]) -> None:
    write_table([entry("cpu", {"rows": 1, "s_kv": 4096}, {"SAMPLES": 1024}, **other)])
    assert chosen_samples(4096) == 256


def test_the_fastest_implementation_of_the_table_is_taken() -> None:
    axes = {"rows": 1, "s_kv": 4096}
    write_table([entry("cpu", axes, {}, 2e-3), entry("torch", axes, {}, 1e-3)])
    assert dispatch.choose("topk_select", get_op("topk_select").complete_axes(axes), CPU, None, None)[0].name == "torch"
    write_table([entry("cpu", axes, {}, 1e-3), entry("torch", axes, {}, 2e-3)])
    assert dispatch.choose("topk_select", get_op("topk_select").complete_axes(axes), CPU, None, None)[0].name == "cpu"


def test_torch_alone_in_a_table_is_no_winner() -> None:
    axes = {"rows": 1, "s_kv": 4096}
    write_table([entry("torch", axes, {}, 1e-9)])
    assert dispatch.choose("topk_select", get_op("topk_select").complete_axes(axes), CPU, None, None)[0].name == "cpu"


def test_a_tuned_config_that_is_not_legal_here_falls_back_to_the_default() -> None:
    write_table([entry("cpu", {"rows": 1, "s_kv": 4096}, {"PARTS": 4})])
    axes = get_op("topk_select").complete_axes({"rows": 64, "s_kv": 4096})
    assert dispatch.choose("topk_select", axes, CPU, "cpu", None)[1]["PARTS"] == 1


def test_config_lays_over_the_default() -> None:
    axes = get_op("topk_select").complete_axes({"rows": 1})
    assert dispatch.choose("topk_select", axes, CPU, "cpu", {"SAMPLES": 128})[1]["SAMPLES"] == 128


@pytest.mark.parametrize(
    ("impl", "config", "words"),
    [
        ("cpuu", None, ["implementation", "'cpuu'", "did you mean 'cpu'"]),
        ("cpu", {"SAMPLE": 3}, ["'SAMPLE'", "SAMPLES"]),
        ("cpu", {"SAMPLES": 3}, ["SAMPLES = 3", "128, 256, 1024"]),
        ("cpu", {"PARTS": True}, ["PARTS = True"]),
        ("cpu", {"PARTS": 2}, ["PARTS > 1"]),
    ],
)
def test_bad_impl_and_config(impl: str, config: dict[str, Any] | None, words: list[str]) -> None:
    logits, zeros = torch.zeros(8, 64), torch.zeros(8, dtype=torch.int32)
    with pytest.raises(ValueError, match=words[0]) as caught:
        dsabench.topk_select(logits, zeros, zeros + 64, k=4, impl=impl, config=config)
    for word in words:
        assert word in str(caught.value)


def test_arguments_are_checked_before_the_kernel_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dispatch, "choose", lambda *a: pytest.fail("reached"))
    zeros = torch.zeros(2, dtype=torch.int32)
    with pytest.raises(ValueError, match="k must be in"):
        dsabench.topk_select(torch.zeros(2, 4), zeros, zeros, k=0)


def test_a_malformed_table_is_named() -> None:
    path = write_table([{"op": "topk_select"}])
    with pytest.raises(ValueError, match="malformed entry") as caught:
        chosen_samples(4096)
    assert str(path) in str(caught.value)
    write_table([], schema=99)
    with pytest.raises(ValueError, match="schema"):
        chosen_samples(4096)


def test_packaged_entries_count_too(empty_tables: Path) -> None:
    path = empty_tables / "packaged" / "any.json"
    path.parent.mkdir()
    path.write_text(json.dumps({"schema": 1, "entries": [entry("cpu", {"rows": 1, "s_kv": 4096}, {"SAMPLES": 1024})]}))
    assert chosen_samples(4096) == 1024
    write_table([entry("cpu", {"rows": 1, "s_kv": 4096}, {"SAMPLES": 128})])
    assert chosen_samples(4096) == 128  # the user's own come first


def test_the_shipped_tables_are_well_formed(monkeypatch: pytest.MonkeyPatch) -> None:
    for path in (Path(tuned_table.__file__).parent / "tuned").glob("*.json"):
        entries = tuned_table.read_entries(path)
        assert entries
        for each in entries:
            implementation = get_implementation(each.op, each.impl)
            axes = get_op(each.op).complete_axes(dict(each.axes))
            names = {t.name: t.choices for t in implementation.tunables}
            assert set(each.config) == set(names), (path.name, each)
            assert all(each.config[n] in names[n] for n in names)
            assert axes == dict(each.axes)


class OnAGpu:
    """topk_select on a GPU where three of our languages run; `proven` are those that the ledger knows."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, proven: set[str], ranked: list[str]) -> None:
        def implementation(name: str) -> Implementation:
            if name == "torch":
                return get_implementation("topk_select", "torch")
            return replace(gpu_kernel(), name=name, unavailable=lambda: None)

        self._made = {name: implementation(name) for name in ("cpu", "cuda", "mine", "torch", "triton")}
        self._made["cpu"] = get_implementation("topk_select", "cpu")
        monkeypatch.setattr(dispatch, "get_implementation", lambda op, name: self._made[name])
        monkeypatch.setattr(dispatch, "implementation_names", lambda op: tuple(self._made))
        monkeypatch.setattr(dispatch, "verified_on", lambda op, name: ("a proof",) if name in proven else ())
        monkeypatch.setattr(dispatch, "nearest_entries", lambda key, op, axes: dict.fromkeys(ranked))

    def without(self, name: str) -> OnAGpu:
        del self._made[name]
        return self

    def choice(self) -> str:
        axes = get_op("topk_select").complete_axes({})
        return dispatch._default_implementation("topk_select", axes, torch.device("cuda"), "a key").name


@pytest.mark.parametrize(
    ("proven", "ranked", "choice"),
    [
        (set(), [], "torch"),
        ({"triton"}, [], "triton"),
        ({"triton", "cuda"}, [], "cuda"),
        ({"mine"}, [], "mine"),
        ({"triton"}, ["cuda", "triton"], "cuda"),  # timed here, and right before that
        ({"triton"}, ["torch"], "triton"),
        (set(), ["torch", "triton"], "torch"),
    ],
)
def test_what_no_gpu_has_run_is_no_default(
    monkeypatch: pytest.MonkeyPatch, proven: set[str], ranked: list[str], choice: str
) -> None:
    assert OnAGpu(monkeypatch, proven, ranked).choice() == choice


def test_where_nothing_is_proven_the_preferred_one_is_better_than_none(monkeypatch: pytest.MonkeyPatch) -> None:
    assert OnAGpu(monkeypatch, set(), []).without("torch").choice() == "cuda"
