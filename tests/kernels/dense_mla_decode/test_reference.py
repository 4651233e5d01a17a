import pytest
import torch

from dsabench.kernels.dense_mla_decode.contract import OP
from dsabench.kernels.workload import Workload
from tests.kernels.naive_attention import assert_same, finish, softmax_row


def naive(inputs):
    rows = []
    b, s_q, h_q, _ = inputs.q.shape
    page = inputs.kv_cache.shape[1]
    for i in range(b):
        for t in range(s_q):
            seen = int(inputs.cache_seqlens[i]) - (s_q - 1 - t if inputs.causal else 0)
            keys = [
                inputs.kv_cache[int(inputs.block_table[i, j // page]), j % page, 0].tolist()
                for j in range(max(seen, 0))
            ]
            values = [key[:512] for key in keys]
            rows += [softmax_row(inputs.q[i, t, h].tolist(), keys, values, inputs.sm_scale) for h in range(h_q)]
    return finish(rows, 512)


@pytest.mark.parametrize("causal", [0, 1])
@pytest.mark.parametrize("distribution", OP.distributions)
def test_it_agrees_with_a_plain_loop(distribution, causal):
    axes = {"b": 3, "s_q": 2, "s_kv": 9, "h_q": 2, "page": 4, "causal": causal}
    inputs = Workload.of("dense_mla_decode", axes, distribution, seed=2).make_inputs()
    assert_same(OP.reference(inputs, torch.arange(12)), naive(inputs))


def test_the_first_of_two_causal_queries_sees_one_key_less():
    axes = {"b": 1, "s_q": 2, "s_kv": 1, "h_q": 1, "page": 4, "causal": 1}
    inputs = Workload.of("dense_mla_decode", axes).make_inputs()
    out, lse = OP.reference(inputs, torch.arange(2))
    assert not out[0].any()
    assert lse[0] == -torch.inf
    slot = int(inputs.block_table[0, 0]) * 4
    torch.testing.assert_close(out[1], inputs.kv_cache.view(-1, 576)[slot, :512].double())


def test_rows_are_independent_and_come_in_the_order_asked():
    axes = {"b": 3, "s_q": 2, "s_kv": 9, "h_q": 2, "page": 4, "causal": 1}
    inputs = Workload.of("dense_mla_decode", axes, "ragged").make_inputs()
    whole = OP.reference(inputs, torch.arange(12))
    rows = torch.tensor([7, 0, 11, 7])
    assert_same(OP.reference(inputs, rows), (whole[0][rows], whole[1][rows]))
