"""Gate results for tests, written by hand: no number in them was measured."""

from __future__ import annotations

from typing import Any

from dsabench.bench.gate.records import Change, GateResult, GateRow, GateSide, RowVerdict, Verdict
from dsabench.bench.gate.verdict import overall
from dsabench.bench.records import Ratio
from tests.reports.journals import device


def row(verdict: RowVerdict = RowVerdict.SAME, factor: float | None = 1.0, **changed: Any) -> GateRow:
    """50 µs in the baseline; `factor`: candidate / baseline, None for a row without times."""
    values: dict[str, Any] = {
        "op": "topk_select",
        "impl": "triton",
        "axes": {"s_q": 1, "s_kv": 65536, "k": 2048},
        "distribution": "normal",
        "seed": 0,
        "baseline_config": {"BLOCK_N": 64, "num_warps": 4},
        "candidate_config": {"BLOCK_N": 64, "num_warps": 4},
        "verdict": verdict,
        "reason": "within the threshold",
    }
    if factor is not None:
        values |= {
            "baseline_s": 50e-6,
            "candidate_s": 50e-6 * factor,
            "ratio": Ratio(ratio=factor, low=factor - 0.01, high=factor + 0.01),
            "noise": 0.012,
            "threshold": 0.03,
            "passes": 2,
            "rounds": 40,
        }
    return GateRow(**(values | changed))


def static_row(verdict: RowVerdict = RowVerdict.SAME, **changed: Any) -> GateRow:
    changes = [
        Change(name="instructions", baseline=4100, candidate=4230, worse=False),
        Change(name="spills in the main loop", baseline=0, candidate=16, worse=True),
    ]
    bad = verdict is RowVerdict.SLOWER
    return row(verdict, None, **({"changes": changes if bad else [], "reason": "spills" if bad else "same"} | changed))


def result(rows: list[GateRow], **changed: Any) -> GateResult:
    verdict, reason = overall(rows, allow_missing=False)
    values: dict[str, Any] = {
        "mode": "trees",
        "verdict": verdict,
        "reason": reason,
        "min_effect": 0.03,
        "noise_from": "two processes of the baseline in every pass",
        "baseline": side("origin/main", "30f311d" + "0" * 33),
        "candidate": side("HEAD", "e60d987" + "0" * 33, torch="2.13.0"),
        "device": device(),
        "rows": rows,
        "notices": [],
        "command": "dsabench gate --baseline-ref origin/main",
        "started": "2026-01-02T03:04:05+00:00",
        "wall_s": 241.5,
    }
    return GateResult(**(values | changed))


def side(name: str, commit: str, **versions: str) -> GateSide:
    return GateSide(
        name=name,
        commit=commit,
        versions={"python": "3.11.7", "torch": "2.12.1"} | versions,
        started="2026-01-02T03:04:05+00:00",
    )


def invalid(reason: str) -> GateResult:
    """A gate that failed itself."""
    return result([], verdict=Verdict.INVALID, reason=reason)


HOSTILE = [
    "a | b | c",
    "line\nbreak\r\n\n# heading",
    "<script>alert(1)</script>",
    "<!-- swallowed",
    "</details></table>",
    "`code` ``` ~~~",
    "![image](https://example.com/x.png) [link](javascript:alert(1))",
    "https://example.com www.example.com someone@example.com",
    "@octocat, #123, octo/repo#45, GH-7, octocat@0123456789abcdef0123456789abcdef01234567",
    "**bold** _it_ __x__ ~~gone~~ *a*",
    "$x^2$ and $$y$$",
    ":tada: 12:34:56",
    "&lt;b&gt; &amp; &#124;",
    "\\| \\\\| \\",
    "1. one",
    "- item",
    "+ plus",
    "=====",
    "\x00\x07\x1b[31m red \u202e reversed \u2028 separated \ufffe",
    "%0A::error::injected\n::error::injected",
    "##[error]old",
    "[ ] task",
    "[^1]: note",
    "日本語 ünï 🎉",
    "",
]
