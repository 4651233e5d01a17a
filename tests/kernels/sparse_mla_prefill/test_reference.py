import pytest
import torch

from dsabench.kernels.sparse_mla_prefill.contract import OP
from dsabench.kernels.workload import Workload
from tests.kernels.naive_attention import assert_same, finish, softmax_row


def naive(inputs):
    rows, sinks = [], []
    for t in range(inputs.q.shape[0]):
        length = inputs.indices.shape[2] if inputs.topk_length is None else int(inputs.topk_length[t])
        chosen = [i for i in inputs.indices[t, 0].tolist()[:length] if 0 <= i < inputs.kv.shape[0]]
        keys = [inputs.kv[i, 0].tolist() for i in chosen]
        for h in range(inputs.q.shape[1]):
            rows.append(softmax_row(inputs.q[t, h].tolist(), keys, [key[:512] for key in keys], inputs.sm_scale))
            sinks.append(0.0 if inputs.attn_sink is None else float(inputs.attn_sink[h]))
    return finish(rows, 512, None if inputs.attn_sink is None else sinks)


@pytest.mark.parametrize("distribution", OP.distributions)
def test_it_agrees_with_a_plain_loop(distribution):
    axes = {"s_q": 4, "s_kv": 11, "h_q": 3, "topk": 9}
    inputs = Workload.of("sparse_mla_prefill", axes, distribution, seed=2).make_inputs()
    assert_same(OP.reference(inputs, torch.arange(12)), naive(inputs))


def test_rows_are_independent_and_come_in_the_order_asked():
    axes = {"s_q": 4, "s_kv": 11, "h_q": 3, "topk": 9}
    inputs = Workload.of("sparse_mla_prefill", axes, "sink").make_inputs()
    whole = OP.reference(inputs, torch.arange(12))
    rows = torch.tensor([7, 0, 11, 7])
    assert_same(OP.reference(inputs, rows), (whole[0][rows], whole[1][rows]))
