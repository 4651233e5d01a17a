import pytest
import torch

from dsabench.kernels.sparse_mla_decode.contract import OP
from dsabench.kernels.workload import Workload
from tests.kernels.naive_attention import assert_same, finish, softmax_row, token_values

AXES = {"b": 2, "s_q": 2, "s_kv": 11, "h_q": 2, "topk": 9, "page": 4}


def naive(inputs):
    rows, sinks = [], []
    b, s_q, h_q, _ = inputs.q.shape
    page = inputs.kv_cache.shape[1]
    for i in range(b):
        for t in range(s_q):
            length = inputs.indices.shape[2] if inputs.topk_length is None else int(inputs.topk_length[i, t])
            slots = [s for s in inputs.indices[i, t].tolist()[:length] if 0 <= s < inputs.kv_cache.shape[0] * page]
            keys = [token_values(inputs.kv_cache[s // page, s % page, 0].tolist()) for s in slots]
            for h in range(h_q):
                q = inputs.q[i, t, h].tolist()
                rows.append(softmax_row(q, keys, [key[:512] for key in keys], inputs.sm_scale))
                sinks.append(0.0 if inputs.attn_sink is None else float(inputs.attn_sink[h]))
    return finish(rows, 512, None if inputs.attn_sink is None else sinks)


@pytest.mark.parametrize("distribution", OP.distributions)
def test_it_agrees_with_a_plain_loop(distribution):
    inputs = Workload.of("sparse_mla_decode", AXES, distribution, seed=2).make_inputs()
    assert_same(OP.reference(inputs, torch.arange(8)), naive(inputs))


def test_rows_are_independent_and_come_in_the_order_asked():
    inputs = Workload.of("sparse_mla_decode", AXES, "sink").make_inputs()
    whole = OP.reference(inputs, torch.arange(8))
    rows = torch.tensor([7, 0, 3, 7])
    assert_same(OP.reference(inputs, rows), (whole[0][rows], whole[1][rows]))
