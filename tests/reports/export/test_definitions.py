"""The definitions' reference code computes our ops, and the solutions do, on inputs that flashinfer-bench itself loads and draws."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

import dsabench
from dsabench.autotune.outcome import workload_id
from dsabench.kernels.registry import get_implementation, get_op, op_names
from dsabench.kernels.workload import Workload
from dsabench.reports.export.flashinfer.bridges import bridges
from dsabench.reports.export.flashinfer.definitions import SPECS, definition, definition_name
from dsabench.reports.export.flashinfer.solutions import shape_words, solution
from dsabench.reports.export.flashinfer.workloads import UnsupportedError, trace_workload
from tests.reports.export import flashinfer_models

AXES = {
    "indexer_logits": {"s_q": 5, "s_kv": 150, "h": 8, "causal": 1},
    "paged_indexer_logits": {"b": 3, "next_n": 2, "s_kv": 150, "h": 8},
    "topk_select": {"rows": 6, "s_kv": 200, "k": 20, "deterministic": 0},
    "sparse_mla_prefill": {"s_q": 4, "s_kv": 70, "h_q": 8, "topk": 32},
    "sparse_mla_decode": {"b": 2, "s_q": 2, "s_kv": 70, "h_q": 8, "topk": 32, "page": 16},
    "dense_mla_decode": {"b": 3, "s_q": 2, "s_kv": 70, "h_q": 8, "page": 16, "causal": 1},
    "dense_mha_prefill": {"s_q": 5, "s_kv": 70, "h_q": 2, "causal": 1},
    "dequantize_kv_cache": {"s_kv": 40, "page": 16},
}
LARGEST = 1 << 24
NO_INPUT = ("sink", "sink_infinite", "topk_length")
"""Distributions of inputs that the definitions do not have."""
CASES = [
    (op, distribution)
    for op in AXES
    for distribution in get_op(op).distributions
    if distribution not in NO_INPUT and distribution != "far_blocks"
]


def run_of(code: str) -> Any:
    scope: dict[str, Any] = {}
    exec(compile(code, "main.py", "exec"), scope)
    return scope["run"]


def as_outputs(returned: Any) -> tuple[torch.Tensor, ...]:
    return returned if isinstance(returned, tuple) else (returned,)


def assert_right(op: str, inputs: Any, outputs: tuple[torch.Tensor, ...]) -> None:
    contract = get_op(op)
    expected_like = contract.empty_outputs(inputs)
    assert [(o.shape, o.dtype) for o in outputs] == [(e.shape, e.dtype) for e in expected_like]
    rows = torch.arange(contract.row_count(inputs))
    found = contract.check(inputs, outputs, rows, contract.reference(inputs, rows))
    assert found.passed, found.reason


def test_every_op_has_a_definition_but_those_that_write_into_a_cache() -> None:
    assert set(SPECS) == set(op_names()) - {"quantize_kv_cache", "quantize_index_cache"}
    with pytest.raises(UnsupportedError, match="no definition of this op"):
        trace_workload(workload_id(Workload.of("quantize_kv_cache", {"s_kv": 8})), LARGEST)


@pytest.mark.parametrize(("op", "distribution"), CASES, ids=["-".join(case) for case in CASES])
def test_reference_computes_the_op(op: str, distribution: str) -> None:
    axes = get_op(op).complete_axes(AXES[op])
    inputs = get_op(op).make_inputs(axes, distribution, 3, torch.device("cpu"))
    arguments = [_bytes_as_int8(getattr(inputs, name)) for name in SPECS[op].inputs]
    assert_right(op, inputs, as_outputs(run_of(definition(op, axes)["reference"])(*arguments)))


def test_a_wrong_reference_would_be_seen() -> None:
    axes = get_op("sparse_mla_prefill").complete_axes(AXES["sparse_mla_prefill"])
    inputs = get_op("sparse_mla_prefill").make_inputs(axes, "normal", 3, torch.device("cpu"))
    code = definition("sparse_mla_prefill", axes)["reference"]
    assert "rows[:, :512]" in code
    wrong = run_of(code.replace("rows[:, :512]", "rows[:, 64:]"))
    with pytest.raises(AssertionError, match="out:"):
        assert_right("sparse_mla_prefill", inputs, wrong(inputs.q, inputs.kv, inputs.indices, inputs.sm_scale))


def _bytes_as_int8(value: Any) -> Any:
    return value.view(torch.int8) if isinstance(value, torch.Tensor) and value.dtype == torch.uint8 else value


@pytest.mark.parametrize("op", AXES)
def test_their_loader_takes_our_workload_and_our_solution_runs_on_it(op: str, tmp_path: Path) -> None:
    models, loader = flashinfer_models.data(), flashinfer_models.bench_utils()
    torch.manual_seed(0)
    known = trace_workload(workload_id(Workload.of(op, AXES[op])), LARGEST)
    if known.saved:
        (tmp_path / known.blob).parent.mkdir(parents=True)
        save_file(known.saved, tmp_path / known.blob)
    theirs = models.Definition.model_validate(definition(op, AXES[op]))
    workload = models.Workload.model_validate(known.document)
    drawn = loader.gen_inputs(theirs, workload, "cpu", loader.load_safetensors(theirs, workload, tmp_path))
    assert theirs.get_axes_values_from_inputs(drawn) == known.document["axes"]

    fields = [field.name for field in dataclasses.fields(get_op(op).make_inputs(_complete(op), "normal", 0, _CPU))]
    ours = dict(zip(SPECS[op].inputs, drawn, strict=True))
    ours |= {
        name: value.view(torch.uint8) for name, value in ours.items() if getattr(value, "dtype", None) == torch.int8
    }
    assert list(ours) == fields[: len(ours)]
    inputs = type(get_op(op).empty_inputs(_complete(op), _CPU))(**ours)
    expected = as_outputs(run_of(theirs.reference)(*drawn))
    assert_right(op, inputs, expected)

    config = get_implementation(op, "torch").default_config(_complete(op))
    made = models.Solution.model_validate(
        solution(op, theirs.name, "torch", "0123456789ab", {known.shape: config}, "cpu", "abc")
    )
    assert made.get_entry_source() is not None
    run = run_of(made.get_entry_source().content)
    assert run.__wrapped__.__globals__["CONFIGS"] == {known.shape: config}
    outputs = as_outputs(run(*drawn))
    if op == "topk_select":
        assert_right(op, inputs, outputs)
    else:
        # Their evaluator's tolerance: their values are ten times ours, for which our absolute one is meant.
        torch.testing.assert_close(outputs, expected, atol=1e-2, rtol=1e-2)


_CPU = torch.device("cpu")


def _complete(op: str) -> dict[str, int]:
    return get_op(op).complete_axes(AXES[op])


def test_a_solution_uses_the_config_that_was_measured_at_the_shape(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []
    monkeypatch.setattr(dsabench, "topk_select", lambda *_, **named: seen.append(named))
    configs = {(4, 100, False): {"SORT": 1}, (4, 100, True): {"SORT": 2}}
    assert [axis for axis, _ in shape_words(SPECS["topk_select"])] == ["rows", "columns", "deterministic"]
    made = solution("topk_select", "d", "torch", 'quote"""', configs, "cpu", "abc")
    run = run_of(made["sources"][0]["content"])
    starts = torch.zeros(4, dtype=torch.int32)
    for columns, deterministic in ((100, False), (100, True), (101, True)):
        run(torch.zeros(4, columns), starts, starts, 20, deterministic)
    assert [named["config"] for named in seen] == [{"SORT": 1}, {"SORT": 2}, None]
    assert {named["impl"] for named in seen} == {"torch"}


def test_the_name_of_a_solution_changes_with_its_configs() -> None:
    one, other = (
        solution("topk_select", "d", "my/impl", "s", {(1, 2, False): {"N": n}}, "cpu", "c")["name"] for n in (1, 2)
    )
    assert one != other
    assert one.startswith("d_my_impl_")


class TestWorkload:
    def test_is_the_same_at_every_export(self) -> None:
        first, second = (
            trace_workload(workload_id(Workload.of("topk_select", AXES["topk_select"])), LARGEST) for _ in "ab"
        )
        assert first.document == second.document
        assert torch.equal(first.saved["ends"], second.saved["ends"])

    def test_saves_indices_lengths_tables_and_caches_and_no_more(self) -> None:
        saved = {op: set(trace_workload(workload_id(Workload.of(op, AXES[op])), LARGEST).saved) for op in AXES}
        assert saved == {
            "indexer_logits": {"k_scale", "ks", "ke"},
            "paged_indexer_logits": {"k_cache", "context_lens", "block_table"},
            "topk_select": {"starts", "ends"},
            "sparse_mla_prefill": {"indices"},
            "sparse_mla_decode": {"kv_cache", "indices"},
            "dense_mla_decode": {"block_table", "cache_seqlens"},
            "dense_mha_prefill": set(),
            "dequantize_kv_cache": {"kv_cache", "slots"},
        }

    def test_of_too_many_bytes_is_refused_before_it_is_built(self) -> None:
        huge = Workload.of("sparse_mla_decode", {"b": 65536, "s_kv": 1 << 20})
        with pytest.raises(UnsupportedError, match="more than --largest 1000"):
            trace_workload(workload_id(huge), 1000)

    @pytest.mark.parametrize(("distribution", "name"), [("sink", "attn_sink"), ("topk_length", "topk_length")])
    def test_with_an_input_of_its_own_is_refused(self, distribution: str, name: str) -> None:
        workload = Workload.of("sparse_mla_prefill", AXES["sparse_mla_prefill"], distribution)
        with pytest.raises(UnsupportedError, match=f"no input {name}"):
            trace_workload(workload_id(workload), LARGEST)


def test_names_hold_every_constant() -> None:
    assert definition_name("sparse_mla_decode", AXES["sparse_mla_decode"]) == (
        "dsabench_sparse_mla_decode_fp8_h8_ckv512_kpe64_topk32_ps16"
    )
    assert definition_name("paged_indexer_logits", AXES["paged_indexer_logits"]).endswith("fp8_h8_d128_ps64_n150")


class TestBridges:
    """Our kernels behind flashinfer-bench's `dsa_paged` interfaces, against its conventions written out here."""

    @pytest.fixture(autouse=True)
    def _eager(self, monkeypatch: pytest.MonkeyPatch) -> None:
        for name in ("sparse_mla_prefill", "paged_indexer_logits", "topk_select"):
            library = getattr(dsabench, name)
            monkeypatch.setattr(
                dsabench, name, lambda *args, library=library, **named: library(*args, **named, impl="torch")
            )

    def code(self, definition: str) -> Any:
        found = bridges({("sparse_mla_prefill", "cpu"), ("paged_indexer_logits", "cpu"), ("topk_select", "cpu")})
        return run_of(next(each for each in found if each["definition"] == definition)["sources"][0]["content"])

    @pytest.mark.parametrize("page", [1, 64])
    def test_sparse_attention(self, page: int) -> None:
        run = self.code(f"dsa_sparse_attention_h16_ckv512_kpe64_topk2048_ps{page}")
        generator = torch.Generator().manual_seed(1)
        pages = 128 // page

        def draw(*shape: int) -> torch.Tensor:
            return torch.randn(shape, generator=generator).bfloat16()

        q_nope, q_pe = draw(3, 16, 512), draw(3, 16, 64)
        ckv, kpe = draw(pages, page, 512), draw(pages, page, 64)
        chosen = torch.full((3, 2048), -1, dtype=torch.int32)
        chosen[0, :40] = torch.randperm(128, generator=generator)[:40].int()
        chosen[2, :1] = 7
        scale = 192**-0.5
        out, lse = run(q_nope, q_pe, ckv, kpe, chosen, scale)
        assert (out.dtype, lse.dtype) == (torch.bfloat16, torch.float32)
        for t in range(3):
            slots = chosen[t][chosen[t] >= 0].long()
            if not len(slots):
                assert bool((out[t] == 0).all())
                assert bool(torch.isneginf(lse[t]).all())
                continue
            latent, rope = ckv.view(-1, 512)[slots].double(), kpe.view(-1, 64)[slots].double()
            scores = (q_nope[t].double() @ latent.T + q_pe[t].double() @ rope.T) * scale
            torch.testing.assert_close(lse[t].double(), torch.logsumexp(scores, -1) / math.log(2), atol=1e-3, rtol=1e-3)
            torch.testing.assert_close(out[t].double(), scores.softmax(-1) @ latent, atol=1e-2, rtol=1e-2)

    def test_indexer_gives_slots_of_the_cache(self) -> None:
        run = self.code("dsa_topk_indexer_fp8_h64_d128_topk2048_ps64")
        inputs = get_op("paged_indexer_logits").make_inputs(
            get_op("paged_indexer_logits").complete_axes({"b": 2, "next_n": 1, "s_kv": 100, "h": 64}), "normal", 0, _CPU
        )
        lengths = inputs.context_lens[:, 0].clone()
        lengths[1] = 0
        # Its tables hold real blocks everywhere.
        table = inputs.block_table.clamp(0, inputs.k_cache.shape[0] - 1)
        slots = run(inputs.q[:, 0], inputs.k_cache.view(torch.int8), inputs.weights, lengths, table)
        assert (slots.shape, slots.dtype) == ((2, 2048), torch.int32)
        expected = table[0, torch.arange(100) // 64] * 64 + torch.arange(100) % 64
        assert slots[0][slots[0] >= 0].sort().values.tolist() == expected.sort().values.tolist()
        assert bool((slots[1] == -1).all())

    def test_need_the_ops_that_they_call(self) -> None:
        assert bridges({("topk_select", "cpu"), ("dense_mla_decode", "cpu")}) == []
        assert [each["definition"][:20] for each in bridges({("sparse_mla_prefill", "cpu")})] == [
            "dsa_sparse_attention"
        ] * 2
