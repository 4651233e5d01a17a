"""`dsabench gate --static`: every config compiled now, held against a committed file. Nothing is run."""

from __future__ import annotations

import shlex
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from dsabench.cli.errors import UsageError
from dsabench.cli.gate_output import Outputs

if TYPE_CHECKING:
    from dsabench.bench.gate.static_baseline import StaticSide

ARCH = "sm_90a"
_TIMEOUT_S = 120.0
_MEMORY_BYTES = 4 * 2**30
"""Of one compile, as `dsabench inspect` bounds it."""


@dataclass(frozen=True)
class GridOptions:
    """What to compile, as the command line says it. plugins: files."""

    suite: str
    ops: tuple[str, ...]
    impls: tuple[str, ...]
    plugins: tuple[str, ...]
    jobs: int | None


def gate_static(file: Path, update: bool, grid: GridOptions, allow_missing: bool, outputs: Outputs) -> int:
    """With `update` the file is written and 0 returned."""
    from dsabench.bench.gate.static import gate_static as judge
    from dsabench.bench.gate.static_baseline import read_static, write_static

    if update:
        if grid.ops or grid.impls:
            raise UsageError("--update writes the whole file: leave out --op and --impl")
        side = _compiled(grid)
        write_static(file, side)
        print(f"written: {file}, {len(side.configs)} configs")
        return 0
    if not file.exists():
        raise UsageError(f"there is no {file}; --update writes it")
    baseline = read_static(file).only(grid.ops, grid.impls)
    if not baseline.configs:
        raise UsageError(f"{file} has no config of what --op and --impl leave")
    result = judge(baseline, _compiled(grid), allow_missing, shlex.join(["dsabench", *sys.argv[1:]]))
    return outputs.write(result)


def gate_inspections(candidate: Path, baseline: Path, allow_missing: bool, command: str, outputs: Outputs) -> int:
    """What inspect wrote against what it wrote before, or against a committed file."""
    from dsabench.bench.gate.static import gate_static as judge
    from dsabench.bench.gate.static_baseline import read_static

    return outputs.write(judge(read_static(baseline), read_static(candidate), allow_missing, command))


def _compiled(grid: GridOptions) -> StaticSide:
    """Raises UsageError for a grid that cannot be, CommandError for a missing tool."""
    from dsabench.autotune.inspect.arch import get_arch
    from dsabench.autotune.inspect.grid import GridError, candidates, compiled_implementations
    from dsabench.autotune.inspect.pool import Limits
    from dsabench.bench.gate.static_baseline import static_side
    from dsabench.bench.inspection_file import Inspections
    from dsabench.bench.suites import load_suite
    from dsabench.cli.inspect import inspect_all, inspect_header, usable_toolchain
    from dsabench.kernels.registry import load_plugin

    for path in grid.plugins:
        load_plugin(path)
    plugins = tuple(str(Path(path).resolve()) for path in grid.plugins)
    suite = load_suite(grid.suite, None, grid.ops)
    workloads = suite.workloads
    if not grid.ops:
        workloads = tuple(w for w in workloads if compiled_implementations(w.op))
    try:
        chosen = candidates(workloads, grid.impls, [])
    except GridError as error:
        raise UsageError(str(error)) from error
    arch, toolchain = get_arch(ARCH), usable_toolchain()
    limits = Limits(_TIMEOUT_S, _MEMORY_BYTES)
    found = inspect_all(chosen, arch, toolchain, grid.jobs, plugins, limits, use_cache=True)
    header = inspect_header(chosen, arch, toolchain, suite.name, None)
    return static_side(Inspections(header, tuple(found)), "compiled now")
