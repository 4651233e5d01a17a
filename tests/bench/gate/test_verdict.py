from __future__ import annotations

from itertools import product

import pytest

from dsabench.bench.gate.records import EXIT_CODES, GateRow, RowVerdict, Verdict
from dsabench.bench.gate.verdict import overall, sorted_rows


def row(verdict: RowVerdict, lost_s: float | None = None, impl: str = "mine") -> GateRow:
    return GateRow(
        op="topk_select", impl=impl, axes={"s_kv": 1}, distribution="normal", seed=0, baseline_config={}, candidate_config={},
        verdict=verdict, reason="", baseline_s=1.0, candidate_s=None if lost_s is None else 1.0 + lost_s,
    )  # fmt: skip


EXPECTED = {
    RowVerdict.SLOWER: Verdict.REGRESSED,
    RowVerdict.BROKEN: Verdict.REGRESSED,
    RowVerdict.INVALID: Verdict.INVALID,
    RowVerdict.MISSING: Verdict.INVALID,
    RowVerdict.UNCLEAR: Verdict.AMBIGUOUS,
    RowVerdict.NEW: Verdict.PASS,
    RowVerdict.FASTER: Verdict.PASS,
    RowVerdict.MENDED: Verdict.PASS,
    RowVerdict.SAME: Verdict.PASS,
}


@pytest.mark.parametrize("verdict", RowVerdict)
def test_one_row_beside_a_good_one_decides(verdict: RowVerdict) -> None:
    found, reason = overall([row(RowVerdict.SAME), row(verdict)], allow_missing=False)
    assert found is EXPECTED[verdict]
    assert verdict.lower() in reason
    assert "of 2 rows" in reason


def test_a_proven_regression_stands_before_what_is_missing_and_that_before_what_is_unclear() -> None:
    order = [Verdict.REGRESSED, Verdict.INVALID, Verdict.AMBIGUOUS, Verdict.PASS]
    for one, other in product(RowVerdict, repeat=2):
        found, _ = overall([row(RowVerdict.SAME), row(one), row(other)], allow_missing=False)
        assert found is min(EXPECTED[one], EXPECTED[other], key=order.index)


def test_missing_rows_may_be_allowed_and_are_counted_even_so() -> None:
    rows = [row(RowVerdict.SAME), row(RowVerdict.MISSING)]
    assert overall(rows, allow_missing=True) == (Verdict.PASS, "1 missing, 1 same of 2 rows")
    rows.append(row(RowVerdict.INVALID))
    assert overall(rows, allow_missing=True)[0] is Verdict.INVALID


@pytest.mark.parametrize(
    "verdicts",
    [[], [RowVerdict.NEW], [RowVerdict.MISSING], [RowVerdict.INVALID], [RowVerdict.NEW, RowVerdict.MISSING]],
)
def test_a_gate_that_compared_nothing_does_not_pass(verdicts: list[RowVerdict]) -> None:
    found, reason = overall([row(verdict) for verdict in verdicts], allow_missing=True)
    assert found is Verdict.INVALID
    assert "nothing was compared" in reason


def test_rows_stand_worst_first_and_by_the_time_lost() -> None:
    rows = [
        row(RowVerdict.SAME, 0.5),
        row(RowVerdict.SLOWER, 0.1, "a"),
        row(RowVerdict.SLOWER, 0.3, "b"),
        row(RowVerdict.SLOWER, 0.1, "c"),
        row(RowVerdict.BROKEN),
        row(RowVerdict.FASTER, -0.2),
    ]
    found = sorted_rows(rows)
    assert [(r.verdict, r.impl) for r in found] == [
        (RowVerdict.SLOWER, "b"),
        (RowVerdict.SLOWER, "a"),
        (RowVerdict.SLOWER, "c"),
        (RowVerdict.BROKEN, "mine"),
        (RowVerdict.FASTER, "mine"),
        (RowVerdict.SAME, "mine"),
    ]
    assert {r.verdict for r in sorted_rows([row(v) for v in RowVerdict])} == set(RowVerdict)
    assert [r.verdict for r in sorted_rows([row(v) for v in reversed(RowVerdict)])] == list(RowVerdict)


def test_every_verdict_has_an_exit_code_of_its_own() -> None:
    assert EXIT_CODES == {Verdict.PASS: 0, Verdict.REGRESSED: 1, Verdict.AMBIGUOUS: 3, Verdict.INVALID: 4}
