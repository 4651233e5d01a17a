"""What was measured of one implementation on one workload, as flashinfer-bench's Evaluation."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from dsabench.bench.records import CheckRecord, Comparison, ConfigValues, DeviceRecord, Header, Status, Trial
from dsabench.reports.quantities import format_config

STATUSES = {
    Status.PASSED: "PASSED",
    Status.INCORRECT: "INCORRECT_NUMERICAL",
    Status.COMPILE_ERROR: "COMPILE_ERROR",
    Status.LAUNCH_ERROR: "RUNTIME_ERROR",
    Status.CRASHED: "RUNTIME_ERROR",
    Status.OUT_OF_MEMORY: "RUNTIME_ERROR",
    Status.TIMEOUT: "TIMEOUT",
}
"""PRUNED was never run, and IMPOSSIBLE is a time that cannot be: neither is a result that flashinfer-bench has a word for."""

BASELINE = "torch"


@dataclass(frozen=True)
class Found:
    """config: what the evaluation is of; document: the Evaluation as a trace holds it."""

    config: ConfigValues
    document: dict[str, Any]


class NoEvaluationError(ValueError):
    """Nothing that could be said as an Evaluation; the message says why."""


def evaluation(header: Header, impl: str, trials: Sequence[Trial], comparison: Comparison | None) -> Found:
    """Of the winner as re-timed interleaved, else of the best trial that passed, else of a failure, the default config's first.

    trials: all of the workload, in the order measured. Raises NoEvaluationError.
    """
    mine = [trial for trial in trials if trial.impl == impl]
    if comparison is not None and impl in comparison.winners:
        return _compared(header, impl, mine, comparison)
    passed = [trial for trial in mine if trial.status is Status.PASSED and trial.timing and trial.check]
    if passed:
        return _single(header, _best(passed), trials)
    failed = [trial for trial in mine if trial.status in STATUSES and trial.status is not Status.PASSED]
    failed = [trial for trial in failed if trial.status is not Status.INCORRECT or trial.check is not None]
    if not failed:
        reasons = sorted({f"{trial.status.value}: {trial.reason}" for trial in mine})
        raise NoEvaluationError(f"no config of it was run ({reasons[0]})" if reasons else "no trial of it was made")
    trial = next((each for each in failed if each.is_default), failed[0])
    document = _document(header, trial.status, trial.started, f"{format_config(trial.config)}: {trial.reason}")
    if trial.status is Status.INCORRECT and trial.check is not None:
        extra = {"config": trial.config, "source": trial.source, "commit": header.git_commit}
        document["correctness"] = _correctness(trial.check, extra)
    return Found(trial.config, document)


def _compared(header: Header, impl: str, mine: Sequence[Trial], comparison: Comparison) -> Found:
    won = comparison.winners[impl]
    winner = comparison.candidates[won.winner]
    checked = [trial for trial in mine if trial.config == winner.config and trial.check and trial.check.passed]
    if not checked or checked[-1].check is None:
        raise NoEvaluationError("the journal holds no check of its winner")
    baseline = next((c for c in comparison.candidates if c.impl == BASELINE and c.is_default), None)
    over_torch = won.speedup_over_torch
    extra = {
        "config": winner.config,
        "is_default": winner.is_default,
        "confirmed": True,
        "interval_ms": [winner.low_s * 1e3, winner.high_s * 1e3],
        "rounds": winner.n,
        "noise": comparison.noise,
        "speedup_interval": None if over_torch is None else [over_torch.ratio, over_torch.low, over_torch.high],
        "ties": [comparison.candidates[i].config for i in won.ties],
        "reference_config": baseline.config if baseline else None,
        "roofline_fraction": winner.roofline_fraction,
    }
    document = _document(header, Status.PASSED, comparison.started, "")
    document["correctness"] = _correctness(checked[-1].check, extra | _provenance(header, checked[-1]))
    document["performance"] = _performance(winner.median_s, baseline.median_s if baseline else None)
    return Found(winner.config, document)


def _single(header: Header, trial: Trial, trials: Sequence[Trial]) -> Found:
    assert trial.timing is not None
    assert trial.check is not None
    default = [t for t in trials if t.impl == BASELINE and t.is_default and t.status is Status.PASSED and t.timing]
    baseline = default[-1] if default else None
    extra = {
        "config": trial.config,
        "is_default": trial.is_default,
        "confirmed": False,
        "interval_ms": [trial.timing.low_s * 1e3, trial.timing.high_s * 1e3],
        "reference_config": baseline.config if baseline else None,
        "roofline_fraction": trial.roofline_fraction,
    }
    document = _document(header, Status.PASSED, trial.started, "")
    document["correctness"] = _correctness(trial.check, extra | _provenance(header, trial))
    torch_s = baseline.timing.median_s if baseline and baseline.timing else None
    document["performance"] = _performance(trial.timing.median_s, torch_s)
    return Found(trial.config, document)


def _best(passed: Sequence[Trial]) -> Trial:
    """The fastest of those measured with the most effort."""
    effort = {id(trial): math.inf if trial.rung == 0 else trial.rung for trial in passed}
    top = max(effort.values())
    return min((t for t in passed if effort[id(t)] == top), key=lambda t: t.timing.median_s if t.timing else math.inf)


def _provenance(header: Header, trial: Trial) -> dict[str, Any]:
    return {
        "source": trial.source,
        "commit": header.git_commit,
        "distribution": trial.workload.distribution,
        "seed": trial.workload.seed,
    }


def _document(header: Header, status: Status, when: str, log: str) -> dict[str, Any]:
    return {
        "status": STATUSES[status],
        "environment": {"hardware": hardware(header.device), "libs": dict(header.versions)},
        "timestamp": when,
        "log": log,
        "correctness": None,
        "performance": None,
    }


def hardware(device: DeviceRecord) -> str:
    """As flashinfer-bench has it: the name that the driver or the system gives."""
    return device.name or device.key


def _correctness(check: CheckRecord, extra: dict[str, Any]) -> dict[str, Any]:
    """max_absolute_error: of the checked rows. max_relative_error: the largest of a checked row as a vector, ‖x − y‖ over the
    root mean square of ‖x‖ and ‖y‖, which is √(2d) for its cosine difference d; relative errors of elements are not measured."""
    absolute = [value for name, value in check.worst.items() if name.endswith("max_abs")]
    cosine = [value for name, value in check.worst.items() if name.endswith("row_cosine_difference")]
    ours = {
        "rule": check.rule,
        "rows_checked": check.rows_checked,
        "rows_total": check.rows_total,
        "worst": check.worst,
        "relative_error_of": "a row",
    }
    # A selection is right exactly or not at all, and has no size of error.
    unknown = 0.0 if check.passed else "NaN"
    return {
        "max_relative_error": math.sqrt(2 * max(cosine)) if cosine else unknown,
        "max_absolute_error": max(absolute) if absolute else unknown,
        "extra": {"dsabench": extra | ours},
    }


def _performance(seconds: float, torch_s: float | None) -> dict[str, float]:
    """Zeros for the reference where eager torch was not timed: flashinfer-bench's own word for a baseline that was not measured."""
    return {
        "latency_ms": seconds * 1e3,
        "reference_latency_ms": 0.0 if torch_s is None else torch_s * 1e3,
        "speedup_factor": 0.0 if torch_s is None else torch_s / seconds,
    }
