"""A gate as JUnit XML, for CI servers that draw tests and their history.

What is relied on is the schema of Jenkins' xUnit plugin (junit-10.xsd): `testsuites` holds `testsuite`s with `name`, `tests`,
`failures` and `errors`; a suite holds `properties`, then `testcase`s with `name` and `classname`; a case holds at most one of
`failure`, `error` and `skipped`, each with `message` and `type`; `time` is a plain decimal number. One thing goes beyond it, as
pytest's `record_property` does: `properties` in a case, first in it.

| row | case |
|---|---|
| SLOWER, BROKEN | failure |
| MISSING | failure; skipped where the gate is PASS or AMBIGUOUS, since it then was allowed to be missing |
| INVALID | error |
| UNCLEAR, NEW | skipped |
| FASTER, MENDED, SAME | passed |

A gate that is REGRESSED or INVALID without a failing case (no rows, only new ones) gets one of its own, so that CI is never green.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC
from typing import Literal
from xml.etree import ElementTree

from dsabench.bench.gate.records import GateResult, GateRow, RowVerdict, Verdict
from dsabench.bench.gate.verdict import sorted_rows
from dsabench.reports.gate.words import (
    change_words,
    clipped,
    config_change_words,
    config_words,
    plain_line,
    workload_words,
    worst_changes,
)
from dsabench.reports.sections import instant

_FORBIDDEN = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""XML 1.0 has no form for these, not even an escaped one."""
_MESSAGE = 500
"""characters of a message, which lists show; the element's text has it whole"""

_Kind = Literal["failure", "error", "skipped"]
_KINDS: dict[RowVerdict, _Kind] = {
    RowVerdict.SLOWER: "failure",
    RowVerdict.BROKEN: "failure",
    RowVerdict.MISSING: "failure",
    RowVerdict.INVALID: "error",
    RowVerdict.UNCLEAR: "skipped",
    RowVerdict.NEW: "skipped",
}


def render_junit(result: GateResult) -> str:
    """An XML document, worst case first. Characters that XML cannot hold are removed."""
    rows = sorted_rows(result.rows)
    kinds = [_kind(row, result.verdict) for row in rows]
    own: _Kind | None = None
    if "failure" not in kinds and "error" not in kinds:
        own = {Verdict.REGRESSED: "failure", Verdict.INVALID: "error"}.get(result.verdict)  # type: ignore[assignment]
    every = [*kinds, own] if own else kinds
    counts = {
        "tests": str(len(every)),
        "failures": str(every.count("failure")),
        "errors": str(every.count("error")),
    }
    time = f"{result.wall_s:.3f}"
    root = ElementTree.Element("testsuites", {"name": "dsabench gate", "time": time, **counts})
    started = instant(result.started)
    suite = ElementTree.SubElement(
        root,
        "testsuite",
        {
            "name": f"dsabench gate {result.mode}",
            "time": time,
            **counts,
            "skipped": str(every.count("skipped")),
            **({"timestamp": f"{started.astimezone(UTC):%Y-%m-%dT%H:%M:%S}"} if started else {}),
        },
    )
    _properties(suite, _of_gate(result))
    if own:
        case = ElementTree.SubElement(suite, "testcase", {"name": "verdict", "classname": "dsabench.gate"})
        _outcome(case, own, result.verdict, result.reason, [result.command])
    for row, kind in zip(rows, kinds, strict=True):
        _case(suite, row, kind, result.mode == "static")
    ElementTree.indent(root, " ")
    return '<?xml version="1.0" encoding="utf-8"?>\n' + ElementTree.tostring(root, encoding="unicode") + "\n"


def _kind(row: GateRow, verdict: Verdict) -> _Kind | None:
    if row.verdict is RowVerdict.MISSING and verdict in (Verdict.PASS, Verdict.AMBIGUOUS):
        return "skipped"
    return _KINDS.get(row.verdict)


def _clean(text: str) -> str:
    return _FORBIDDEN.sub("", text)


def _properties(parent: ElementTree.Element, values: Mapping[str, object]) -> None:
    element = ElementTree.SubElement(parent, "properties")
    for name, value in values.items():
        if value is not None and value != "":
            ElementTree.SubElement(element, "property", {"name": _clean(name), "value": _clean(str(value))})


def _of_gate(result: GateResult) -> dict[str, object]:
    device = result.device
    found: dict[str, object] = {
        "verdict": result.verdict,
        "reason": result.reason,
        "mode": result.mode,
        "min_effect": result.min_effect,
        "noise_from": result.noise_from,
        "device": device.name if device else None,
        "device_key": device.key if device else None,
        "arch": result.arch,
        "command": result.command,
    }
    for name, side in (("baseline", result.baseline), ("candidate", result.candidate)):
        found |= {name: side.name, f"{name}.commit": side.commit}
        found |= {f"{name}.version.{package}": version for package, version in side.versions.items()}
    return found | {f"notice.{number}": notice for number, notice in enumerate(result.notices, start=1)}


def _case(suite: ElementTree.Element, row: GateRow, kind: _Kind | None, static: bool) -> None:
    name = workload_words(row)
    if static:
        name = f"{name} {config_words(row)}"
    names = {"name": _clean(plain_line(name)) or "row", "classname": _clean(plain_line(f"{row.op}.{row.impl}"))}
    case = ElementTree.SubElement(suite, "testcase", names)
    ratio = row.ratio
    _properties(
        case,
        {
            "verdict": row.verdict,
            "baseline_s": row.baseline_s,
            "candidate_s": row.candidate_s,
            "ratio": ratio.ratio if ratio else None,
            "ratio_low": ratio.low if ratio else None,
            "ratio_high": ratio.high if ratio else None,
            "noise": row.noise,
            "threshold": row.threshold,
            "passes": row.passes or None,
            "rounds": row.rounds or None,
            "renamed_from": row.renamed_from,
            "config_change": config_change_words(row),
            **{f"change.{change.name}": change_words(change) for change in worst_changes(row)},
        },
    )
    if kind:
        changes = [change_words(change) for change in worst_changes(row) if change.worse]
        _outcome(case, kind, row.verdict, row.reason, [*changes, row.command])


def _outcome(case: ElementTree.Element, kind: _Kind, verdict: str, reason: str, details: list[str]) -> None:
    message = _clean(clipped(plain_line(f"{verdict}: {reason}"), _MESSAGE))
    element = ElementTree.SubElement(case, kind, {"message": message, "type": verdict})
    element.text = _clean("\n".join(line for line in (reason, *details) if line))
