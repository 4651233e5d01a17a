import pytest

from dsabench.kernels.dense_mla_decode.contract import OP
from dsabench.kernels.workload import Workload

AXES = {"b": 3, "s_q": 2, "s_kv": 50, "h_q": 4, "page": 16}


@pytest.mark.parametrize("causal", [0, 1])
def test_a_full_workload_by_the_formula(causal):
    cost = OP.cost(Workload.of(OP.name, {**AXES, "causal": causal}).make_inputs())
    assert cost.flops == 2 * 3 * (100 - causal) * 4 * (576 + 512)
    assert cost.compulsory_bytes == cost.gather_bytes == 150 * 1152 + 6 * 4 * (576 + 512) * 2


def test_ragged_lengths_count_as_they_are():
    inputs = Workload.of(OP.name, AXES, "ragged").make_inputs()
    keys = int(inputs.cache_seqlens.sum())
    seeing = int((inputs.cache_seqlens > 0).sum()) * 2
    cost = OP.cost(inputs)
    assert cost.flops == 2 * 2 * keys * 4 * (576 + 512)
    assert cost.compulsory_bytes == keys * 1152 + 4 * 2 * (seeing * 576 + 6 * 512)


def test_shared_blocks_are_compulsory_once():
    cost = OP.cost(Workload.of(OP.name, AXES, "shared_blocks").make_inputs())
    rest = 6 * 4 * (576 + 512) * 2
    assert cost.gather_bytes == 150 * 1152 + rest
    assert cost.compulsory_bytes == (150 - 2 * 32) * 1152 + rest


def test_empty_sequences_are_no_work():
    cost = OP.cost(Workload.of(OP.name, AXES, "empty").make_inputs())
    assert cost.flops == 0
    assert cost.compulsory_bytes == 6 * 4 * 512 * 2
