"""JUnit XML: well-formed whatever it holds, in the shape that CI servers read, and red when the gate is."""

from __future__ import annotations

import re
from xml.etree import ElementTree

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dsabench.bench.gate.records import GateResult, RowVerdict, Verdict
from dsabench.reports.gate.junit import render_junit
from tests.reports.gate.results import HOSTILE, invalid, result, row, side, static_row

R = RowVerdict
OUTCOMES = {"failure", "error", "skipped"}
# junit-10.xsd, with the properties of cases that the renderer's docstring tells of.
CHILDREN = {
    "testsuites": {"testsuite"},
    "testsuite": {"properties", "testcase"},
    "testcase": {"properties"} | OUTCOMES,
    "properties": {"property"},
    **{name: set() for name in ("property", *OUTCOMES)},
}
ATTRIBUTES = {
    "testsuites": ({"name"}, {"name", "time", "tests", "failures", "errors"}),
    "testsuite": (
        {"name", "tests", "failures", "errors"},
        {"name", "tests", "failures", "errors", "skipped", "time", "timestamp"},
    ),
    "testcase": ({"name"}, {"name", "classname"}),
    "properties": (set(), set()),
    "property": ({"name", "value"}, {"name", "value"}),
    **{name: ({"message", "type"}, {"message", "type"}) for name in OUTCOMES},
}
TIME = re.compile(r"(([0-9]{0,3},)*[0-9]{3}|[0-9]{0,3})*(\.[0-9]*)?")


def parsed(of: GateResult) -> ElementTree.Element:
    """The root, its structure checked."""
    root = ElementTree.fromstring(render_junit(of).encode())
    assert root.tag == "testsuites"
    for element in root.iter():
        needed, allowed = ATTRIBUTES[element.tag]
        assert needed <= set(element.attrib) <= allowed, element.attrib
        assert {child.tag for child in element} <= CHILDREN[element.tag], element.tag
        assert TIME.fullmatch(element.get("time", ""))
        if element.tag == "testcase":
            assert len([child for child in element if child.tag in OUTCOMES]) <= 1
            assert element.get("name")
    suite = root[0]
    for name, tag in (("failures", "failure"), ("errors", "error"), ("skipped", "skipped"), ("tests", "testcase")):
        assert suite.get(name) == str(len(list(suite.iter(tag))))
    return root


def outcome(case: ElementTree.Element) -> str:
    return next((child.tag for child in case if child.tag in OUTCOMES), "passed")


def properties(element: ElementTree.Element) -> dict[str, str]:
    return {p.attrib["name"]: p.attrib["value"] for p in element.findall("properties/property")}


def test_each_verdict_has_its_outcome() -> None:
    rows = [row(verdict, impl=verdict.lower()) for verdict in RowVerdict]
    found = {case.get("classname"): outcome(case) for case in parsed(result(rows)).iter("testcase")}
    assert found == {
        "topk_select.slower": "failure",
        "topk_select.broken": "failure",
        "topk_select.missing": "failure",
        "topk_select.invalid": "error",
        "topk_select.unclear": "skipped",
        "topk_select.new": "skipped",
        "topk_select.faster": "passed",
        "topk_select.mended": "passed",
        "topk_select.same": "passed",
    }


@pytest.mark.parametrize(
    ("verdict", "expected"),
    [
        (Verdict.PASS, "skipped"),
        (Verdict.AMBIGUOUS, "skipped"),
        (Verdict.INVALID, "failure"),
        (Verdict.REGRESSED, "failure"),
    ],
)
def test_missing_rows_fail_unless_they_were_allowed(verdict: Verdict, expected: str) -> None:
    cases = list(parsed(result([row(R.MISSING, None)], verdict=verdict)).iter("testcase"))
    assert [outcome(case) for case in cases] == [expected]


def test_metrics_are_properties() -> None:
    slow = row(R.SLOWER, 1.157, reason="15.7 % slower")
    root = parsed(result([slow]))
    (case,) = root.iter("testcase")
    found = properties(case)
    assert found["baseline_s"] == "5e-05"
    assert float(found["candidate_s"]) == slow.candidate_s
    assert (found["ratio"], found["noise"], found["threshold"]) == ("1.157", "0.012", "0.03")
    assert {"ratio_low", "ratio_high", "passes", "rounds"} <= set(found)
    assert case.attrib == {"classname": "topk_select.triton", "name": "s_q=1 s_kv=64k k=2k"}
    failure = case.find("failure")
    assert failure is not None
    assert failure.attrib == {"message": "SLOWER: 15.7 % slower", "type": "SLOWER"}
    suite = properties(root[0])
    assert suite["verdict"] == "REGRESSED"
    assert suite["device"] == "Synthetic CPU 9000"
    assert suite["min_effect"] == "0.03"
    assert suite["candidate.version.torch"] == "2.13.0"
    assert suite["baseline.commit"].startswith("30f311d")


def test_static_cases_name_their_config_and_what_got_worse() -> None:
    (case,) = parsed(result([static_row(R.SLOWER)], mode="static")).iter("testcase")
    assert case.get("name") == "s_q=1 s_kv=64k k=2k BLOCK_N=64 num_warps=4"
    assert "spills in the main loop: 0 → 16" in (case.findtext("failure") or "")
    assert properties(case)["change.instructions"] == "instructions: 4100 → 4230"


@pytest.mark.parametrize(
    ("given_result", "tag"),
    [
        (invalid("the GPU is busy"), "error"),
        (result([row(R.NEW, None)]), "error"),
        (result([row()], verdict=Verdict.REGRESSED), "failure"),
    ],
    ids=["no rows", "only new rows", "no row tells why"],
)
def test_a_gate_that_is_not_green_is_never_drawn_green(given_result: GateResult, tag: str) -> None:
    first = next(parsed(given_result).iter("testcase"))
    assert (first.get("classname"), first.get("name"), outcome(first)) == ("dsabench.gate", "verdict", tag)


def test_an_ambiguous_gate_fails_nothing() -> None:
    root = parsed(result([row(R.UNCLEAR), row()]))
    assert [outcome(case) for case in root.iter("testcase")] == ["skipped", "passed"]


@settings(max_examples=60, deadline=None)
@given(st.one_of(st.text(), st.sampled_from(HOSTILE)), st.sampled_from(list(RowVerdict)))
def test_any_text_is_well_formed(text: str, verdict: RowVerdict) -> None:
    hostile = row(
        verdict,
        op=text,
        impl=text,
        axes={text: 1},
        reason=text,
        renamed_from=text,
        baseline_config={text: text},
        candidate_config={},
        command=text,
    )
    of = result([hostile], reason=text, notices=[text], started=text, baseline=side(text, text, **{text or "x": text}))
    parsed(of)


def test_text_survives() -> None:
    (case,) = parsed(result([row(R.SLOWER, reason='<a href="x">&amp;</a>\nsecond ünï 🎉\x00')])).iter("testcase")
    assert case.findtext("failure") == '<a href="x">&amp;</a>\nsecond ünï 🎉'
