"""Workflow commands: a few, the worst first, one line each whatever the strings hold."""

from __future__ import annotations

import re
from urllib.parse import unquote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dsabench.bench.gate.records import RowVerdict, Verdict
from dsabench.reports.gate.annotations import annotations
from tests.reports.gate.results import HOSTILE, invalid, result, row, static_row

R = RowVerdict
COMMAND = re.compile(r"::(error|warning|notice) title=([^:,\r\n]*)::([^\r\n]*)")


def levels(lines: list[str]) -> list[str]:
    return [match[1] if (match := COMMAND.fullmatch(line)) else line for line in lines]


def test_worst_rows_then_all_in_one_line() -> None:
    rows = [row(), row(R.UNCLEAR), row(R.SLOWER, 1.157, reason="15.7 % slower"), row(R.MISSING, None)]
    lines = annotations(result(rows))
    assert levels(lines) == ["error", "error", "warning", "error"]
    assert lines[0] == (
        "::error title=SLOWER topk_select/triton s_q=1 s_kv=64k k=2k::"
        "15.7 %25 slower; 50.0 µs → 57.9 µs; 1.157× (1.147–1.167)"
    )
    assert lines[-1] == ("::error title=dsabench gate%3A REGRESSED::1 slower, 1 missing, 1 unclear, 1 same of 4 rows.")


def test_no_more_than_github_keeps() -> None:
    lines = annotations(result([row(R.SLOWER, 1.2, seed=i) for i in range(50)]))
    assert len(lines) == 10
    assert lines[-1].endswith("50 slower of 50 rows. 41 more in the job summary.")
    assert len(annotations(result([row(R.SLOWER)] * 5), most=1)) == 1
    with pytest.raises(ValueError, match="most is 0"):
        annotations(result([]), most=0)


@pytest.mark.parametrize(
    ("verdict", "level"),
    [
        (Verdict.PASS, "notice"),
        (Verdict.AMBIGUOUS, "warning"),
        (Verdict.REGRESSED, "error"),
        (Verdict.INVALID, "error"),
    ],
)
def test_level_of_the_roll_up(verdict: Verdict, level: str) -> None:
    assert levels(annotations(result([row()], verdict=verdict))) == [level]


def test_a_missing_row_that_was_allowed_warns() -> None:
    assert levels(annotations(result([row(R.MISSING, None), row()], verdict=Verdict.PASS))) == ["warning", "notice"]


def test_static_rows_say_what_got_worse() -> None:
    first = annotations(result([static_row(R.SLOWER)], mode="static"))[0]
    assert first.endswith("::spills; spills in the main loop: 0 → 16")


def test_an_invalid_gate_says_why() -> None:
    assert annotations(invalid("the GPU is busy")) == ["::error title=dsabench gate%3A INVALID::the GPU is busy."]


@settings(max_examples=50, deadline=None)
@given(st.one_of(st.text(), st.sampled_from(HOSTILE)))
def test_any_text_stays_in_its_line_and_its_place(text: str) -> None:
    lines = annotations(result([row(R.BROKEN, op=text, distribution=text, reason=text)], reason=text))
    assert len(lines) == 2
    for line in lines:
        assert len(line.splitlines()) == 1
        match = COMMAND.fullmatch(line)
        assert match, line
        assert not re.search(r"%(?!25|3A|2C)", match[2] + match[3])


def test_escapes_give_the_text_back() -> None:
    first = annotations(result([row(R.BROKEN, None, op="a:b,c%3A", reason="50 %: x, y%0A")]))[0]
    match = COMMAND.fullmatch(first)
    assert match
    assert unquote(match[2]) == "BROKEN a:b,c%3A/triton s_q=1 s_kv=64k k=2k"
    assert unquote(match[3]) == "50 %: x, y%0A"
