"""One point of `compare --dense`, inside the worker: both sides built, checked, and timed in one interleaved run.

In each round, in random order, with inputs pushed out of the cache before each sample: dense as a whole, the pipeline as a whole,
the pipeline with a mark between its stages, one side a second time (how far two measurements of the same thing differ is the
point's noise), and eager torch's dense until it has had its share of the time. A side that does not fit, fails or is wrong is a gap
with its reason; the other goes on.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime

from dsabench.bench.intervals import median_interval, paired_ratio
from dsabench.bench.jobs import PipelineJob, PipelineOutcome
from dsabench.bench.pipeline.check import SideChecker
from dsabench.bench.pipeline.dense import DensePipeline, eager_dense
from dsabench.bench.pipeline.inputs import PointInputs, build_inputs
from dsabench.bench.pipeline.memory import what_fits
from dsabench.bench.pipeline.rounds import Entry, RoundPolicy, run_rounds
from dsabench.bench.pipeline.shape import Shape
from dsabench.bench.pipeline.sides import Side, Step
from dsabench.bench.pipeline.sparse import sparse_pipeline
from dsabench.bench.records import CheckRecord, Measured, PipelinePoint, Ratio, SideRecord, StageRecord, Status
from dsabench.bench.runtime import Runtime
from dsabench.bench.timing import Rotation
from dsabench.bench.trial import StageClock, Tell, TrialFailed, kernel_faults
from dsabench.bench.verdicts import noise_floor

SIDES = ("sparse", "dense", "eager")
EAGER_SHARE = 0.25
"""of the rounds' time; it stands beside dense to show that dense is no straw man, which a few rounds do"""

_NO_DENSE = "there is no dense side for it to stand beside"


def run_pipeline(job: PipelineJob, runtime: Runtime, tell: Tell) -> PipelineOutcome:
    """Raises ValueError when the job's sizes make no sense (see Shape.check); whatever a side does wrong is a gap of the point."""
    shape = Shape(job.phase, job.context, job.batch, job.queries, job.heads, job.index_heads, job.topk)
    shape.check()
    started, begin = datetime.now(UTC), time.monotonic()
    measuring = _Measuring(job, shape, runtime, tell)
    lost = False
    try:
        measuring.build()
        measuring.check()
        measuring.time()
    except _DeviceLostError as error:
        measuring.drop_all(f"the device was lost: {error}")
        lost = True
    point = measuring.point(started.isoformat(timespec="milliseconds"), lambda: time.monotonic() - begin)
    return PipelineOutcome(point, lost)


class _DeviceLostError(Exception):
    """A side took the device with it; nothing more can run in this process."""


class _Measuring:
    def __init__(self, job: PipelineJob, shape: Shape, runtime: Runtime, tell: Tell) -> None:
        self.job = job
        self.shape = shape
        self.runtime = runtime
        self.stage = StageClock(tell)
        self.gaps: dict[str, str] = dict(job.without)
        self.sides: dict[str, Side] = {}
        self.checkers: dict[str, SideChecker] = {}
        self.checks: dict[str, CheckRecord] = {}
        self.peaks: dict[str, int | None] = {}
        self.call_s: dict[str, float] = {}
        self.entries: dict[str, Entry] = {}

    def drop(self, name: str, reason: str) -> None:
        """The side becomes a gap."""
        self.gaps.setdefault(name, reason)
        self.sides.pop(name, None)
        self.checkers.pop(name, None)

    def drop_all(self, reason: str) -> None:
        for name in SIDES:
            self.drop(name, reason)

    @contextmanager
    def _attempt(self, name: str) -> Iterator[None]:
        """What fails inside costs this side, not the point."""
        try:
            yield
        except TrialFailed as failed:
            self.drop(name, f"{failed.status}: {failed.reason}")
            if failed.lost:
                raise _DeviceLostError(f"{name}: {failed.reason}") from failed

    @contextmanager
    def _launching(self, name: str) -> Iterator[None]:
        with self.stage(name), kernel_faults(self.runtime):
            yield

    def build(self) -> None:
        with self.stage("build"):
            wanted = [name for name in SIDES if name not in self.gaps]
            for name, reason in what_fits(self.shape, wanted, self.runtime.free_bytes()).items():
                self.drop(name, reason)
            inputs = self._inputs()
            if inputs.sparse is not None:
                sparse = inputs.sparse
                self._add("sparse", lambda: sparse_pipeline(sparse, self.job.topk))
            if inputs.dense is not None:
                dense = inputs.dense
                self._add("dense", lambda: DensePipeline(dense))
            if isinstance(self.sides.get("dense"), DensePipeline):
                self._add("eager", lambda: eager_dense(self.sides["dense"]))  # type: ignore[arg-type]
            else:
                self.drop("eager", _NO_DENSE)

    def _inputs(self) -> PointInputs:
        """Without the side that turns out not to fit after all; dense is the larger."""
        for name in ("dense", "sparse"):
            wanted = [side for side in ("sparse", "dense") if side not in self.gaps]
            try:
                return build_inputs(self.shape, wanted, self.job.seed, self.runtime.device)
            except Exception as error:
                fault = self.runtime.classify(error)
                if fault.status is not Status.OUT_OF_MEMORY or name not in wanted:
                    raise
                self.drop(name, f"{fault.status}: {fault.reason}, while its inputs were built")
        return PointInputs(None, None)

    def _add(self, name: str, make: Callable[[], Side]) -> None:
        if name in self.gaps:
            return
        with self._attempt(name), kernel_faults(self.runtime):
            side = make()
            self.checkers[name] = SideChecker(
                side, self.job.seed, lambda: self._launching(name), lambda: self.stage("reference")
            )
            self.sides[name] = side

    def check(self) -> None:
        for name in list(self.sides):
            if name == "eager" and not self._has_time_for_eager("dense", EAGER_SHARE):
                continue
            with self._attempt(name):
                self.checks[name] = self.checkers[name].first()
                with self._launching(name):
                    begin = time.perf_counter()
                    self.peaks[name] = self.runtime.peak_extra_bytes(self.sides[name].run)
                    self.runtime.synchronize()
                    self.call_s[name] = time.perf_counter() - begin
        if "eager" in self.sides:
            self._has_time_for_eager("eager", 1.0)

    def _has_time_for_eager(self, known: str, share: float) -> bool:
        """Whether dense is there, and three calls that take as long as `known`'s fit `share` of the rounds' time."""
        if "dense" not in self.sides:
            self.drop("eager", _NO_DENSE)
            return False
        took, most = 3 * self.call_s[known], share * self.job.time_s
        if took > most:
            self.drop(
                "eager", f"left out: three calls of {known} take {took:.3g} s, more than the {most:.3g} s there are"
            )
            return False
        self.checkers["eager"].share_reference(self.checkers["dense"])
        return True

    def time(self) -> None:
        for name in list(self.sides):
            with self._attempt(name), self._launching(name):
                self._enter(name, self.sides[name])
        twice = "sparse" if "sparse" in self.sides else "dense"
        if twice in self.sides:
            first = self.entries[twice]
            self.entries["again"] = Entry("again", twice, first.sample)
        policy = RoundPolicy(self.job.rounds, self.job.least_rounds, self.job.round_s, self.job.time_s, self.job.seed)
        run_rounds([e for e in self.entries.values() if e.side in self.sides], policy, self._measure)
        for name in list(self.sides):
            with self._attempt(name):
                self.checkers[name].last()

    def _enter(self, name: str, side: Side) -> None:
        watch = self.runtime.stopwatch(lambda copy: side.run(), Rotation(1), rotated=False, planned=False)
        watch.prepare(self.job.round_s)
        most_s = EAGER_SHARE * self.job.time_s if name == "eager" else float("inf")
        self.entries[name] = Entry(name, name, lambda: (watch.sample(),), most_s)
        if name == "sparse":
            self.entries["staged"] = Entry("staged", name, lambda: self._staged_sample(side))

    def _staged_sample(self, side: Side) -> Sequence[float]:
        """Seconds of each stage in one run, chunks of a stage together, in the order of `_stages`."""
        sums: dict[str, float] = {}
        times = self.runtime.stage_times([step.run for step in side.steps])
        for step, seconds in zip(side.steps, times, strict=True):
            sums[step.stage] = sums.get(step.stage, 0.0) + seconds
        return list(sums.values())

    def _measure(self, entry: Entry) -> bool:
        with self._attempt(entry.side), self._launching(entry.side):
            entry.measure(self.job.round_s)
        return entry.side in self.sides

    def point(self, started: str, duration_s: Callable[[], float]) -> PipelinePoint:
        job = self.job
        times = {name: entry.part(0) for name, entry in self.entries.items() if name != "staged"}
        speedup: Ratio | None = None
        if {"sparse", "dense"} <= self.sides.keys():
            found = paired_ratio(times["dense"], times["sparse"], job.seed)
            speedup = Ratio(ratio=found.ratio, low=found.low, high=found.high)
        again = self.entries.get("again")
        noise = 0.0
        if again is not None and again.side in self.sides:
            noise = noise_floor(paired_ratio(again.part(0), times[again.side], job.seed))
        records = {name: self._record(name, side) for name, side in self.sides.items()}
        return PipelinePoint(
            phase=job.phase,
            context=job.context,
            queries=self.shape.tokens,
            axes=self.shape.axes,
            distribution="normal",
            seed=job.seed,
            sparse=records.get("sparse"),
            dense=records.get("dense"),
            eager=records.get("eager"),
            gaps=self.gaps,
            speedup=speedup,
            noise=noise,
            started=started,
            duration_s=duration_s(),
        )

    def _record(self, name: str, side: Side) -> SideRecord:
        whole = measured(self.entries[name].part(0))
        first: dict[str, Step] = {}
        for step in side.steps:
            first.setdefault(step.stage, step)
        staged = self.entries["staged"] if name == "sparse" else self.entries[name]
        return SideRecord(
            time=whole,
            stages=[
                StageRecord(name=stage, impl=step.impl, config=step.config, time=measured(staged.part(i)))
                for i, (stage, step) in enumerate(first.items())
            ],
            kv_bytes_per_token=side.kv_bytes_per_token,
            buffer_bytes=side.buffer_bytes,
            peak_extra_bytes=self.peaks[name],
            chunks=side.chunks,
            check=self.checks[name],
        )


def measured(rounds_s: Sequence[float]) -> Measured:
    """Of one value a round."""
    low, high, _ = median_interval(rounds_s)
    return Measured(median_s=statistics.median(rounds_s), low_s=low, high_s=high, rounds_s=list(rounds_s))
