"""Inspects configs: plans them, compiles each distinct launch once in a pool, reads the machine code in batches, keeps the facts."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from dsabench.autotune.inspect.arch import Arch
from dsabench.autotune.inspect.cache import FactCache
from dsabench.autotune.inspect.facts import code_record
from dsabench.autotune.inspect.flags import flags
from dsabench.autotune.inspect.grid import Candidate
from dsabench.autotune.inspect.jobs import (
    Compiled,
    CompileJob,
    CompilerMissing,
    DisassembleJob,
    JobFailed,
    PlanJob,
    PlannedLaunch,
    Result,
)
from dsabench.autotune.inspect.languages import launches_at_once
from dsabench.autotune.inspect.occupancy import occupancy, why_no_launch
from dsabench.autotune.inspect.pool import Limits, Pool
from dsabench.autotune.inspect.sass import NAMED_FAMILIES, Code
from dsabench.autotune.inspect.toolchain import Toolchain
from dsabench.bench.inspection_records import (
    CodeRecord,
    Inspection,
    LaunchRecord,
    Outcome,
)

DISASSEMBLE_TOGETHER = 12
"""nvdisasm's start costs as much as ten kernels."""
HELD_BACK_S = 4.0
"""A kernel waits no longer than this for others to be disassembled with: a tuner waits for its facts."""


def inspect_configs(
    candidates: Sequence[Candidate],
    arch: Arch,
    toolchain: Toolchain,
    cache: FactCache,
    workers: int,
    plugins: tuple[str, ...] = (),
    limits: Limits | None = None,
    on_progress: Callable[[int, int], None] | None = None,
    launch_cache: Path | None = None,
    on_left_out: Callable[[Candidate, str], None] | None = None,
) -> Iterator[Inspection]:
    """One Inspection for each candidate, as they come: a config that fails says how and costs no other. Starts processes only
    for what the cache does not hold. `on_progress(done, all)` is called after each. `same_code_as` is left open: see
    `mark_same_code`. launch_cache: a folder of Triton's; it and the cache of CUDA C++'s cubins then hold every kernel, so that a
    launch compiles nothing (see `bench.gpu.compile_cache`). A config whose language has no compiler here has no Inspection:
    `on_left_out(candidate, why)` is called. Raises PoolError when no worker can be started."""
    run = _Run(arch, cache, launch_cache, on_left_out or (lambda candidate, why: None))
    done = 0
    with Pool(workers, arch, toolchain, plugins, limits or Limits(), launch_cache) as pool:
        for inspection in run.inspect(candidates, pool):
            done += 1
            if on_progress:
                on_progress(done, len(candidates))
            yield inspection


class _Run:
    """What is known so far, and which configs wait for what."""

    def __init__(
        self, arch: Arch, cache: FactCache, launch_cache: Path | None, on_left_out: Callable[[Candidate, str], None]
    ) -> None:
        self._launch_cache = launch_cache
        self._on_left_out = on_left_out
        self._arch = arch
        self._cache = cache
        self._codes: dict[str, CodeRecord | JobFailed] = {}
        self._asked: set[str] = set()  # keys of launches that are known or being compiled
        self._compiled: dict[str, Compiled] = {}  # their machine code is not read yet
        self._since: dict[str, float] = {}
        self._reading: set[str] = set()
        self._compiling = 0
        self._plans: dict[Candidate, tuple[PlannedLaunch, ...]] = {}  # of configs that wait for codes

    def inspect(self, candidates: Sequence[Candidate], pool: Pool) -> Iterator[Inspection]:
        unplanned: dict[PlanJob, Candidate] = {}
        for candidate in candidates:
            launches = self._cache.plan(candidate.config, candidate.source)
            if launches is None:
                plan = PlanJob(candidate.config)
                unplanned[plan] = candidate
                pool.submit(plan)
            else:
                self._planned(candidate, launches, pool)
        yield from self._finished()
        for job, result in pool.results():
            if isinstance(job, PlanJob):
                candidate = unplanned.pop(job)
                if isinstance(result, JobFailed):
                    yield _failed(candidate, result)
                elif isinstance(result, CompilerMissing):
                    self._on_left_out(candidate, result.reason)
                else:
                    assert isinstance(result, tuple)
                    launches = tuple(x for x in result if isinstance(x, PlannedLaunch))
                    self._cache.keep_plan(candidate.config, candidate.source, launches)
                    self._planned(candidate, launches, pool)
            elif isinstance(job, CompileJob):
                self._compiling -= 1
                self._took_compiled(job.key, result)
            else:
                self._took_codes(job, result, pool)
            self._disassemble(pool, all_of_them=not unplanned and not self._compiling)
            yield from self._finished()

    def _planned(self, candidate: Candidate, launches: tuple[PlannedLaunch, ...], pool: Pool) -> None:
        self._plans[candidate] = launches
        for number, launch in enumerate(launches):
            if launch.key in self._asked:
                continue
            self._asked.add(launch.key)
            known = self._cache.code(launch.key)
            if known is not None and self._launches_at_once(launch):
                self._codes[launch.key] = known
            else:
                self._compiling += 1
                pool.submit(CompileJob(candidate.config, number, launch.key))

    def _launches_at_once(self, launch: PlannedLaunch) -> bool:
        return self._launch_cache is None or launches_at_once(launch, self._launch_cache)

    def _took_compiled(self, key: str, result: Result | JobFailed) -> None:
        if isinstance(result, Compiled):
            self._compiled[key] = result
            self._since[key] = time.monotonic()
        elif isinstance(result, CompilerMissing):  # it went between planning and compiling
            self._codes[key] = JobFailed(Outcome.COMPILE_ERROR, result.reason)
        elif isinstance(result, JobFailed):
            self._codes[key] = result

    def _disassemble(self, pool: Pool, all_of_them: bool) -> None:
        """Hands out full batches, those that waited long enough, and what is left at the end."""
        ready = [(key, compiled) for key, compiled in self._compiled.items() if key not in self._reading]
        overdue = bool(ready) and time.monotonic() - self._since[ready[0][0]] > HELD_BACK_S
        while ready and (all_of_them or overdue or len(ready) >= DISASSEMBLE_TOGETHER):
            batch, ready = ready[:DISASSEMBLE_TOGETHER], ready[DISASSEMBLE_TOGETHER:]
            self._reading |= {key for key, _ in batch}
            pool.submit(DisassembleJob(tuple(k for k, _ in batch), tuple(c.machine_code for _, c in batch)))

    def _took_codes(self, job: DisassembleJob, result: Result | JobFailed, pool: Pool) -> None:
        if isinstance(result, JobFailed) and len(job.keys) > 1:  # one bad cubin must not take the others with it
            for key, machine_code in zip(job.keys, job.machine_codes, strict=True):
                pool.submit(DisassembleJob((key,), (machine_code,)))
            return
        for number, key in enumerate(job.keys):
            compiled = self._compiled.pop(key)
            if isinstance(result, JobFailed):
                self._codes[key] = replace(result, reason=f"compiled, but its code cannot be read: {result.reason}")
                continue
            assert isinstance(result, tuple)
            code = result[number]
            assert isinstance(code, Code)
            record = code_record(compiled, code)
            self._codes[key] = record
            self._cache.keep_code(key, record)

    def _finished(self) -> Iterator[Inspection]:
        """The configs whose launches are all known."""
        for candidate, launches in list(self._plans.items()):
            codes = [self._codes.get(launch.key) for launch in launches]
            failure = next((code for code in codes if isinstance(code, JobFailed)), None)
            if failure is not None:
                del self._plans[candidate]
                yield _failed(candidate, failure)
            elif None not in codes:
                del self._plans[candidate]
                records = [
                    self._launch(launch, code)
                    for launch, code in zip(launches, codes, strict=True)
                    if isinstance(code, CodeRecord)
                ]
                yield _inspection(candidate, records)

    def _launch(self, launch: PlannedLaunch, code: CodeRecord) -> LaunchRecord:
        held = occupancy(self._arch, code.num_warps, code.registers, code.shared_bytes)
        return LaunchRecord(
            code=code,
            grid=list(launch.grid),
            blocks_per_sm=held.blocks,
            warps_per_sm=held.warps,
            limited_by=held.limited_by,
            cannot_launch=why_no_launch(self._arch, launch.grid, code.num_warps, code.registers, code.shared_bytes),
        )


def _failed(candidate: Candidate, failure: JobFailed) -> Inspection:
    return _record(candidate, [], failure.outcome, failure.reason, failure.output)


def _inspection(candidate: Candidate, launches: list[LaunchRecord]) -> Inspection:
    if not launches:
        return _record(candidate, [], Outcome.COMPILE_ERROR, "its plan holds no launch", "")
    return _record(candidate, launches, Outcome.COMPILED, "", "")


def _record(
    candidate: Candidate, launches: list[LaunchRecord], outcome: Outcome, reason: str, output: str
) -> Inspection:
    codes = [launch.code for launch in launches]
    refusals = [f"{launch.code.kernel}: {launch.cannot_launch}" for launch in launches if launch.cannot_launch]
    fractions = [c.products.useful_fraction for c in codes if c.products and c.products.useful_fraction is not None]
    families = dict.fromkeys([*NAMED_FAMILIES, *(name for code in codes for name in code.whole.sass)])
    return Inspection(
        op=candidate.config.op,
        impl=candidate.config.impl,
        axes=dict(candidate.config.axes),
        config=dict(candidate.config.config),
        is_default=candidate.is_default,
        outcome=outcome,
        reason=reason,
        output=output,
        can_launch=not refusals if codes else None,
        cannot_launch="; ".join(refusals),
        flags=flags(launches),
        registers=max((c.registers for c in codes), default=None),
        spill_bytes=max((c.spill_store_bytes + c.spill_load_bytes for c in codes), default=None),
        local_bytes=max((c.local_bytes for c in codes), default=None),
        shared_bytes=max((c.shared_bytes for c in codes), default=None),
        blocks_per_sm=min((launch.blocks_per_sm for launch in launches), default=None),
        useful_fraction=min(fractions, default=None),
        sass={name: sum(c.whole.sass.get(name, 0) for c in codes) for name in families} if codes else None,
        compile_s=round(sum(c.compile_s for c in codes), 3) if codes else None,
        launches=launches,
        same_code_as=None,
    )


def mark_same_code(inspections: Sequence[Inspection]) -> list[Inspection]:
    """Names, for each config whose launches compile to the PTX of an earlier one of the same workload, that earlier config."""
    first: dict[tuple[object, ...], Inspection] = {}
    marked = []
    for inspection in inspections:
        if inspection.launches:
            key = (inspection.op, inspection.impl, inspection.id.axes, inspection.code_identity)
            earlier = first.setdefault(key, inspection)
            if earlier is not inspection:
                inspection = inspection.model_copy(update={"same_code_as": earlier.config})
        marked.append(inspection)
    return marked


def in_order(inspections: Sequence[Inspection], candidates: Sequence[Candidate]) -> list[Inspection]:
    """Inspections in the order of their candidates."""
    place = {candidate.config: number for number, candidate in enumerate(candidates)}
    return sorted(inspections, key=lambda inspection: place[inspection.id])
