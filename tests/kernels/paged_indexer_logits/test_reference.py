from __future__ import annotations

import numpy as np
import pytest
import torch

from dsabench.kernels.index_cache import BLOCK_BYTES, pack_index_cache
from dsabench.kernels.indexer_logits.contract import Inputs as PlainInputs
from dsabench.kernels.indexer_logits.reference import reference as plain_reference
from dsabench.kernels.paged_indexer_logits import reference as module
from dsabench.kernels.paged_indexer_logits.contract import DISTRIBUTIONS, OP, Inputs
from dsabench.kernels.paged_indexer_logits.reference import reference
from dsabench.kernels.workload import Workload
from tests.kernels import naive_index


def make(distribution: str = "normal", seed: int = 5, **axes: int) -> Inputs:
    return Workload.of("paged_indexer_logits", {"h": 8, **axes}, distribution, seed).make_inputs()


def naive(inputs: Inputs) -> np.ndarray:
    tensors = (inputs.q.view(torch.uint8), inputs.k_cache, inputs.weights, inputs.context_lens, inputs.block_table)
    return naive_index.paged_indexer_logits(*(t.numpy() for t in tensors), inputs.max_context_len)


@pytest.mark.parametrize("distribution", DISTRIBUTIONS)
def test_equals_the_formula_element_by_element(distribution):
    inputs = make(distribution, b=3, next_n=2, s_kv=5)
    np.testing.assert_allclose(reference(inputs, torch.arange(6))[0].numpy(), naive(inputs), rtol=1e-12, atol=1e-300)


def test_past_the_end_of_a_block_element_by_element():
    inputs = make(b=1, next_n=1, s_kv=67)
    np.testing.assert_allclose(reference(inputs, torch.arange(1))[0].numpy(), naive(inputs), rtol=1e-12)


def test_rows_are_pairs_of_sequence_and_query_in_any_order():
    inputs = make("ragged", b=4, next_n=3, s_kv=7)
    rows = torch.tensor([11, 2, 1, 6])
    np.testing.assert_allclose(reference(inputs, rows)[0].numpy(), naive(inputs)[rows.numpy()], rtol=1e-12)


def test_tiles_change_nothing(monkeypatch):
    inputs = make("ragged", b=7, next_n=2, s_kv=700)
    whole = reference(inputs, torch.arange(14))[0]
    monkeypatch.setattr(module, "TILE_KEYS", 128)
    torch.testing.assert_close(reference(inputs, torch.arange(14))[0], whole, rtol=1e-14, atol=0)


def test_is_the_plain_op_on_the_same_keys():
    generator = torch.Generator().manual_seed(0)
    codes = torch.randint(0, 0x7F, (200, 128), generator=generator, dtype=torch.uint8).view(torch.float8_e4m3fn)
    scales, weights = torch.rand(200, generator=generator), torch.randn(2, 8, generator=generator)
    q = torch.randint(0, 0x7F, (2, 8, 128), generator=generator, dtype=torch.uint8).view(torch.float8_e4m3fn)
    ends = torch.tensor([199, 200], dtype=torch.int32)
    plain = PlainInputs(q, codes, scales, weights, torch.zeros(2, dtype=torch.int32), ends)
    table = torch.arange(4, dtype=torch.int32)[None]
    paged = Inputs(q[None], pack_index_cache(codes, scales), weights, ends[None], table, 200)
    rows = torch.arange(2)
    assert torch.equal(reference(paged, rows)[0], plain_reference(plain, rows)[0])


def test_far_blocks_are_read_past_two_gigabytes():
    inputs = make("far_blocks", b=2, s_kv=130)
    assert int(inputs.block_table[0, 0]) * BLOCK_BYTES > 2**31
    logits = reference(inputs, torch.arange(2))[0]
    assert (logits != 0).float().mean() > 0.9  # the pages before those blocks are zeros


def test_row_flops_are_those_of_the_products():
    assert OP.row_flops(make(b=2, next_n=2, s_kv=1000, h=32)) == 2 * 32 * 128 * 1000
