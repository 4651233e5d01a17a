from __future__ import annotations

import pytest

from dsabench.kernels.paged_indexer_logits.contract import DISTRIBUTIONS, OP
from dsabench.kernels.workload import Workload


@pytest.mark.parametrize("distribution", DISTRIBUTIONS)
@pytest.mark.parametrize(("b", "s_kv"), [(1, 1), (4, 300), (8, 64)])
def test_cost_is_that_of_the_slots_one_by_one(distribution, b, s_kv):
    axes = {"b": b, "next_n": 2, "s_kv": s_kv, "h": 16}
    inputs = Workload.of("paged_indexer_logits", axes, distribution, seed=2).make_inputs()
    slots, entries, gathered = set(), 0, 0
    for i, lens in enumerate(inputs.context_lens.tolist()):
        places = [(int(inputs.block_table[i, s // 64]), s % 64) for s in range(max(lens))]
        slots |= set(places)
        gathered += len(places)
        entries += len({block for block, _ in places})
    lens = inputs.context_lens.flatten().tolist()
    others = sum(n > 0 for n in lens) * 16 * 132 + entries * 4 + len(lens) * 4 + 2 * b * s_kv * 4
    cost = OP.cost(inputs)
    assert cost.flops == 2 * sum(lens) * 16 * 128
    assert cost.compulsory_bytes == len(slots) * 132 + others
    assert cost.gather_bytes == gathered * 132 + others
    assert cost.product_dtype == "fp8"
    assert (cost.gather_bytes > cost.compulsory_bytes) == (distribution == "shared_prefix" and s_kv == 300)
