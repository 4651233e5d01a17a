"""The folder of a flashinfer-bench dataset: definitions/, solutions/, workloads/, traces/, blob/.

What stands there already stays: another device's traces, another tool's files. A workload or trace that is exported again takes
its old line's place.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from safetensors.torch import save

from dsabench.bench.journal import Journal
from dsabench.bench.records import Comparison, ConfigValues, Header, Trial, WorkloadId
from dsabench.kernels.registry import implementation_names
from dsabench.reports.export.exported import Exported, ExportError, LeftOut, json_text, write_file
from dsabench.reports.export.flashinfer.bridges import bridges
from dsabench.reports.export.flashinfer.definitions import OP_TYPE, definition
from dsabench.reports.export.flashinfer.evaluations import Found, NoEvaluationError, evaluation
from dsabench.reports.export.flashinfer.solutions import AUTHOR, Shape, solution
from dsabench.reports.export.flashinfer.workloads import TraceWorkload, UnsupportedError, trace_workload

Document = dict[str, Any]


@dataclass
class _Dataset:
    """What will be written, by path below the root, in this order and after the blobs: nothing refers to what is not there yet.
    Blobs are written as they come: together they may be larger than memory."""

    root: Path
    blobs: dict[Path, None] = field(default_factory=dict)
    definitions: dict[str, Document] = field(default_factory=dict)
    solutions: dict[str, Document] = field(default_factory=dict)
    workloads: dict[str, list[Document]] = field(default_factory=dict)
    traces: dict[str, list[Document]] = field(default_factory=dict)


@dataclass(frozen=True)
class _Measured:
    """One implementation on one workload."""

    header: Header
    workload: WorkloadId
    known: TraceWorkload
    impl: str
    source: str
    found: Found


def write_dataset(journals: list[Journal], root: Path, largest: int) -> Exported:
    """A trace for every implementation on every workload, of its winner where it has one. largest: bytes of a workload's inputs
    beyond which it is left out, for they must be built again and byte caches saved whole. Raises ExportError."""
    done = Exported()
    dataset = _Dataset(root)
    measured = [each for journal in journals for each in _measured(journal, dataset, largest, done)]
    if not measured:
        why = f": {done.left_out[0].what}: {done.left_out[0].reason}" if done.left_out else ""
        raise ExportError(f"nothing to export: no workload of these journals makes a trace{why}")
    _add_traces(measured, dataset)
    for each in bridges({(m.workload.op, m.impl) for m in measured}):
        dataset.solutions[f"solutions/{AUTHOR}/dsa_paged/{each['definition']}/{each['name']}.json"] = each
    _write(dataset, done)
    done.rows = sum(len(lines) for lines in dataset.traces.values())
    return done


def _measured(journal: Journal, dataset: _Dataset, largest: int, done: Exported) -> Iterable[_Measured]:
    trials: dict[str, list[Trial]] = {}
    for trial in journal.trials:
        trials.setdefault(trial.workload.key, []).append(trial)
    comparisons = {comparison.workload.key: comparison for comparison in journal.comparisons}
    workloads = {t.workload.key: t.workload for t in journal.trials}
    for key, workload in workloads.items():
        try:
            known = trace_workload(workload, largest)
        except UnsupportedError as error:
            done.left_out.append(LeftOut(_what(workload), str(error)))
            continue
        found = list(_evaluated(journal, workload, known, trials[key], comparisons.get(key), done))
        if found:
            _add_workload(workload, known, dataset)
        yield from found


def _evaluated(
    journal: Journal,
    workload: WorkloadId,
    known: TraceWorkload,
    trials: list[Trial],
    comparison: Comparison | None,
    done: Exported,
) -> Iterable[_Measured]:
    here = implementation_names(workload.op)
    for impl in dict.fromkeys(trial.impl for trial in trials):
        what = f"{_what(workload)} ({impl})"
        if impl not in here:
            done.left_out.append(LeftOut(what, "a solution needs its code, and it is no part of dsabench"))
            continue
        try:
            found = evaluation(journal.header, impl, trials, comparison)
        except NoEvaluationError as error:
            done.left_out.append(LeftOut(what, str(error)))
            continue
        source = next(trial.source for trial in reversed(trials) if trial.impl == impl)
        yield _Measured(journal.header, workload, known, impl, source, found)


def _what(workload: WorkloadId) -> str:
    axes = " ".join(f"{name}={value}" for name, value in workload.axes.items())
    return f"{workload.op} {axes} {workload.distribution}"


def _add_workload(workload: WorkloadId, known: TraceWorkload, dataset: _Dataset) -> None:
    name = known.definition
    dataset.definitions[f"definitions/{OP_TYPE}/{name}.json"] = definition(workload.op, workload.axes)
    lines = dataset.workloads.setdefault(f"workloads/{OP_TYPE}/{name}.jsonl", [])
    line = {"definition": name, "workload": known.document, "solution": None, "evaluation": None}
    if line not in lines:
        lines.append(line)
    if known.saved:
        path = dataset.root / known.blob
        write_file(path, save(known.saved))
        dataset.blobs[path] = None


def _add_traces(measured: list[_Measured], dataset: _Dataset) -> None:
    """Solutions hold a config for each of their workloads. Runs, distributions and seeds have solutions of their own: there a shape
    may have another winner."""
    groups: dict[tuple[str, ...], list[_Measured]] = {}
    for each in measured:
        known, workload = each.known, each.workload
        key = (known.definition, each.impl, each.source, workload.distribution, str(workload.seed), each.header.run_id)
        groups.setdefault(key, []).append(each)
    for group in groups.values():
        first = group[0]
        configs: dict[Shape, ConfigValues] = {each.known.shape: each.found.config for each in group}
        name, header = first.known.definition, first.header
        made = solution(
            first.workload.op, name, first.impl, first.source, configs, header.device.type, header.git_commit
        )
        dataset.solutions[f"solutions/{AUTHOR}/{OP_TYPE}/{name}/{made['name']}.json"] = made
        dataset.traces.setdefault(f"traces/{OP_TYPE}/{name}.jsonl", []).extend(
            {
                "definition": name,
                "workload": each.known.document,
                "solution": made["name"],
                "evaluation": each.found.document,
            }
            for each in group
        )


def _write(dataset: _Dataset, done: Exported) -> None:
    contents = {path: json_text(document) for path, document in (dataset.definitions | dataset.solutions).items()}
    for lines_by_path, key in ((dataset.workloads, _workload_key), (dataset.traces, _trace_key)):
        for path, lines in lines_by_path.items():
            contents[path] = _merged(dataset.root / path, lines, key)
    done.files = list(dataset.blobs)
    for path, content in contents.items():
        write_file(dataset.root / path, content)
        done.files.append(dataset.root / path)


def _workload_key(line: Mapping[str, Any]) -> tuple[str, ...]:
    return (str(line["workload"]["uuid"]),)


def _trace_key(line: Mapping[str, Any]) -> tuple[str, ...]:
    return (*_workload_key(line), str(line["solution"]), str(line["evaluation"]["environment"]["hardware"]))


def _merged(path: Path, lines: list[Document], key: Callable[[Mapping[str, Any]], tuple[str, ...]]) -> str:
    """The lines of a file that is there, in their order, then the new ones; those that are exported again once, as they are now."""
    try:
        old = [json.loads(line) for line in path.read_text().splitlines() if line.strip()] if path.exists() else []
        keyed = {key(line): line for line in [*old, *lines]}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ExportError(f"{path} is there and is no file of traces: {type(error).__name__}: {error}") from error
    return "".join(json.dumps(line, ensure_ascii=False, allow_nan=False) + "\n" for line in keyed.values())
