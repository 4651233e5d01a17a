"""`dsabench gate` of two source trees, and its self-test."""

from __future__ import annotations

import json
import shlex
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from dsabench.cli.errors import EXIT_INTERRUPTED, CommandError, UsageError
from dsabench.cli.gate_output import EXIT_INVALID, Outputs

if TYPE_CHECKING:
    from dsabench.bench.gate.self_test import SelfTestRun
    from dsabench.bench.gate.tree_gate import TreeGate
    from dsabench.bench.gate.trees import SourceTree

SELF_TEST_SCHEMA = 1
_SUITES = {"cpu": "gate", "cuda": "hopper"}


@dataclass(frozen=True)
class TreeOptions:
    """As the command line gave them, with its defaults; begun: time.monotonic() at the start of the command."""

    baseline_ref: str | None
    baseline_tree: Path | None
    candidate_tree: Path | None
    suite: str | None
    ops: tuple[str, ...]
    impls: tuple[str, ...]
    plugins: tuple[str, ...]
    context: str | None
    device: str
    min_effect: float
    passes: int | None
    budget: str | None
    seed: int
    allow_missing: bool
    allow_busy: bool
    begun: float


def gate_two_trees(options: TreeOptions, outputs: Outputs) -> int:
    from dsabench.bench.gate.tree_gate import gate_trees
    from dsabench.bench.gate.trees import TreeError
    from dsabench.bench.worker import WorkerStartError

    candidate, baseline = _trees(options)
    with _gate(options, baseline, candidate, "5m") as gate, _logs() as logs, _told(outputs) as tell:
        try:
            result = gate_trees(gate, logs, tell)
        except (TreeError, WorkerStartError) as error:
            raise CommandError(f"{error}{_last_words(logs)}") from error
        except KeyboardInterrupt:
            raise CommandError("interrupted before a verdict", EXIT_INTERRUPTED) from None
    return outputs.write(result)


def _trees(options: TreeOptions) -> tuple[SourceTree, SourceTree]:
    """Candidate and baseline. Raises UsageError."""
    from dsabench.bench.gate.trees import TreeError, git_root, revision, working_tree

    try:
        if options.candidate_tree is not None:
            candidate = working_tree(options.candidate_tree)
        else:
            candidate = working_tree(git_root(Path.cwd()))
        if options.baseline_ref is not None:
            return candidate, revision(candidate.folder, options.baseline_ref)
        if options.baseline_tree is not None:
            return candidate, working_tree(options.baseline_tree)
        return candidate, candidate
    except TreeError as error:
        raise UsageError(f"{error}; name a tree with --candidate-tree or --baseline-tree") from error


@contextmanager
def _gate(options: TreeOptions, baseline: SourceTree, candidate: SourceTree, budget: str) -> Iterator[TreeGate]:
    """With its device claimed. Raises UsageError for what cannot be, CommandError for a busy GPU."""
    from dsabench.autotune.budget import parse_duration
    from dsabench.bench.claim import claimed_device, device_type
    from dsabench.bench.device import resolve_device
    from dsabench.bench.gate.tree_gate import MOST_PASSES, TreeGate
    from dsabench.bench.suites import load_suite, parse_contexts
    from dsabench.kernels.op import UnknownNameError
    from dsabench.kernels.registry import implementation_names, load_plugin

    device = resolve_device(options.device)
    contexts = parse_contexts(options.context) if options.context else None
    suite = options.suite or _SUITES[device_type(device)]
    workloads = load_suite(suite, contexts, options.ops, options.seed).workloads
    seconds = parse_duration(options.budget or budget)
    if not options.plugins:  # a plugin of either tree may bring names that nothing here knows
        for name in options.impls:
            if name not in implementation_names():
                raise UnknownNameError("implementation", name, list(implementation_names()))
    else:
        for path in options.plugins:
            load_plugin(candidate.plugin(path))
    command = _command(options, suite)
    with claimed_device(device, command, options.allow_busy) as environment:
        yield TreeGate(
            baseline=baseline,
            candidate=candidate,
            workloads=workloads,
            impls=options.impls,
            device=device,
            environment=environment,
            plugins=options.plugins,
            min_effect=options.min_effect,
            passes=options.passes or MOST_PASSES,
            deadline=options.begun + seconds,
            allow_missing=options.allow_missing,
            command=command,
            seed=options.seed,
        )


def _command(options: TreeOptions, suite: str) -> str:
    """Without what narrows it down: that is added for a row."""
    words = ["dsabench", "gate"]
    if options.baseline_ref is not None:
        words += ["--baseline-ref", options.baseline_ref]
    elif options.baseline_tree is not None:
        words += ["--baseline-tree", str(options.baseline_tree)]
    if options.candidate_tree is not None:
        words += ["--candidate-tree", str(options.candidate_tree)]
    words += ["--suite", suite, "--device", options.device]
    for path in options.plugins:
        words += ["--plugin", path]
    return shlex.join(words)


@contextmanager
def _logs() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="dsabench-gate-") as folder:
        yield Path(folder)


def _last_words(logs: Path) -> str:
    """What a worker that died printed last."""
    for log in sorted(logs.glob("*.log")):
        lines = log.read_text(errors="replace").strip().splitlines()
        if lines:
            return f"; {log.stem} said: {lines[-1]}"
    return ""


@contextmanager
def _told(outputs: Outputs) -> Iterator[Callable[[str], None]]:
    """Shows what is done now, in one line that a terminal overwrites."""
    from rich.console import Console

    console = Console(stderr=True)
    if not console.is_terminal:
        yield lambda text: None
        return
    with console.status("") as status:
        yield lambda text: status.update(text.replace("[", "\\["))


def gate_self_test(options: TreeOptions, runs: int | None, resume: bool, outputs: Outputs) -> int:
    from dsabench.bench.gate import self_test
    from dsabench.bench.gate.trees import TreeError
    from dsabench.bench.worker import WorkerStartError

    same = runs or self_test.SAME_CODE_RUNS
    share = same / self_test.SAME_CODE_RUNS
    slowed = {by: max(1, round(count * share)) for by, count in self_test.SLOWED_RUNS.items()}
    candidate, baseline = _trees(options)
    path = outputs.out / self_test.RUNS_NAME
    done = _earlier(path, resume)
    planned = self_test.planned_runs(same, slowed, done, options.seed)
    with _gate(options, baseline, candidate, "2h") as gate, _logs() as logs, _told(outputs) as tell:
        for number, slow_by in enumerate(planned, start=len(done)):
            if time.monotonic() >= gate.deadline:
                break

            def told(text: str, at: str = f"run {number + 1} of {len(done) + len(planned)}, {slow_by:+.0%}") -> None:
                tell(f"{at}: {text}")

            try:
                run = self_test.run_once(gate, slow_by, number, logs, told)
            except (TreeError, WorkerStartError) as error:
                raise CommandError(f"{error}{_last_words(logs)}") from error
            except KeyboardInterrupt:
                break
            _keep(path, run)
            done.append(run)
    return _show_self_test(done, len(planned) + len(done), path, options, outputs)


def _earlier(path: Path, resume: bool) -> list[SelfTestRun]:
    from dsabench.bench.gate.self_test import read_runs

    try:
        if path.exists() and not resume:
            raise UsageError(f"{path} exists; use --resume to go on with it or choose another --out")
        found = read_runs(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        # A line that a kill cut off goes, so that the next one does not continue it.
        path.write_text("".join(run.model_dump_json() + "\n" for run in found))
    except ValueError as error:
        raise UsageError(str(error)) from error
    except OSError as error:
        raise CommandError(f"cannot use {path}: {error.strerror}") from error
    return found


def _keep(path: Path, run: SelfTestRun) -> None:
    try:
        with path.open("a") as file:
            file.write(run.model_dump_json() + "\n")
    except OSError as error:
        raise CommandError(f"cannot write {path}: {error.strerror}; what it holds is whole") from error


def _show_self_test(done: list[SelfTestRun], planned: int, path: Path, options: TreeOptions, outputs: Outputs) -> int:
    """0 when the gate is calibrated on this machine, else INVALID's code."""
    from dsabench.bench.gate.self_test import is_calibrated, levels_of, smallest_found

    levels = levels_of(done)
    smallest, calibrated = smallest_found(levels), is_calibrated(levels)
    if outputs.as_json:
        rows = [
            {**vars(level), "share": level.share, "interval": list(level.interval) if level.rows else None}
            for level in levels
        ]
        document = {
            "schema": SELF_TEST_SCHEMA, "command": "gate", "mode": "self-test", "min_effect": options.min_effect,
            "calibrated": calibrated, "smallest_found": smallest, "levels": rows, "runs": len(done), "planned": planned,
            "results": str(path),
        }  # fmt: skip
        print(json.dumps(document, indent=1))
    else:
        from dsabench.cli.gate_self_test_table import print_self_test

        print_self_test(levels, smallest, calibrated, planned - len(done), path)
    return 0 if calibrated else EXIT_INVALID
