"""`dsabench gate`: is the candidate slower than the baseline?"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated, Any

import typer

from dsabench.cli.errors import UsageError

_HELP = """Is the candidate slower than the baseline, beyond the noise? Exits 0 PASS, 1 REGRESSED, 3 AMBIGUOUS, 4 INVALID (2 is a usage
error).

Three gates. Two source trees, measured interleaved in one job (--baseline-ref or --baseline-tree). Two journals of one device, or
what `dsabench inspect --out` wrote twice (CANDIDATE and --baseline). What the compiler makes of every config, with no GPU, against a
committed file (--static). --self-test shows how often this machine's gate is wrong.

Examples:

  dsabench gate --baseline-ref main

  dsabench gate --baseline-ref main --plugin kernels/mine.py --op topk_select --device cuda

  dsabench gate runs/today --baseline runs/monday --baseline runs/tuesday

  dsabench gate --static gates/inspect.jsonl

  dsabench gate --static gates/inspect.jsonl --update

  dsabench gate --self-test
"""
_TREES = ("baseline_ref", "baseline_tree", "candidate_tree")
_BY_MODE = {
    "journals": ("candidate", "baseline", "min_effect", "allow_missing"),
    "static": ("static", "update", "suite", "op", "impl", "plugin", "allow_missing", "jobs"),
    "trees": (
        *_TREES, "suite", "op", "impl", "context", "plugin", "device", "budget", "passes", "seed", "allow_busy", "min_effect",
        "allow_missing",
    ),
    "self-test": (
        "self_test", "runs", "resume", "candidate_tree", "suite", "op", "impl", "context", "plugin", "device", "budget", "passes",
        "seed", "allow_busy", "min_effect",
    ),
}  # fmt: skip
"""Options that each gate knows."""


def gate(
    candidate: Annotated[
        Path | None, typer.Argument(help="Journal, or what inspect wrote, to be judged (or its folder).")
    ] = None,
    baseline: Annotated[
        list[Path] | None,
        typer.Option(help="Journal or inspection that CANDIDATE is held against; several journals show the noise."),
    ] = None,
    baseline_ref: Annotated[str | None, typer.Option(help="Git revision to measure against, e.g. main.")] = None,
    baseline_tree: Annotated[Path | None, typer.Option(help="Source tree to measure against.")] = None,
    candidate_tree: Annotated[
        Path | None, typer.Option(help="Source tree to be judged. \\[default: the checkout you are in]")
    ] = None,
    static: Annotated[
        Path | None, typer.Option(help="Committed baseline file: compile every config now and hold it against that.")
    ] = None,
    update: Annotated[bool, typer.Option("--update", help="With --static: write the file instead.")] = False,
    self_test: Annotated[
        bool, typer.Option("--self-test", help="The same tree on both sides, slowed on purpose or not, many times.")
    ] = False,
    runs: Annotated[
        int | None,
        typer.Option(
            min=1, help="With --self-test: runs on the same code; the slowed ones in proportion. \\[default: 50]"
        ),
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="With --self-test: go on with the runs in --out.")] = False,
    suite: Annotated[
        str | None,
        typer.Option(help="Suite by name or a .toml file. \\[default: gate; hopper on a GPU; inspect with --static]"),
    ] = None,
    op: Annotated[list[str] | None, typer.Option(help="Only this op; repeatable.")] = None,
    impl: Annotated[
        list[str] | None, typer.Option(help="Only this implementation; repeatable. \\[default: all but torch]")
    ] = None,
    context: Annotated[str | None, typer.Option(help="Context lengths instead of the suite's, e.g. 4k,64k.")] = None,
    device: Annotated[str | None, typer.Option(help="auto, cpu or cuda[:i]. \\[default: auto]")] = None,
    plugin: Annotated[
        list[str] | None,
        typer.Option(
            help="Python file that registers implementations; a relative path is that of either tree. Repeatable."
        ),
    ] = None,
    min_effect: Annotated[
        str | None, typer.Option(help="Slow-downs up to this are no concern, e.g. 3% or 0.03. \\[default: 3%]")
    ] = None,
    passes: Annotated[
        int | None,
        typer.Option(min=2, help="Most times a row is measured in processes of its own. \\[default: 6]"),
    ] = None,
    budget: Annotated[
        str | None,
        typer.Option(help="Wall time of the measuring: 90s, 5m, or seconds. \\[default: 5m; 2h with --self-test]"),
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of inputs and order. \\[default: 0]")] = None,
    jobs: Annotated[
        int | None, typer.Option(min=1, help="With --static: processes that compile. \\[default: CPUs]")
    ] = None,
    allow_missing: Annotated[
        bool, typer.Option("--allow-missing", help="Rows that only the baseline has do not make it INVALID.")
    ] = False,
    allow_busy: Annotated[
        bool, typer.Option("--allow-busy", help="Measure on a GPU that other processes use; refused otherwise.")
    ] = False,
    out: Annotated[Path, typer.Option(help="Folder for gate.json, gate.md, gate.xml (JUnit), gate.png.")] = Path(
        "dsabench-gate"
    ),
    github: Annotated[
        bool | None,
        typer.Option(
            "--github/--no-github",
            help="Annotations on stdout and the summary of the job. \\[default: where GITHUB_ACTIONS is true]",
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document on stdout, nothing else.")] = False,
) -> int:
    begun = time.monotonic()
    given: dict[str, Any] = {
        "candidate": candidate, "baseline": baseline or None, "baseline_ref": baseline_ref, "baseline_tree": baseline_tree,
        "candidate_tree": candidate_tree, "static": static, "update": update or None, "self_test": self_test or None,
        "runs": runs, "resume": resume or None, "suite": suite, "op": op or None, "impl": impl or None, "context": context,
        "device": device, "plugin": plugin or None, "min_effect": min_effect, "passes": passes, "budget": budget,
        "seed": seed, "jobs": jobs, "allow_missing": allow_missing or None, "allow_busy": allow_busy or None,
    }  # fmt: skip
    mode = _mode(given)
    for name, value in given.items():
        if value is not None and name not in _BY_MODE[mode]:
            shown = "CANDIDATE" if name == "candidate" else f"--{name.replace('_', '-')}"
            raise UsageError(f"{shown} does not go with {_ASKED_BY[mode]} (see dsabench gate --help)")
    from dsabench.cli.gate_output import Outputs, run_gate

    outputs = Outputs(out, github, as_json)
    effect = _fraction(min_effect) if min_effect is not None else 0.03

    def files() -> int:
        from dsabench.cli.gate_files import gate_files

        assert candidate is not None
        return gate_files(candidate, tuple(baseline or ()), effect, allow_missing, outputs)

    def compiled() -> int:
        from dsabench.cli.gate_static import GridOptions, gate_static

        assert static is not None
        grid = GridOptions(suite or "inspect", tuple(op or ()), tuple(impl or ()), tuple(plugin or ()), jobs)
        return gate_static(static, update, grid, allow_missing, outputs)

    def trees() -> int:
        from dsabench.cli.gate_trees import TreeOptions, gate_self_test, gate_two_trees

        options = TreeOptions(
            baseline_ref=baseline_ref,
            baseline_tree=baseline_tree,
            candidate_tree=candidate_tree,
            suite=suite,
            ops=tuple(op or ()),
            impls=tuple(impl or ()),
            plugins=tuple(plugin or ()),
            context=context,
            device=device or "auto",
            min_effect=effect,
            passes=passes,
            budget=budget,
            seed=seed or 0,
            allow_missing=allow_missing,
            allow_busy=allow_busy,
            begun=begun,
        )
        return gate_self_test(options, runs, resume, outputs) if self_test else gate_two_trees(options, outputs)

    if mode == "journals":
        return run_gate("journals", effect, outputs, files)
    if mode == "static":
        return run_gate("static", effect, outputs, compiled)
    return run_gate("trees", effect, outputs, trees)


gate.__doc__ = _HELP

_ASKED_BY = {
    "journals": "a gate of files (CANDIDATE --baseline …)",
    "static": "--static",
    "trees": "a gate of trees (--baseline-ref or --baseline-tree)",
    "self-test": "--self-test",
}


def _mode(given: dict[str, Any]) -> str:
    """Which gate was asked for. Raises UsageError when none or more than one was."""
    asked = {
        "self-test": given["self_test"],
        "static": given["static"],
        "trees": given["baseline_ref"] is not None or given["baseline_tree"] is not None,
        "journals": given["baseline"],
    }
    modes = [mode for mode, value in asked.items() if value]
    if len(modes) > 1:
        raise UsageError(f"choose one gate: {' or '.join(_ASKED_BY[mode] for mode in modes)}")
    if not modes:
        raise UsageError(
            "against what? --baseline-ref REF (two trees), CANDIDATE --baseline JOURNAL, --static FILE, or --self-test"
        )
    if given["baseline_ref"] is not None and given["baseline_tree"] is not None:
        raise UsageError("choose one baseline: --baseline-ref or --baseline-tree")
    if modes == ["journals"] and given["candidate"] is None:
        raise UsageError("what is to be judged? dsabench gate CANDIDATE --baseline JOURNAL")
    return modes[0]


def _fraction(text: str) -> float:
    """`3%` or `0.03` → 0.03. Raises UsageError."""
    number, percent, rest = text.strip().partition("%")
    try:
        value = float(number) / (100.0 if percent else 1.0)
    except ValueError:
        value = -1.0
    if rest or not 0.0 < value < 1.0:
        raise UsageError(f"min-effect must lie between 0 and 100 %, e.g. 3% or 0.03, got {text!r}")
    return value
