"""What was checked, by which rule, and the largest errors seen, per op and implementation."""

from __future__ import annotations

from dataclasses import dataclass, field

from dsabench.reports.sections import Section


@dataclass
class CorrectnessRow:
    """The checks of one implementation of one op under one rule.

    rows_checked, rows_total  summed over the distinct workloads: each config is checked on the same rows
    worst_passed              largest error of the trials that passed, by measure
    worst_failed              the same of those that did not
    """

    op: str
    impl: str
    rule: str
    checks: int = 0
    passed: int = 0
    rows_checked: int = 0
    rows_total: int = 0
    worst_passed: dict[str, float] = field(default_factory=dict)
    worst_failed: dict[str, float] = field(default_factory=dict)


def correctness_rows(section: Section) -> list[CorrectnessRow]:
    rows: dict[tuple[str, str, str], CorrectnessRow] = {}
    rows_of: dict[tuple[str, str, str], dict[str, tuple[int, int]]] = {}
    for trial in section.trials:
        check = trial.check
        if check is None:
            continue
        key = (trial.op, trial.impl, check.rule)
        row = rows.setdefault(key, CorrectnessRow(*key))
        row.checks += 1
        row.passed += check.passed
        worst = row.worst_passed if check.passed else row.worst_failed
        for measure, error in check.worst.items():
            held = worst.get(measure)
            if held is None or error > held:
                worst[measure] = error
        seen = rows_of.setdefault(key, {})
        checked, total = seen.get(trial.workload.key, (0, 0))
        seen[trial.workload.key] = (max(checked, check.rows_checked), max(total, check.rows_total))
    for key, row in rows.items():
        row.rows_checked = sum(checked for checked, _ in rows_of[key].values())
        row.rows_total = sum(total for _, total in rows_of[key].values())
    order = {op: index for index, op in enumerate(section.ops)}
    return sorted(rows.values(), key=lambda r: (order[r.op], r.impl == "torch", r.impl))
