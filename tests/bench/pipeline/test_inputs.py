from __future__ import annotations

import dataclasses

import pytest
import torch

from dsabench.bench.pipeline.dense import DensePipeline
from dsabench.bench.pipeline.inputs import SparseDecode, build_inputs
from dsabench.bench.pipeline.memory import needed_bytes
from dsabench.bench.pipeline.shape import Shape
from dsabench.bench.pipeline.sparse import sparse_pipeline
from dsabench.bench.workbench import byte_count, same_bits, tensors_of
from dsabench.kernels.index_cache import key_codes, key_scales
from dsabench.kernels.kv_cache import dequantize_tokens

CPU = torch.device("cpu")
BOTH = ("sparse", "dense")


@pytest.fixture(params=["decode", "prefill"])
def shape(request) -> Shape:
    return request.getfixturevalue(request.param)


def test_decode_reads_the_same_latents_in_both_caches(decode: Shape) -> None:
    inputs = build_inputs(decode, BOTH, 0, CPU)
    narrow = dequantize_tokens(inputs.sparse.kv_cache.flatten(0, 2))
    wide = inputs.dense.kv_cache.flatten(0, 2).float()
    live = ~wide.isnan().any(1)
    assert int(live.sum()) == 3 * 200
    assert (wide[live].abs().amax(1) > 0.1).all(), "latents, not zeros"
    # e4m3 keeps three bits of the mantissa: half a unit in the last is 1/16 of the value, less near the smallest.
    error = (narrow[live] - wide[live]).abs()
    assert (error <= wide[live].abs() / 16 + 1e-3).all()
    assert torch.equal(narrow[live][:, 512:], wide[live][:, 512:]), "rope is not quantized"
    assert inputs.sparse.q is inputs.dense.q
    assert inputs.sparse.block_table is inputs.dense.block_table


def test_slots_without_a_token_hold_nan_in_every_cache(decode: Shape) -> None:
    inputs = build_inputs(decode, BOTH, 0, CPU)
    table = inputs.dense.block_table
    assert sorted(table.flatten().tolist()) == list(range(12))
    assert table.flatten().tolist() != list(range(12)), "shuffled"
    dead = torch.zeros(decode.slots, dtype=torch.bool)
    for last in table[:, -1].tolist():
        dead[last * 64 + 200 - 3 * 64 : last * 64 + 64] = True
    assert torch.equal(inputs.dense.kv_cache.flatten(0, 2).isnan().all(1), dead)
    assert torch.equal(dequantize_tokens(inputs.sparse.kv_cache.flatten(0, 2)).isnan().any(1), dead)
    assert torch.equal(key_scales(inputs.sparse.index_cache).flatten().isnan(), dead)
    codes = key_codes(inputs.sparse.index_cache).flatten(0, 1).float()
    assert torch.equal(codes.isnan().any(1), dead)


def test_each_query_of_a_sequence_sees_one_key_more_than_the_one_before(decode: Shape, prefill: Shape) -> None:
    assert build_inputs(decode, BOTH, 0, CPU).sparse.context_lens.tolist() == [[199, 200]] * 3
    assert build_inputs(decode, BOTH, 0, CPU).dense.causal
    chunk = build_inputs(prefill, BOTH, 0, CPU).sparse
    assert chunk.ends.tolist() == list(range(111, 151))
    assert chunk.starts.tolist() == [0] * 40


def test_a_side_is_the_same_whatever_is_built_beside_it(shape: Shape) -> None:
    both = build_inputs(shape, BOTH, 7, CPU)
    for name in BOTH:
        alone = build_inputs(shape, (name,), 7, CPU)
        other = "dense" if name == "sparse" else "sparse"
        assert getattr(alone, other) is None
        left, right = (tensors_of(getattr(each, name)) for each in (alone, both))
        assert same_bits(tuple(left.values()), tuple(right.values()))
    other_seed = build_inputs(shape, BOTH, 8, CPU)
    assert not torch.equal(other_seed.sparse.q, both.sparse.q)


def test_every_kernel_is_called_as_its_contract_says(shape: Shape) -> None:
    inputs = build_inputs(shape, BOTH, 0, CPU)
    sparse, dense = sparse_pipeline(inputs.sparse, shape.topk), DensePipeline(inputs.dense)
    sparse.run()
    calls = [sparse.attention, dense.attention]
    for chunk in sparse.parts:
        calls += [chunk.indexer, chunk.topk]
    for call in calls:
        call.op.validate(call.inputs)
        wanted = call.op.empty_outputs(call.inputs)
        assert [(t.shape, t.dtype) for t in call.outputs] == [(t.shape, t.dtype) for t in wanted]
    assert dense.attention.op.name == ("dense_mla_decode" if shape.phase == "decode" else "dense_mha_prefill")


def test_what_is_needed_is_known_before_it_is_built(shape: Shape) -> None:
    inputs = build_inputs(shape, BOTH, 0, CPU)
    needs = needed_bytes(shape)
    sparse, dense = sparse_pipeline(inputs.sparse, shape.topk), DensePipeline(inputs.dense)
    assert needs["sparse"] == pytest.approx(byte_count(inputs.sparse) + sparse.buffer_bytes, rel=0.01)
    outputs = sum(t.numel() * t.element_size() for t in dense.attention.outputs)
    assert needs["dense"] == pytest.approx(byte_count(inputs.dense) + outputs, rel=0.01)
    assert needs["eager"] == outputs


def test_dense_prefill_counts_the_expanded_keys_among_its_buffers(prefill: Shape) -> None:
    dense = DensePipeline(build_inputs(prefill, ("dense",), 0, CPU).dense)
    assert dense.buffer_bytes == 150 * 8 * (192 + 128) * 2 + 40 * 8 * (128 * 2 + 4)
    assert dense.kv_bytes_per_token == 1152


def test_the_memory_of_a_context_of_128k() -> None:
    heads = Shape("prefill", 131072, 1, 512, 128, 64, 2048)
    assert needed_bytes(heads)["dense"] == pytest.approx(10.8e9, rel=0.01)
    assert needed_bytes(heads)["sparse"] < 0.7e9
    batch = dataclasses.replace(heads, phase="decode", batch=64, queries=1)
    assert needed_bytes(batch)["dense"] == pytest.approx(64 * 131072 * 1152, rel=0.01)
    assert isinstance(build_inputs(Shape("decode", 1, 1, 1, 8, 8, 8), BOTH, 0, CPU).sparse, SparseDecode)
