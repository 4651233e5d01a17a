"""The pipeline on tiny contexts, against what a float64 computation of all of it gives."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from dsabench.bench.pipeline.dense import DensePipeline
from dsabench.bench.pipeline.inputs import SparseDecode, build_inputs
from dsabench.bench.pipeline.shape import Shape
from dsabench.bench.pipeline.sparse import SparsePipeline, chunk_bounds, sparse_pipeline
from dsabench.bench.workbench import poison
from dsabench.kernels.fp8 import decode_e4m3
from dsabench.kernels.index_cache import key_codes, key_scales
from dsabench.kernels.kv_cache import dequantize_tokens

CPU = torch.device("cpu")


@pytest.fixture(params=["decode", "prefill"])
def shape(request) -> Shape:
    return request.getfixturevalue(request.param)


def pipeline_of(shape: Shape, **more) -> SparsePipeline:
    return sparse_pipeline(build_inputs(shape, ("sparse",), 3, CPU).sparse, shape.topk, **more)


def ran(pipeline: SparsePipeline) -> SparsePipeline:
    poison(pipeline.buffers)
    pipeline.run()
    return pipeline


def keys_and_latents(inputs, sequence: int):
    """float64 (index keys with their scale, latents) of one sequence, by position."""
    if isinstance(inputs, SparseDecode):
        blocks = inputs.block_table[sequence].long()
        keys = decode_e4m3(key_codes(inputs.index_cache)[blocks].flatten(0, 1), torch.float64)
        keys = keys * key_scales(inputs.index_cache)[blocks].flatten().double()[:, None]
        return keys, dequantize_tokens(inputs.kv_cache[blocks].flatten(0, 2), torch.float64)
    keys = decode_e4m3(inputs.index_k, torch.float64) * inputs.index_k_scale.double()[:, None]
    return keys, inputs.kv[:, 0].double()


def by_hand(inputs, topk: int, sm_scale: float) -> tuple[list[set[int]], torch.Tensor]:
    """Per query the selected positions, and outputs float64 [queries, h_q, 512]."""
    if isinstance(inputs, SparseDecode):
        b, s_q = inputs.context_lens.shape
        seen, sequences = inputs.context_lens.flatten().tolist(), [i // s_q for i in range(b * s_q)]
    else:
        seen, sequences = inputs.ends.tolist(), [0] * len(inputs.ends)
    index_q, q = inputs.index_q.flatten(0, -3), inputs.q.flatten(0, -3).double()
    sets, outs = [], []
    for i, (count, sequence) in enumerate(zip(seen, sequences, strict=True)):
        keys, latents = keys_and_latents(inputs, sequence)
        per_head = (decode_e4m3(index_q[i], torch.float64) @ keys[:count].T).relu()
        best = (inputs.index_weights[i].double() @ per_head).topk(min(topk, count)).indices
        sets.append(set(best.tolist()))
        weights = torch.softmax(q[i] @ latents[best].T * sm_scale, dim=-1)
        outs.append(weights @ latents[best, :512])
    return sets, torch.stack(outs)


def test_the_pipeline_selects_and_attends_as_a_full_computation_in_float64(shape: Shape) -> None:
    pipeline = ran(pipeline_of(shape))
    inputs, attention = pipeline.constants[0], pipeline.attention
    sets, out = by_hand(inputs, shape.topk, attention.inputs.sm_scale)
    assert [set(row) for row in pipeline.selection.tolist()] == sets
    got = attention.outputs[0].flatten(0, -3).double()
    assert (got - out).abs().max() < 2e-3
    assert out.abs().max() > 0.05


def test_no_query_selects_a_key_that_comes_after_it(shape: Shape) -> None:
    everything = dataclasses.replace(shape, topk=shape.context)
    pipeline = ran(pipeline_of(everything))
    ends = pipeline.parts[0].topk.inputs.ends.tolist()
    assert len(set(ends)) > 1
    for row, end in zip(pipeline.selection.tolist(), ends, strict=True):
        assert sorted(row[:end]) == list(range(end))
        assert row[end:] == [-1] * (shape.context - end)


def test_selecting_every_key_is_dense_attention(decode: Shape) -> None:
    everything = dataclasses.replace(decode, topk=decode.context)
    inputs = build_inputs(everything, ("sparse", "dense"), 3, CPU)
    sparse, dense = sparse_pipeline(inputs.sparse, everything.topk), DensePipeline(inputs.dense)
    ran(sparse)
    dense.run()
    out, exact = (each.attention.outputs[0].double() for each in (sparse, dense))
    # What is left is the quantization of the latents: three bits of mantissa, averaged over some keys.
    assert ((out - exact).norm() / exact.norm()) < 0.05
    assert (sparse.attention.outputs[1] - dense.attention.outputs[1]).abs().max() < 0.1


def test_the_steps_one_by_one_are_the_whole(shape: Shape) -> None:
    whole, steps = ran(pipeline_of(shape)), pipeline_of(shape)
    poison(steps.buffers)
    for step in steps.steps:
        step.run()
    assert torch.equal(steps.selection, whole.selection)
    for left, right in zip(steps.attention.outputs, whole.attention.outputs, strict=True):
        assert torch.equal(left, right)
    names = [step.stage for step in whole.steps]
    assert names == ["indexer", "topk", *(["slots"] if shape.phase == "decode" else []), "attention"]


@pytest.mark.parametrize("groups_a_chunk", [1, 2])
def test_chunks_change_nothing_but_the_size_of_the_score_buffer(shape: Shape, groups_a_chunk: int) -> None:
    group = shape.queries if shape.phase == "decode" else 1
    whole = ran(pipeline_of(shape))
    pieces = ran(pipeline_of(shape, score_bytes=groups_a_chunk * group * shape.context * 4))
    assert whole.chunks == 1
    assert pieces.chunks == -(-shape.tokens // group // groups_a_chunk)
    assert pieces.scores.numel() == groups_a_chunk * group * shape.context
    assert [set(row) for row in pieces.selection.tolist()] == [set(row) for row in whole.selection.tolist()]
    covered = [row for chunk in pieces.parts for row in range(chunk.first, chunk.last)]
    assert covered == list(range(shape.tokens))


def test_chunks_are_of_equal_size_and_at_least_one_group() -> None:
    assert chunk_bounds(10, 100, 350) == [0, 2, 5, 7, 10]
    assert chunk_bounds(3, 100, 1) == [0, 1, 2, 3]
    assert chunk_bounds(4096, 131072 * 4, 256 * 2**20) == [512 * i for i in range(9)]
    assert chunk_bounds(2, 1, 100) == [0, 2]


def test_a_context_shorter_than_k_is_padded(decode: Shape) -> None:
    pipeline = ran(pipeline_of(dataclasses.replace(decode, context=10, topk=32)))
    rows = pipeline.selection.tolist()
    assert all(sorted(row[:count]) == list(range(count)) for row, count in zip(rows, [9, 10] * 3, strict=True))
    assert (pipeline.paged.slots.flatten(0, 1)[:, 10:] == -1).all()
    assert pipeline.attention.outputs[0].isfinite().all()


def test_bytes_of_a_token() -> None:
    decode, prefill = Shape("decode", 64, 1, 1, 8, 8, 8), Shape("prefill", 64, 1, 8, 8, 8, 8)
    assert pipeline_of(decode).kv_bytes_per_token == 656 + 132
    assert pipeline_of(prefill).kv_bytes_per_token == 1152 + 132
