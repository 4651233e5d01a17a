"""Whether a side computes what it should: each stage against its op's float64 reference, given what the stage before it left.

A pipeline's end cannot be compared with one computed from the beginning: which of two keys with nearly equal scores is selected is
free, and moves the output. So the indexer is checked against its reference, top-k against the scores it was given, slots against
the block table, and attention against its reference over the slots that were really selected.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass

import torch

from dsabench.bench.pipeline.sides import KernelCall, Side
from dsabench.bench.pipeline.slots import slots_of
from dsabench.bench.pipeline.sparse import Chunk, SparsePipeline
from dsabench.bench.records import CheckRecord, Status
from dsabench.bench.trial import TrialFailed
from dsabench.bench.workbench import fingerprint, is_poisoned, poison
from dsabench.kernels.op import Check, Outputs
from dsabench.kernels.workload import sample_rows

Guard = Callable[[], AbstractContextManager[None]]
"""Around what a kernel does: turns what it raises into TrialFailed."""

FIRST_FLOPS, LAST_FLOPS = 4e9, 1e9
"""What a reference may spend on each call before it is timed, and after: see `sample_rows`."""


@dataclass(frozen=True, eq=False)
class Reference:
    """The reference's outputs of a sample of an op's rows."""

    rows: torch.Tensor
    expected: Outputs


def reference_of(call: KernelCall, seed: int, flop_budget: float) -> Reference:
    """Of as many rows as `sample_rows` allows. To be computed after the call ran: see `Bench.expected`."""
    op, inputs = call.op, call.inputs
    rows = sample_rows(op.row_count(inputs), op.row_flops(inputs), seed, flop_budget)
    return Reference(rows, op.reference(inputs, rows))


def judge(stage: str, call: KernelCall, reference: Reference) -> Check:
    """Raises TrialFailed (INCORRECT), naming the stage, when the outputs break a rule of the op or cannot be compared."""
    try:
        check = call.op.check(call.inputs, call.outputs, reference.rows, reference.expected)
    except torch.OutOfMemoryError:
        raise  # no verdict on the kernel
    except (RuntimeError, ValueError, IndexError) as error:
        reason = f"{stage}: outputs cannot be compared: {type(error).__name__}: {error}"
        raise TrialFailed(Status.INCORRECT, reason) from error
    if not check.passed:
        unwritten = [n for n, t in zip(call.op.output_names, call.outputs, strict=True) if is_poisoned(t)]
        nothing = f"nothing was written to output {unwritten[0]!r}; " if unwritten else ""
        raise TrialFailed(Status.INCORRECT, f"{stage}: {nothing}{check.reason}")
    return check


class SideChecker:
    """Checks one side, and that it leaves its inputs as they were built. `guard`: around each launch; `references`: around what
    runs no kernel of ours."""

    def __init__(self, side: Side, seed: int, guard: Guard, references: Guard) -> None:
        self._side = side
        self._seed = seed
        self._guard = guard
        self._references = references
        self._prints = [fingerprint(each) for each in side.constants]
        self._dense_reference: Reference | None = None
        self._flop_budget = FIRST_FLOPS

    def share_reference(self, other: SideChecker) -> None:
        """Takes the reference of a side that computes the same on the same inputs."""
        self._dense_reference = other._dense_reference

    def first(self) -> CheckRecord:
        """Runs every step once, into poisoned buffers, each checked before the next runs. Raises TrialFailed."""
        poison(self._outputs())
        if isinstance(self._side, SparsePipeline):
            checks = self._first_sparse(self._side)
        else:
            with self._guard():
                self._side.run()
            checks = {"attention": self._judge_attention()}
        return _record(checks)

    def last(self) -> None:
        """Runs the whole into poisoned buffers, as it was timed, and checks what that left: scores of the last chunk only. Raises
        TrialFailed."""
        self._flop_budget = LAST_FLOPS
        try:
            poison(self._outputs())
            with self._guard():
                self._side.run()
            if isinstance(self._side, SparsePipeline):
                chunk = self._side.parts[-1]
                self._judge(chunk.indexer, "indexer")
                self._judge(chunk.topk, "topk")
                _judge_slots(self._side)
            self._judge_attention()
        except TrialFailed as failed:
            reason = f"right at first, wrong after it was timed: {failed.reason}"
            raise TrialFailed(failed.status, reason, failed.lost) from failed

    def _outputs(self) -> Outputs:
        """The buffers that a run writes; dense prefill's expanded keys and values are not among them."""
        side = self._side
        return side.buffers if isinstance(side, SparsePipeline) else side.attention.outputs

    def _first_sparse(self, side: SparsePipeline) -> dict[str, Check]:
        checks: dict[str, list[Check]] = {"indexer": [], "topk": []}
        for chunk in side.parts:
            poison((side.scores,))
            for stage, call in _stages(chunk):
                with self._guard():
                    call.run()
                checks[stage].append(self._judge(call, stage))
        if side.slots_step is not None:
            with self._guard():
                side.slots_step.run()
            _judge_slots(side)
        with self._guard():
            side.attention.run()
        return {stage: _merged(each) for stage, each in checks.items()} | {"attention": self._judge_attention()}

    def _judge(self, call: KernelCall, stage: str) -> Check:
        with self._references():
            self._unchanged()
            return judge(stage, call, reference_of(call, self._seed, self._flop_budget))

    def _judge_attention(self) -> Check:
        """Dense's reference stays the same; the pipeline's goes with what was selected."""
        call = self._side.attention
        with self._references():
            self._unchanged()
            if isinstance(self._side, SparsePipeline):
                return judge("attention", call, reference_of(call, self._seed, self._flop_budget))
            if self._dense_reference is None:
                self._dense_reference = reference_of(call, self._seed, self._flop_budget)
            return judge("attention", call, self._dense_reference)

    def _unchanged(self) -> None:
        for inputs, before in zip(self._side.constants, self._prints, strict=True):
            now = fingerprint(inputs)
            changed = [name for name, value in before.items() if now[name] != value]
            if changed:
                raise TrialFailed(Status.INCORRECT, f"a kernel wrote into its input {changed[0]!r}")


def _stages(chunk: Chunk) -> Iterator[tuple[str, KernelCall]]:
    yield "indexer", chunk.indexer
    yield "topk", chunk.topk


def _judge_slots(side: SparsePipeline) -> None:
    """Exact, all of them."""
    if side.paged is None:
        return
    wrong = slots_of(side.paged.positions, side.paged.block_table) != side.paged.slots
    if bool(wrong.any()):
        at = wrong.nonzero()[0].tolist()
        got = int(side.paged.slots[tuple(at)])
        position = int(side.paged.positions[tuple(at)])
        raise TrialFailed(Status.INCORRECT, f"slots: position {position} at {at} became slot {got}")


def _merged(checks: Sequence[Check]) -> Check:
    """Of the chunks of one stage, all of which passed."""
    worst: dict[str, float] = {}
    for check in checks:
        worst |= {name: max(value, worst.get(name, value)) for name, value in check.worst.items()}
    rows_checked, rows_total = (sum(getattr(c, name) for c in checks) for name in ("rows_checked", "rows_total"))
    return Check(True, rows_checked, rows_total, checks[0].rule, worst)


def _record(checks: dict[str, Check]) -> CheckRecord:
    """rows are those of the attention: one a head of a query."""
    attention = checks["attention"]
    rule = "; ".join(f"{stage}: {check.rule}" for stage, check in checks.items())
    worst: dict[str, float] = {}
    for check in checks.values():
        worst |= check.worst
    return CheckRecord(
        passed=True,
        rows_checked=attention.rows_checked,
        rows_total=attention.rows_total,
        rule=rule if len(checks) > 1 else attention.rule,
        worst=worst,
        reason="",
    )
