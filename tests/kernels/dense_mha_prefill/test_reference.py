import pytest
import torch

from dsabench.kernels.dense_mha_prefill.contract import OP
from dsabench.kernels.workload import Workload
from tests.kernels.naive_attention import assert_same, finish, softmax_row


def naive(inputs):
    rows = []
    s_q, h_q, _ = inputs.q.shape
    s_kv = inputs.k.shape[0]
    for t in range(s_q):
        seen = s_kv - (s_q - 1 - t) if inputs.causal else s_kv
        for h in range(h_q):
            keys, values = inputs.k[:seen, h].tolist(), inputs.v[:seen, h].tolist()
            rows.append(softmax_row(inputs.q[t, h].tolist(), keys, values, inputs.sm_scale))
    return finish(rows, 128)


@pytest.mark.parametrize(("s_q", "s_kv"), [(1, 1), (3, 3), (3, 8), (1, 8)])
@pytest.mark.parametrize("causal", [0, 1])
@pytest.mark.parametrize("distribution", OP.distributions)
def test_it_agrees_with_a_plain_loop(distribution, causal, s_q, s_kv):
    axes = {"s_q": s_q, "s_kv": s_kv, "h_q": 2, "causal": causal}
    inputs = Workload.of("dense_mha_prefill", axes, distribution, seed=2).make_inputs()
    assert_same(OP.reference(inputs, torch.arange(2 * s_q)), naive(inputs))


def test_rows_are_independent_and_come_in_the_order_asked():
    inputs = Workload.of("dense_mha_prefill", {"s_q": 5, "s_kv": 9, "h_q": 3}).make_inputs()
    whole = OP.reference(inputs, torch.arange(15))
    rows = torch.tensor([7, 0, 14, 7])
    assert_same(OP.reference(inputs, rows), (whole[0][rows], whole[1][rows]))
