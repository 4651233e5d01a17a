"""`dsabench inspect`: compiles every config for a GPU that need not be here and reads the machine code."""

from __future__ import annotations

import json
import shlex
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dsabench.cli.errors import EXIT_ERROR, EXIT_INTERRUPTED, CommandError, UsageError

if TYPE_CHECKING:
    from dsabench.autotune.inspect.arch import Arch
    from dsabench.autotune.inspect.grid import Candidate
    from dsabench.autotune.inspect.pool import Limits
    from dsabench.autotune.inspect.toolchain import Toolchain
    from dsabench.autotune.predict.machine import Machine
    from dsabench.bench.inspection_records import InspectHeader, Inspection
    from dsabench.kernels.implementation import ConfigValue

DOCUMENT_SCHEMA = 1

_HELP = """Compile every config for a Hopper GPU, with no GPU and no driver, and read the machine code.

For each config: registers, spills, shared memory against the 227 KB of a block, blocks an SM, tensor-core instructions and
copies, useful against issued tensor-core FLOPs in the main loop, a predicted time (never a measured one), compile time, and
whether it can launch at all. Configs that compile to the same PTX are one row. Facts are cached; a compile that explodes costs its
own config only. Exits 1 when a config does not compile or a default cannot launch.

With --against, the configs that a journal of a GPU timed are compiled instead and their predictions held against the times.

Examples:

  dsabench inspect

  dsabench inspect --op sparse_mla_decode --op topk_select --out inspected

  dsabench inspect --op indexer_logits --config BLOCK_KV=64,NUM_STAGES=4

  dsabench inspect --op indexer_logits --context 128k --config '{"BLOCK_KV": 64}' --json

  dsabench inspect --against runs/h100/journal.jsonl
"""


def inspect(
    op: Annotated[list[str] | None, typer.Option(help="Only this op; repeatable.")] = None,
    impl: Annotated[list[str] | None, typer.Option(help="Only this implementation; repeatable.")] = None,
    suite: Annotated[str, typer.Option(help="Suite by name or a .toml file: the shapes compiled for.")] = "inspect",
    context: Annotated[str | None, typer.Option(help="Context lengths instead of the suite's, e.g. 4k,64k.")] = None,
    config: Annotated[
        list[str] | None,
        typer.Option(help="Instead of the grid this config, over the default: JSON or K=V,K=V; repeatable."),
    ] = None,
    arch: Annotated[str, typer.Option(help="GPU architecture to compile for.")] = "sm_90a",
    chip: Annotated[
        str,
        typer.Option(
            help="h100, h200 or h800: predict for its vendor's figures; with --against the journal's ceilings."
        ),
    ] = "h100",
    against: Annotated[
        str | None, typer.Option(help="Journal of a GPU (.jsonl, .jsonl.gz or its folder) to hold predictions against.")
    ] = None,
    jobs: Annotated[int | None, typer.Option(min=1, help="Processes that compile. \\[default: CPUs]")] = None,
    timeout: Annotated[str, typer.Option(help="Limit of one compile: 90s, 5m, or seconds.")] = "2m",
    memory: Annotated[int, typer.Option(min=1, help="Limit of one compiling process, GiB.")] = 4,
    plugin: Annotated[
        list[str] | None, typer.Option(help="Python file that registers implementations; repeatable.")
    ] = None,
    out: Annotated[str | None, typer.Option(help="Directory for inspect.jsonl.")] = None,
    cache: Annotated[bool, typer.Option("--cache/--no-cache", help="Use and keep facts of earlier runs.")] = True,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document on stdout, nothing else.")] = False,
) -> int:
    from dsabench.autotune.budget import BudgetError, parse_duration
    from dsabench.autotune.inspect.arch import get_arch
    from dsabench.autotune.inspect.grid import GridError, candidates, compiled_implementations
    from dsabench.autotune.inspect.pool import Limits
    from dsabench.autotune.predict.machine import vendor_machine
    from dsabench.bench.gpu.vendor import get_chip
    from dsabench.bench.inspection_file import InspectionFileError, write_inspections
    from dsabench.bench.suites import SuiteError, load_suite, parse_contexts
    from dsabench.kernels.op import UnknownNameError
    from dsabench.kernels.registry import PluginError, load_plugin

    begun = time.monotonic()
    try:
        target = get_arch(arch)
        machine = vendor_machine(get_chip(chip))
        limits = Limits(parse_duration(timeout), memory * 2**30)
        for path in plugin or []:
            load_plugin(path)
        plugins = tuple(str(Path(path).resolve()) for path in plugin or ())
        if against is not None:
            from dsabench.cli.inspect_against import inspect_against

            if config or context or out:
                raise UsageError(
                    "--against takes its configs from the journal and writes none: leave out --config, --context, --out"
                )

            def inspected(chosen: list[Candidate]) -> list[Inspection]:
                return inspect_all(chosen, target, usable_toolchain(), jobs, plugins, limits, cache)

            return inspect_against(Path(against), tuple(op or ()), tuple(impl or ()), inspected, as_json)
        loaded = load_suite(suite, parse_contexts(context) if context else None, tuple(op or ()))
        workloads = loaded.workloads
        if not op:  # of the ops asked for by name, each must have a kernel; of all ops, those that have one are taken
            workloads = tuple(w for w in workloads if compiled_implementations(w.op))
            if not workloads:
                raise GridError(f"no op of suite {loaded.name} has an implementation that inspect can compile")
        chosen = candidates(workloads, tuple(impl or ()), [_config(text) for text in config or ()])
    except BudgetError as error:
        raise UsageError(f"timeout: {error}") from error
    except (GridError, PluginError, SuiteError, UnknownNameError) as error:
        raise UsageError(str(error)) from error
    toolchain = usable_toolchain()
    found = _predicted(inspect_all(chosen, target, toolchain, jobs, plugins, limits, cache), machine)
    header = inspect_header(chosen, target, toolchain, loaded.name, f"{machine.name}, {machine.basis}")
    wall_s = time.monotonic() - begun
    written = None
    if out is not None:
        try:
            written = write_inspections(Path(out), header, found)
        except InspectionFileError as error:
            raise CommandError(str(error)) from error
    if as_json:
        print(json.dumps(_document(header, found, wall_s, written), indent=1))
    else:
        from dsabench.cli.inspect_table import print_inspections

        print_inspections(header, found, wall_s, written)
    for inspection in found:
        if inspection.reason:
            print(f"{inspection.outcome}  {_name(inspection)}: {inspection.reason}", file=sys.stderr)
    bad = any(i.reason or (i.is_default and i.can_launch is False) for i in found)
    return EXIT_ERROR if bad else 0


inspect.__doc__ = _HELP


def _config(text: str) -> dict[str, ConfigValue]:
    """`{"BLOCK_KV": 64}` or `BLOCK_KV=64,SWAP=true` as a config. Raises UsageError."""
    if text.lstrip().startswith("{"):
        try:
            parsed = json.loads(text)
        except json.JSONDecodeError as error:
            raise UsageError(f"config {text!r} is not JSON: {error}") from error
        for name, value in parsed.items():
            if not isinstance(value, bool | int | str):
                raise UsageError(f"config: {name} = {value!r} is not a number, a word or true or false")
        return parsed
    found: dict[str, ConfigValue] = {}
    for item in text.split(","):
        name, equals, value = (part.strip() for part in item.partition("="))
        if not equals or not name or not value:
            raise UsageError(f"config {text!r}: write NAME=VALUE,NAME=VALUE or a JSON object")
        try:
            found[name] = {"true": True, "false": False}[value.lower()] if value.isalpha() else int(value)
        except (KeyError, ValueError):
            found[name] = value
    return found


def usable_toolchain() -> Toolchain:
    """Raises CommandError that names what is missing."""
    from dsabench.autotune.inspect.toolchain import ToolchainError, find_toolchain

    try:
        return find_toolchain()
    except ToolchainError as error:
        raise CommandError(str(error)) from error


def inspect_all(
    chosen: list[Candidate],
    arch: Arch,
    toolchain: Toolchain,
    jobs: int | None,
    plugins: tuple[str, ...],
    limits: Limits,
    use_cache: bool,
) -> list[Inspection]:
    """All of them, in the order of the grid. Those whose compiler is not here are left out, each implementation said in one line on
    stderr. Raises CommandError when none is left."""
    from rich.console import Console
    from rich.progress import track

    from dsabench.autotune.inspect.cache import FactCache, default_folder
    from dsabench.autotune.inspect.inspecting import in_order, inspect_configs, mark_same_code
    from dsabench.autotune.inspect.pool import PoolError
    from dsabench.kernels.machine import usable_cpus

    console = Console(file=sys.stderr)
    cache = FactCache(default_folder() if use_cache else None, arch, toolchain)
    left_out: dict[str, str] = {}

    def leave_out(candidate: Candidate, reason: str) -> None:
        left_out[f"{candidate.config.op}/{candidate.config.impl}"] = reason

    each = inspect_configs(
        chosen, arch, toolchain, cache, jobs or usable_cpus(), plugins, limits, on_left_out=leave_out
    )
    try:
        shown = track(each, "compiling", len(chosen), console=console, transient=True, disable=not console.is_terminal)
        found = mark_same_code(in_order(list(shown), chosen))
    except PoolError as error:
        raise CommandError(str(error)) from error
    except KeyboardInterrupt:
        kept = "; what is compiled is kept, the next run goes on from there" if use_cache else ""
        raise CommandError(f"interrupted{kept}", EXIT_INTERRUPTED) from None
    for reason in dict.fromkeys(left_out.values()):
        line = f"left out: {', '.join(name for name, why in left_out.items() if why == reason)}: {reason}"
        if not found:
            raise CommandError(line)
        print(line, file=sys.stderr)
    return found


def _predicted(found: list[Inspection], machine: Machine) -> list[Inspection]:
    """With predicted times, of ordinary inputs of their axes."""
    from dsabench.autotune.predict.expected import expected_cost
    from dsabench.autotune.predict.model import Predictor

    predictor = Predictor(machine)
    costs = {(i.op, i.id.axes): expected_cost(i.op, i.axes) for i in found}
    predicted = []
    for inspection in found:
        cost = costs[inspection.op, inspection.id.axes]
        prediction = predictor.seconds(inspection, cost) if cost else None
        predicted.append(inspection.model_copy(update={"predicted_s": prediction.seconds if prediction else None}))
    return predicted


def inspect_header(
    chosen: list[Candidate], arch: Arch, toolchain: Toolchain, suite: str, predicted_for: str | None
) -> InspectHeader:
    """predicted_for: see InspectHeader."""
    from datetime import UTC, datetime

    from dsabench import __version__
    from dsabench.bench.inspection_records import InspectHeader, SourceRecord
    from dsabench.bench.provenance import git_commit
    from dsabench.kernels.ledger import hardware_note

    sources = {(c.config.op, c.config.impl): c.source for c in chosen}
    return InspectHeader(
        started=datetime.now(UTC).isoformat(timespec="seconds"),
        command=shlex.join(["dsabench", *sys.argv[1:]]),
        arch=arch.name,
        versions={"dsabench": __version__, **toolchain.versions},
        git_commit=git_commit(),
        suite=suite,
        sources={
            f"{op}/{impl}": SourceRecord(source=source, hardware=hardware_note(op, impl))
            for (op, impl), source in sources.items()
        },
        predicted_for=predicted_for,
    )


def _name(inspection: Inspection) -> str:
    from dsabench.kernels.implementation import format_config
    from dsabench.kernels.workload import Workload

    label = Workload.of(inspection.op, inspection.axes).label()
    return f"{inspection.op}/{inspection.impl}  {label}  {format_config(inspection.config)}"


def _document(header: InspectHeader, found: list[Inspection], wall_s: float, written: Path | None) -> dict[str, Any]:
    from dsabench.autotune.inspect.summary import summaries

    return {
        "schema": DOCUMENT_SCHEMA,
        "command": "inspect",
        "arch": header.arch,
        "suite": header.suite,
        "predicted_for": header.predicted_for,
        "versions": header.versions,
        "sources": {name: source.model_dump() for name, source in header.sources.items()},
        "wall_s": round(wall_s, 3),
        "summary": [vars(summary) for summary in summaries(found)],
        "rows": [inspection.model_dump(mode="json", exclude={"kind"}) for inspection in found],
        "results": str(written) if written else None,
    }
