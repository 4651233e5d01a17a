import pytest

from dsabench.kernels.dense_mha_prefill.contract import OP
from dsabench.kernels.workload import Workload


@pytest.mark.parametrize(
    ("s_q", "s_kv", "causal", "pairs"), [(4, 4, 1, 10), (4, 4, 0, 16), (2, 7, 1, 13), (2, 7, 0, 14), (9, 4, 0, 36)]
)
def test_pairs_and_bytes_by_the_formula(s_q, s_kv, causal, pairs):
    cost = OP.cost(Workload.of(OP.name, {"s_q": s_q, "s_kv": s_kv, "h_q": 3, "causal": causal}).make_inputs())
    assert cost.flops == 2 * pairs * 3 * (192 + 128)
    assert cost.compulsory_bytes == cost.gather_bytes == 2 * 3 * (s_q * 192 + s_kv * 320 + s_q * 128)
    assert cost.product_dtype == "bf16"
