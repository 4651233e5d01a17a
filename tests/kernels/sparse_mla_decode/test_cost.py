from dsabench.kernels.sparse_mla_decode.contract import OP
from dsabench.kernels.workload import Workload

AXES = {"b": 2, "s_q": 2, "s_kv": 64, "h_q": 4, "topk": 50, "page": 16}


def test_a_slot_of_two_queries_is_compulsory_once_and_gathered_twice():
    inputs = Workload.of(OP.name, AXES).make_inputs()
    cost = OP.cost(inputs)
    unique = len(set(inputs.indices.flatten().tolist()))
    assert unique < 200
    rest = 4 * 4 * (576 * 2 + 512 * 2 + 4)
    assert cost.flops == 2 * 200 * 4 * (576 + 512)
    assert cost.compulsory_bytes == unique * 656 + rest
    assert cost.gather_bytes == 200 * 656 + rest
    assert cost.product_dtype == "bf16"


def test_only_counted_entries_are_work():
    inputs = Workload.of(OP.name, AXES, "topk_length").make_inputs()
    assert OP.cost(inputs).flops == 2 * int(inputs.topk_length.sum()) * 4 * (576 + 512)
