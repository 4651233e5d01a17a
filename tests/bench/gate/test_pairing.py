"""Rows of two trees put together: same, new, missing, renamed."""

from __future__ import annotations

from dsabench.bench.gate.pairing import pair_offers
from dsabench.bench.jobs import Offer
from dsabench.kernels.workload import Workload

SMALL, LARGE = (Workload.of("topk_select", {"rows": 1, "s_kv": s, "k": 64}) for s in (256, 512))
OTHER = Workload.of("indexer_logits", {"s_q": 4, "s_kv": 256})


def offers(*pairs):
    return [Offer(workload, impl, {}, "") for workload, impl in pairs]


def names(pairs):
    return {
        (p.workload.op, p.workload.context, p.baseline and p.baseline.impl, p.candidate and p.candidate.impl)
        for p in pairs
    }


def test_rows_of_both_sides_meet_and_those_of_one_are_not_lost():
    found = pair_offers(offers((SMALL, "a"), (LARGE, "a"), (OTHER, "a")), offers((SMALL, "a"), (SMALL, "b")))
    assert names(found) == {
        ("topk_select", 256, "a", "a"),
        ("topk_select", 256, None, "b"),
        ("topk_select", 512, "a", None),
        ("indexer_logits", 256, "a", None),
    }


def test_an_implementation_with_another_name_and_the_same_workloads_is_renamed():
    found = pair_offers(offers((SMALL, "old"), (LARGE, "old")), offers((SMALL, "new"), (LARGE, "new")))
    assert names(found) == {("topk_select", 256, "old", "new"), ("topk_select", 512, "old", "new")}
    assert {pair.renamed_from for pair in found} == {"old"}


def test_other_workloads_or_several_candidates_are_no_renaming():
    fewer = pair_offers(offers((SMALL, "old"), (LARGE, "old")), offers((SMALL, "new")))
    assert all(pair.renamed_from is None for pair in fewer)
    assert len(fewer) == 3
    several = pair_offers(offers((SMALL, "old")), offers((SMALL, "new"), (SMALL, "newer")))
    assert all(pair.baseline is None or pair.candidate is None for pair in several)


def test_a_name_that_another_op_gave_up_is_not_renamed_into_this_one():
    found = pair_offers(offers((OTHER, "old")), offers((SMALL, "new")))
    assert names(found) == {("topk_select", 256, None, "new"), ("indexer_logits", 256, "old", None)}
