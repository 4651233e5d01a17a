"""What the parent asks of a worker process and what comes back. Plain picklable data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from dsabench.bench.effort import TimingPolicy
from dsabench.bench.messages import Failure, Ready, Stage
from dsabench.bench.records import (
    Ceilings,
    CheckRecord,
    ConfigValues,
    DeviceRecord,
    LossPoint,
    PipelinePoint,
    Status,
    Timing,
)
from dsabench.bench.selfcheck import SelfCheck
from dsabench.kernels.op import Cost
from dsabench.kernels.workload import Workload


@dataclass(frozen=True)
class DescribeJob:
    """Say what device this is."""


@dataclass(frozen=True)
class SelfCheckJob:
    """Check the measuring itself, see bench.selfcheck. Result: SelfChecks."""


@dataclass(frozen=True)
class SelfChecks:
    device: str
    checks: tuple[SelfCheck, ...]


@dataclass(frozen=True)
class CeilingsJob:
    seconds: float


@dataclass(frozen=True)
class PrepareJob:
    """Build the inputs of a workload (kept for the trials that follow)."""

    workload: Workload


@dataclass(frozen=True)
class Prepared:
    cost: Cost
    input_bytes: int
    rows_total: int
    rows_checked: int
    build_s: float


@dataclass(frozen=True)
class TrialJob:
    workload: Workload
    impl: str
    config: ConfigValues
    policy: TimingPolicy


@dataclass(frozen=True)
class TrialOutcome:
    """How a trial ended in a worker that lived to tell. `stages_s`: seconds by stage; lost: the worker can run nothing more on
    its device and is to be replaced."""

    status: Status
    reason: str = ""
    describe: str = ""
    compile_s: float | None = None
    check: CheckRecord | None = None
    timing: Timing | None = None
    warm: Timing | None = None
    peak_extra_bytes: int | None = None
    stages_s: dict[str, float] = field(default_factory=dict)
    lost: bool = False


@dataclass(frozen=True)
class CompareJob:
    """Re-time `entries` (implementation, config) interleaved; an entry may stand twice, to measure the noise."""

    workload: Workload
    entries: tuple[tuple[str, ConfigValues], ...]
    rounds: int
    least_rounds: int
    round_s: float
    time_s: float
    seed: int


@dataclass(frozen=True)
class CompareOutcome:
    """rounds_s[e][r]: seconds a call of entry `e` took in round `r`; failed[e]: why entry `e` dropped out; lost: as in
    TrialOutcome."""

    rounds_s: list[list[float]]
    failed: dict[int, str]
    lost: bool = False


@dataclass(frozen=True)
class VerifyJob:
    """Check one config on one workload, then launch it until `repeats` launches agree bit for bit."""

    workload: Workload
    impl: str
    config: ConfigValues
    repeats: int


@dataclass(frozen=True)
class VerifyOutcome:
    status: Status
    reason: str
    check: CheckRecord | None
    lost: bool = False


@dataclass(frozen=True)
class SyntheticInputs:
    """See `losses.structures.make_case`."""

    structure: str
    context: int
    queries: int
    h_q: int
    seed: int


@dataclass(frozen=True)
class DumpedInputs:
    """See `losses.dumps.load_dump`."""

    path: Path


@dataclass(frozen=True)
class LossJob:
    """What selecting each of `ks` keys loses on these inputs."""

    inputs: SyntheticInputs | DumpedInputs
    ks: tuple[int, ...]


@dataclass(frozen=True)
class LossPoints:
    """One for each of the job's ks, in their order."""

    points: tuple[LossPoint, ...]


@dataclass(frozen=True)
class PipelineJob:
    """The DSA pipeline against dense attention at one context, see bench.pipeline.measure. Result: PipelineOutcome.

    batch sequences of `queries` tokens each (decode), or one chunk of `queries` tokens (prefill, batch 1): the last of the
    context. rounds, least_rounds, time_s: see pipeline.rounds.RoundPolicy; round_s: least time of the samples of a short side in
    a round. without: sides (`sparse`, `dense`, `eager`) that are left out, and why: one that crashed the worker before.
    """

    phase: Literal["decode", "prefill"]
    context: int
    batch: int
    queries: int
    heads: int
    topk: int
    seed: int
    rounds: int
    least_rounds: int
    round_s: float
    time_s: float
    index_heads: int = 64
    without: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class PipelineOutcome:
    """lost: as in TrialOutcome."""

    point: PipelinePoint
    lost: bool = False


@dataclass(frozen=True)
class OffersJob:
    """Which implementations can run these workloads here, and with which config by default. impls: only these; empty: all that are
    no baseline. Result: Offers."""

    workloads: tuple[Workload, ...]
    impls: tuple[str, ...]


@dataclass(frozen=True)
class Offer:
    """source: hash of the implementation's source, "" where it has none."""

    workload: Workload
    impl: str
    config: ConfigValues
    source: str


@dataclass(frozen=True)
class Offers:
    """left_out: `op/impl` → why it cannot run here."""

    offers: tuple[Offer, ...]
    left_out: dict[str, str]


@dataclass(frozen=True)
class HoldJob:
    """Get one config ready to be sampled (SampleJob), in the place of what was held before.

    check: hold its outputs to the reference first; sample_s: least length of a sample; slow_by: make every call that much slower
    (relative) by work of known duration, to see whether it is found. Result: Held.
    """

    workload: Workload
    impl: str
    config: ConfigValues
    sample_s: float
    check: bool
    slow_by: float = 0.0


@dataclass(frozen=True)
class Held:
    """inputs: `workbench.fingerprint` of what it runs on; calls: that make a sample; lost: as in TrialOutcome."""

    status: Status
    reason: str
    inputs: dict[str, int]
    calls: int = 0
    lost: bool = False


@dataclass(frozen=True)
class SampleJob:
    """Time what is held: samples of `calls` calls until they last `seconds` together, at most `most`. Result: Sampled."""

    calls: int
    seconds: float
    most: int


@dataclass(frozen=True)
class Sampled:
    """seconds: of a call, the median of the samples; None where the kernel failed, for `reason`."""

    seconds: float | None
    reason: str = ""
    lost: bool = False


Job = (
    DescribeJob
    | SelfCheckJob
    | CeilingsJob
    | PrepareJob
    | TrialJob
    | CompareJob
    | VerifyJob
    | LossJob
    | PipelineJob
    | OffersJob
    | HoldJob
    | SampleJob
)
Result = (
    DeviceRecord
    | SelfChecks
    | Ceilings
    | Prepared
    | TrialOutcome
    | CompareOutcome
    | VerifyOutcome
    | LossPoints
    | PipelineOutcome
    | Offers
    | Held
    | Sampled
)
Message = Stage | Ready | Failure | Result
