import torch

from dsabench.kernels.sparse_mla_prefill.contract import OP, Inputs
from dsabench.kernels.workload import Workload


def test_a_full_workload_by_the_formula():
    inputs = Workload.of(OP.name, {"s_q": 3, "s_kv": 64, "h_q": 4, "topk": 10}).make_inputs()
    cost = OP.cost(inputs)
    unique = len(set(inputs.indices.flatten().tolist()))
    rest = 3 * 4 * (576 * 2 + 512 * 2 + 4)
    assert cost.flops == 2 * 30 * 4 * (576 + 512)
    assert cost.compulsory_bytes == unique * 1152 + rest
    assert cost.gather_bytes == 30 * 1152 + rest


def test_padding_lengths_and_repeats():
    indices = torch.tensor([[[3, 3, -1, 9]], [[3, 4, 4, 4]], [[0, 1, 2, 3]]], dtype=torch.int32)
    q, kv = torch.zeros(3, 2, 576, dtype=torch.bfloat16), torch.zeros(9, 1, 576, dtype=torch.bfloat16)
    cost = OP.cost(Inputs(q, kv, indices, 1.0, None, torch.tensor([4, 2, 0], dtype=torch.int32)))
    rest = 2 * (2 * 576 * 2) + 3 * 2 * (512 * 2 + 4)
    assert cost.flops == 2 * 4 * 2 * (576 + 512)
    assert cost.compulsory_bytes == 2 * 1152 + rest
    assert cost.gather_bytes == 4 * 1152 + rest


def test_no_valid_entry_is_no_work():
    inputs = Workload.of(OP.name, {"s_q": 3, "s_kv": 64, "h_q": 4, "topk": 10}, "no_valid").make_inputs()
    assert OP.cost(inputs).flops == 0
    assert OP.cost(inputs).compulsory_bytes == 3 * 4 * (512 * 2 + 4)
