"""Tree against tree: both measured interleaved in one job on one device, suspects again in fresh processes, then a verdict."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from dsabench.bench.claim import describe, device_type
from dsabench.bench.gate.estimate import Pass, typical_variance
from dsabench.bench.gate.judging import LEAST_PASSES, Judgement, Measured, judge
from dsabench.bench.gate.pairing import OfferPair, pair_offers
from dsabench.bench.gate.records import GateResult, GateRow, GateSide, RowVerdict
from dsabench.bench.gate.trees import SourceTree, TreeError
from dsabench.bench.gate.trio import CPU_ROUNDS, GPU_ROUNDS, Trio
from dsabench.bench.gate.verdict import overall, sorted_rows
from dsabench.bench.jobs import Offers, OffersJob
from dsabench.bench.provenance import package_versions
from dsabench.bench.records import DeviceRecord, Ratio
from dsabench.bench.worker import JobFailed, Worker, WorkerDied, WorkerStartError, WorkerTimeout
from dsabench.kernels.workload import Workload

MOST_PASSES = 6
_OFFERS_TIMEOUT_S = 120.0
_LOG_NAMES = ("baseline.log", "baseline-again.log", "candidate.log")
_NOISE_FROM = (
    "A/A: the baseline measured twice in every round by processes of its own, and how passes with fresh processes differ; one "
    "case of the same code in two hundred lies beyond"
)


@dataclass(frozen=True)
class TreeGate:
    """What is to be gated.

    device      as `resolve_device` returns it, claimed already; environment binds a worker to it
    plugins     paths; a relative one is looked for in each tree
    min_effect  relative: slow-downs up to this are no concern
    passes      most of a row
    deadline    of time.monotonic(): no row is begun after it
    seed        of the order within rounds
    slow_by     relative: makes the candidate so much slower, to see whether that is found
    command     measures a row again when `--op … --impl …` is added
    """

    baseline: SourceTree
    candidate: SourceTree
    workloads: tuple[Workload, ...]
    impls: tuple[str, ...]
    device: str
    environment: dict[str, str | None]
    plugins: tuple[str, ...]
    min_effect: float
    passes: int
    deadline: float
    allow_missing: bool
    command: str
    seed: int = 0
    slow_by: float = 0.0


def gate_trees(gate: TreeGate, logs: Path, tell: Callable[[str], None] = lambda text: None) -> GateResult:
    """logs: a folder for the workers' output; tell: of what is done now. Raises TreeError when a tree's kernels cannot be run by
    this dsabench or a plugin is missing; WorkerStartError."""
    started, begin = datetime.now(UTC).isoformat(timespec="seconds"), time.monotonic()
    policy = CPU_ROUNDS if device_type(gate.device) == "cpu" else GPU_ROUNDS
    trees = (gate.baseline, gate.baseline, gate.candidate)
    plugins = [_plugins(tree, gate.plugins) for tree in trees]

    def workers() -> list[Worker]:
        return [
            Worker(logs / log, own, environment=gate.environment, device=device_type(gate.device), kernels=tree.kernels)
            for log, own, tree in zip(_LOG_NAMES, plugins, trees, strict=True)
        ]

    with Trio(workers, policy) as trio:
        tell("starting the workers")
        first, _, last = _started(trio, trees)
        device = describe(last)
        before, after = _offers(first, gate.baseline, gate), _offers(last, gate.candidate, gate)
        pairs = pair_offers(before.offers, after.offers)
        rows = [Measured(pair) for pair in pairs if pair.baseline is not None and pair.candidate is not None]
        _measure(rows, gate, trio, tell)
    judged = {id(row.pair): (row, judgement) for row, judgement in _judged(rows, gate.min_effect)}
    found = [_row(pair, judged.get(id(pair)), gate) for pair in pairs]
    verdict, reason = overall(found, gate.allow_missing)
    return GateResult(
        mode="trees",
        verdict=verdict,
        reason=reason,
        min_effect=gate.min_effect,
        noise_from=_NOISE_FROM,
        baseline=_side(gate.baseline, device),
        candidate=_side(gate.candidate, device),
        device=device,
        rows=sorted_rows(found),
        notices=_notices(gate, {**before.left_out, **after.left_out}, pairs),
        command=gate.command,
        started=started,
        wall_s=time.monotonic() - begin,
    )


def _plugins(tree: SourceTree, paths: Sequence[str]) -> tuple[str, ...]:
    found = [tree.plugin(path) for path in paths]
    for path in found:
        if not path.is_file():
            raise TreeError(f"{tree.name} has no plugin {path}")
    return tuple(str(path) for path in found)


def _started(trio: Trio, trees: Sequence[SourceTree]) -> tuple[Worker, Worker, Worker]:
    try:
        return trio.fresh()
    except WorkerStartError as error:
        names = " or ".join(dict.fromkeys(tree.name for tree in trees if tree.kernels is not None))
        raise TreeError(f"the kernels of {names} do not run under this dsabench: {error}") from error


def _offers(worker: Worker, tree: SourceTree, gate: TreeGate) -> Offers:
    try:
        offers = worker.do(OffersJob(gate.workloads, gate.impls), _OFFERS_TIMEOUT_S)
    except (JobFailed, WorkerDied, WorkerTimeout) as error:
        raise TreeError(f"the kernels of {tree.name} do not run under this dsabench: {error}") from error
    assert isinstance(offers, Offers)
    return offers


def _measure(rows: list[Measured], gate: TreeGate, trio: Trio, tell: Callable[[str], None]) -> None:
    """Passes over all rows, then over those that are not settled, each pass in processes of its own. The first uses the processes
    that are there."""
    for number in range(1, gate.passes + 1):
        suspects = rows
        if number > LEAST_PASSES:
            suspects = [row for row, judgement in _judged(rows, gate.min_effect) if not judgement.settled]
        if not suspects or time.monotonic() >= gate.deadline:
            return
        if number > 1:
            trio.fresh()
        for index, row in enumerate(suspects):
            if time.monotonic() >= gate.deadline:
                return
            pair = row.pair
            tell(f"pass {number}: {pair.workload.op}/{pair.impl} {pair.workload.label()}")
            row.add(trio.measure(pair, not row.passes, gate.slow_by, gate.seed + 1000 * number + index))


def _judged(rows: Sequence[Measured], min_effect: float) -> list[tuple[Measured, Judgement]]:
    typical = typical_variance([row.passes for row in rows])
    return [(row, judge(row, typical, min_effect)) for row in rows]


def _row(pair: OfferPair, found: tuple[Measured, Judgement] | None, gate: TreeGate) -> GateRow:
    workload = pair.workload
    passes: list[Pass] = []
    baseline_s: float | None = None
    ratio, noise, threshold = None, None, None
    if found is not None:
        measured, judgement = found
        passes, verdict, reason, threshold = measured.passes, judgement.verdict, judgement.reason, judgement.threshold
        if judgement.estimate is not None:
            baseline_s = statistics.median(statistics.median(p.baseline_s + p.again_s) for p in passes)
            each = judgement.estimate
            ratio, noise = Ratio(ratio=each.ratio, low=each.low, high=each.high), each.noise
    elif pair.candidate is None:
        verdict, reason = RowVerdict.MISSING, f"only {gate.baseline.name} offers it"
    else:
        verdict, reason = RowVerdict.NEW, f"{gate.baseline.name} does not offer it: nothing to compare with"
    return GateRow(
        op=workload.op,
        impl=pair.impl,
        axes=workload.axis_values,
        distribution=workload.distribution,
        seed=workload.seed,
        baseline_config=pair.baseline.config if pair.baseline else None,
        candidate_config=pair.candidate.config if pair.candidate else None,
        renamed_from=pair.renamed_from,
        verdict=verdict,
        reason=reason,
        baseline_s=baseline_s,
        # Not its own median: the machine may have been another in those passes, which the ratio, found in rounds, knows.
        candidate_s=baseline_s * ratio.ratio if baseline_s is not None and ratio is not None else None,
        ratio=ratio,
        noise=noise,
        threshold=threshold,
        passes=len(passes),
        rounds=sum(len(each.candidate_s) for each in passes),
        command=f"{gate.command} --op {workload.op} --impl {pair.impl} --context {workload.context}",
    )


def _side(tree: SourceTree, device: DeviceRecord) -> GateSide:
    return GateSide(name=tree.name, commit=tree.commit, versions=package_versions(device.type), started="")


def _notices(gate: TreeGate, left_out: Mapping[str, str], pairs: Sequence[OfferPair]) -> list[str]:
    notices = [f"{name} was not compared: {why}" for name, why in left_out.items()]
    renamed = dict.fromkeys((pair.workload.op, pair.renamed_from, pair.impl) for pair in pairs if pair.renamed_from)
    notices += [f"{op}/{old} is taken to be renamed {new}: same op, same workloads" for op, old, new in renamed]
    both = [(pair.baseline, pair.candidate) for pair in pairs if pair.baseline and pair.candidate]
    if any(before.config != after.config for before, after in both):
        notices.append("the default config of a row differs between the trees: its change is part of what was measured")
    if gate.slow_by:
        notices.append(f"the candidate was slowed down by {gate.slow_by:.1%} on purpose")
    same = sum(before.source == after.source != "" for before, after in both)
    notices.append(f"{same} of {len(pairs)} rows have the same kernel source on both sides")
    return notices
