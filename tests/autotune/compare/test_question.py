"""What may be asked, and how a journal remembers it."""

from __future__ import annotations

import pytest

from dsabench.autotune.compare.question import Question, QuestionError, parse_lengths, parse_phase, parse_question


def test_a_question_is_read_back_from_its_journal():
    question = Question("prefill", (4096, 10000, 1 << 20), 1, 64, 16, 512)
    assert question.suite() == "prefill 4k,10000,1m b=1 s_q=64 h_q=16 topk=512"
    assert parse_question(question.suite()) == question


@pytest.mark.parametrize(
    "suite", ["quick", "", "decode", "decode 4k", "decode 4k b=1 s_q=x h_q=128 topk=2048", "a b c=1"]
)
def test_another_runs_journal_is_named_as_that(suite):
    with pytest.raises(QuestionError, match="not of `compare --dense`"):
        parse_question(suite)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("8k,4k", "contexts must ascend, got 4k after 8k"),
        ("4k,8k,4096", "must ascend, got 4k after 8k"),
        ("4k,4096", "context 4k stands twice"),
        ("4k,x", "'x' is not a size"),
        ("", "'' is not a size"),
        ("-4k", "'-4k' is not a size"),
    ],
)
def test_lengths_that_cannot_be(text, message):
    with pytest.raises(QuestionError, match=message):
        parse_lengths(text)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"batch": 0}, "axis batch = 0 is outside"),
        ({"queries": 0}, "axis queries = 0 is outside"),
        ({"queries": 5000}, "queries = 5000 do not fit a context of 4096"),
        ({"queries": 65}, "decode takes up to 64 queries a sequence, got 65"),
        ({"heads": 0}, r"axis heads = 0 is outside \[1, 128\]"),
        ({"heads": 129}, r"axis heads = 129 is outside \[1, 128\]"),
        ({"topk": 0}, r"axis topk = 0 is outside \[1, 4096\]"),
        ({"topk": 4097}, r"axis topk = 4097 is outside \[1, 4096\]"),
        ({"contexts": (0,)}, "axis context = 0 is outside"),
        ({"contexts": (4096, 1 << 21)}, "axis context = 2097152 is outside"),
        ({"phase": "prefill", "batch": 2}, "prefill is of one sequence, got batch = 2"),
    ],
)
def test_sizes_that_cannot_be(change, message):
    with pytest.raises(QuestionError, match=message):
        Question(**{"phase": "decode", "contexts": (4096, 8192)} | change)


def test_an_unknown_phase_names_the_known():
    with pytest.raises(QuestionError, match="unknown phase 'train'; choose decode or prefill"):
        parse_phase("train")
