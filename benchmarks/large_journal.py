"""How long reading a long run takes: `report` of a journal of 100,000 trials and `gate` of two, with the memory they need.

    python benchmarks/large_journal.py [--trials 100000] [--from JOURNAL] [--keep DIR]

The journals are drawn from a committed one: its trials over and over with new configs and scattered times, its workloads at more
context lengths, each with its comparison. In the candidate one implementation has other sources and is 15 % slower, which the gate
has to find. Every command runs in a process of its own. Exits 1 when a command fails or passes its limit.
"""

from __future__ import annotations

import argparse
import copy
import gzip
import hashlib
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

ROOT = Path(__file__).resolve().parents[1]
SOURCE = ROOT / "results/cpu-amd-epyc-family-25-model-17-2c-avx512_bf16/2026-11-23-a3eb089/quick/journal.jsonl.gz"
TRIALS_A_WORKLOAD = 8
"""times the source's trials of a workload are repeated before its context changes: 350 trials an implementation and workload"""
CONTEXT_STEP = 1024
TRIAL_SCATTER, COMPARISON_SCATTER = 0.05, 0.005
SLOWED, SLOWER = ("topk_select", "cpu"), 1.15
Line = dict[str, Any]


@dataclass(frozen=True)
class Limit:
    """seconds and memory (bytes; None: no limit) that a command may take, and the exit code it must end with."""

    seconds: float
    memory: int | None
    exit_code: int


@dataclass(frozen=True)
class Taken:
    """seconds: of the wall; cpu_seconds: what it takes where nothing else runs, at most."""

    seconds: float
    cpu_seconds: float
    peak_bytes: int
    exit_code: int


def draw(source: Sequence[Line], trials: int, seed: int, slowed: float) -> Iterator[Line]:
    """The lines of a journal with that many trials. slowed: factor on the times of SLOWED."""
    rng = random.Random(seed)
    by_kind: dict[str, list[Line]] = {}
    for line in source:
        by_kind.setdefault(line["kind"], []).append(line)
    header = copy.deepcopy(by_kind["header"][0])
    header["run_id"] = f"{seed:012d}"
    if slowed != 1.0:
        header["sources"]["/".join(SLOWED)] = "0" * 12
    yield header
    yield from by_kind["ceilings"]
    number = cycle = 0
    while number < trials:
        step, repeat = divmod(cycle, TRIALS_A_WORKLOAD)
        if repeat == 0:
            yield from ({**w, "workload": _moved(w["workload"], step)} for w in by_kind["workload"])
        for trial in by_kind["trial"][: trials - number]:
            yield _trial(trial, number, step, repeat, rng, slowed)
            number += 1
        cycle += 1
        if cycle % TRIALS_A_WORKLOAD == 0 or number == trials:
            yield from (_comparison(c, step, rng, slowed) for c in by_kind["comparison"])
    yield from by_kind["end"][-1:]


def _moved(workload: Line, step: int) -> Line:
    """The same workload at a context that is `step` steps longer."""
    if step == 0:
        return workload
    axes = {**workload["axes"], "s_kv": workload["axes"]["s_kv"] + CONTEXT_STEP * step}
    key = hashlib.sha256(f"{workload['key']} {step}".encode()).hexdigest()[:10]
    return {**workload, "key": key, "axes": axes}


def _trial(trial: Line, number: int, step: int, repeat: int, rng: random.Random, slowed: float) -> Line:
    made = {**trial, "number": number, "workload": _moved(trial["workload"], step)}
    if repeat:
        changed = next((name for name, value in trial["config"].items() if type(value) is int), None)
        made["is_default"] = False
        if changed:
            made["config"] = {**trial["config"], changed: trial["config"][changed] + repeat}
    if made["timing"]:
        factor = rng.lognormvariate(0.0, TRIAL_SCATTER) * _slowed(trial["op"], trial["impl"], slowed)
        made["timing"] = _scaled(made["timing"], factor)
        made["roofline_fraction"] = made["roofline_fraction"] / factor
    return made


def _comparison(comparison: Line, step: int, rng: random.Random, slowed: float) -> Line:
    candidates = []
    for candidate in comparison["candidates"]:
        factor = rng.lognormvariate(0.0, COMPARISON_SCATTER)
        factor *= _slowed(comparison["workload"]["op"], candidate["impl"], slowed)
        candidates.append(_scaled(candidate, factor))
    return {**comparison, "workload": _moved(comparison["workload"], step), "candidates": candidates}


def _slowed(op: str, impl: str, slowed: float) -> float:
    return slowed if (op, impl) == SLOWED else 1.0


def _scaled(record: Line, factor: float) -> Line:
    """With all its seconds times `factor`."""
    made = dict(record)
    for name, value in record.items():
        if name.endswith("_s"):
            made[name] = [v * factor for v in value] if isinstance(value, list) else value * factor
    return made


def write(path: Path, lines: Iterator[Line]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as file:
        for line in lines:
            file.write(json.dumps(line, separators=(",", ":"), ensure_ascii=False) + "\n")


def timed(words: Sequence[str]) -> Taken:
    """One command line of dsabench in a fresh process; peak_bytes is of it and of what it started."""
    begin = time.perf_counter()
    process = subprocess.Popen([sys.executable, "-m", "dsabench.cli.app", *words], stdout=subprocess.DEVNULL)
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    seconds = time.perf_counter() - begin
    return Taken(seconds, used.ru_utime + used.ru_stime, used.ru_maxrss * 1024, process.returncode)


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="python benchmarks/large_journal.py", description=__doc__.splitlines()[0])
    parser.add_argument("--trials", type=int, default=100_000)
    parser.add_argument("--from", type=Path, default=SOURCE, dest="source", help="a journal, gzipped")
    parser.add_argument("--keep", type=Path, help="where the journals are written; a folder that is removed by default")
    chosen = parser.parse_args(arguments)
    with gzip.open(chosen.source, "rt") as file:
        source = [json.loads(line) for line in file]
    with tempfile.TemporaryDirectory() as temporary:
        folder = chosen.keep or Path(temporary)
        for name, seed, slowed in (("baseline", 1, 1.0), ("candidate", 2, SLOWER)):
            write(folder / name / "journal.jsonl", draw(source, chosen.trials, seed, slowed))
        return measure(folder, chosen.trials)


def measure(folder: Path, trials: int) -> int:
    baseline, candidate = (folder / name / "journal.jsonl" for name in ("baseline", "candidate"))
    commands = {
        "report": (["report", str(candidate), "--out", str(folder / "report")], Limit(20.0, 10**9, 0)),
        "gate": (["gate", str(candidate), "--baseline", str(baseline)], Limit(5.0, None, 1)),
    }
    size = candidate.stat().st_size
    title = f"{trials} trials, {size / 1e6:.0f} MB a journal"
    table = Table("command", "seconds", "limit", "CPU s", "peak memory, MB", "limit", "exit code", "", title=title)
    missed = False
    for name, (words, limit) in commands.items():
        taken = timed(words)
        slow = taken.seconds > limit.seconds
        large = limit.memory is not None and taken.peak_bytes > limit.memory
        wrong = taken.exit_code != limit.exit_code
        missed |= slow or large or wrong
        said = [w for w, holds in (("too slow", slow), ("too large", large), ("wrong exit code", wrong)) if holds]
        table.add_row(
            name,
            f"{taken.seconds:.1f}",
            f"{limit.seconds:g}",
            f"{taken.cpu_seconds:.1f}",
            f"{taken.peak_bytes / 1e6:.0f}",
            "" if limit.memory is None else f"{limit.memory / 1e6:.0f}",
            str(taken.exit_code),
            ", ".join(said) or "ok",
        )
    Console(width=None if Console().is_terminal else 120).print(table)
    return int(missed)


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
