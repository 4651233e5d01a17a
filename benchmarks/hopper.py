"""All that one Hopper GPU can prove in 25 minutes, the most telling first: `make hopper` calls this.

    python benchmarks/hopper.py --out DIR [--device cuda:0] [--minutes 25]

1. `doctor --measure`: is the measuring right on this machine?
2. `verify`: every kernel on ordinary and adversarial inputs, each case kept as a line as soon as it has run.
3. `tune`: the suite `hopper`, every trial checked; journal, winners, report.
4. `compare --dense`: the pipeline against dense attention, decode.
5. What was measured is packed, gzipped, into results/<device>/<date>-<commit>/, whatever became of the steps; a step that fails or
   is interrupted costs itself.

Ends with the floors of benchmarks/hopper_goals.py. Exits 1 when a step failed or a floor was missed.
"""

from __future__ import annotations

import argparse
import contextlib
import gzip
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from dsabench.bench.journal import JOURNAL_NAME, JournalError, read_journal

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "results"
KEPT = ("journal.jsonl", "tuned.json", "verified.jsonl", "rows.csv", "losses.csv", "doctor.json")
STOP_S = 20.0
"""What a command gets to write its end down after it was asked to stop."""


@dataclass(frozen=True)
class Step:
    """share: its part of the minutes; what an earlier step leaves goes to the later ones. budgeted: it takes `--budget` and ends by
    itself; the others are stopped when their time is up."""

    name: str
    words: tuple[str, ...]
    share: float
    budgeted: bool


def steps(out: Path, device: str, suite: str, contexts: str) -> list[Step]:
    tuned, compared = out / "tune", out / "compare"
    narrowed = ("--context", contexts) if contexts else ()
    return [
        Step("doctor", ("doctor", "--measure", "--device", device, "--json"), 0.05, False),
        Step("verify", ("verify", "--device", device, "--out", str(out / "verified.jsonl")), 0.25, False),
        Step("tune", ("tune", "--device", device, "--suite", suite, *narrowed, "--out", str(tuned)), 0.5, True),
        Step("compare", ("compare", "--dense", "--device", device, *narrowed, "--out", str(compared)), 0.2, True),
    ]


def run(step: Step, seconds: float, out: Path) -> int:
    """The exit code; a step that is not done in time is asked to stop, so that it keeps what it has."""
    words = [*step.words, *(("--budget", f"{seconds:.0f}") if step.budgeted else ())]
    print(f"\n== {step.name}, up to {seconds / 60:.1f} min: dsabench {' '.join(words)}", flush=True)
    with contextlib.ExitStack() as stack:
        captured = stack.enter_context((out / "doctor.json").open("w")) if step.name == "doctor" else None
        process = subprocess.Popen([sys.executable, "-m", "dsabench.cli.app", *words], stdout=captured)
        return finished(process, step, seconds)


def finished(process: subprocess.Popen[bytes], step: Step, seconds: float) -> int:
    try:
        return process.wait(seconds + (STOP_S * 3 if step.budgeted else 0))
    except subprocess.TimeoutExpired:
        print(f"{step.name}: stopped after {seconds:.0f} s; what it measured is kept", flush=True)
        process.terminate()
        try:
            return process.wait(STOP_S) or 1
        except subprocess.TimeoutExpired:
            process.kill()
            return process.wait() or 1


def pack(out: Path, results: Path) -> Path | None:
    """Copies what was measured to `results`/<device>/<date>-<commit>/, journals gzipped. None when no journal names the device."""
    header = None
    for name in ("tune", "compare"):
        try:
            header = read_journal(out / name / JOURNAL_NAME).header
            break
        except JournalError:
            continue
    if header is None:
        return None
    commit = header.git_commit.split("-")[0][:7]
    target = results / header.device.key / f"{header.started[:10]}-{commit}"
    for path in sorted(p for p in out.rglob("*") if p.name in KEPT and p.stat().st_size):
        place = target / path.relative_to(out)
        place.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix == ".jsonl":
            with path.open("rb") as plain, gzip.open(f"{place}.gz", "wb") as packed:
                shutil.copyfileobj(plain, packed)
        else:
            shutil.copy(path, place)
    return target


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="python benchmarks/hopper.py", description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("dsabench-hopper"))
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--minutes", type=float, default=25.0)
    parser.add_argument("--suite", default="hopper")
    parser.add_argument("--context", default="", help="context lengths instead of the suite's and compare's")
    parser.add_argument("--results", type=Path, default=RESULTS)
    chosen = parser.parse_args(arguments)
    if chosen.out.exists():
        print(f"{chosen.out} exists; choose another --out", file=sys.stderr)
        return 2
    chosen.out.mkdir(parents=True)
    begin, left = time.monotonic(), 1.0
    codes: dict[str, int] = {}
    try:
        for step in steps(chosen.out, chosen.device, chosen.suite, chosen.context):
            seconds = (60.0 * chosen.minutes - (time.monotonic() - begin)) * step.share / left
            left -= step.share
            codes[step.name] = run(step, seconds, chosen.out)
    except KeyboardInterrupt:
        print("interrupted; what was measured is kept", flush=True)
        codes["interrupted"] = 130
    packed = pack(chosen.out, chosen.results)
    print(f"\n== {', '.join(f'{name}: exit {code}' for name, code in codes.items())}")
    print(f"kept in {packed}" if packed else "nothing was measured", flush=True)
    goals = 0
    if (chosen.out / "tune" / JOURNAL_NAME).exists():
        goals = subprocess.call(
            [sys.executable, str(ROOT / "benchmarks" / "hopper_goals.py"), str(chosen.out / "tune")]
        )
    return 1 if any(codes.values()) or goals else 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
