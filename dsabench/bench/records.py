"""The journal's records: one JSON object a line, each with `kind`. Strict: an unknown or missing key is an error.

A journal is: header, ceilings, then workload, trial and comparison records (of `compare --dense`: pipeline and loss records) as
they happen, and an end record per run.
A resumed run appends a new header (same device and sources) and goes on. Times are seconds, sizes bytes, rates per second.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

SCHEMA_VERSION = 1

ConfigValues = dict[str, bool | int | str]
DeviceType = Literal["cpu", "cuda"]


class Record(BaseModel):
    """Strict and frozen. Infinities and NaN have no JSON form and are refused."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True, allow_inf_nan=False)


class Status(StrEnum):
    """How a trial ended; each but PASSED carries its reason."""

    PASSED = "PASSED"
    INCORRECT = "INCORRECT"
    PRUNED = "PRUNED"
    COMPILE_ERROR = "COMPILE_ERROR"
    LAUNCH_ERROR = "LAUNCH_ERROR"
    CRASHED = "CRASHED"
    TIMEOUT = "TIMEOUT"
    OUT_OF_MEMORY = "OUT_OF_MEMORY"
    IMPOSSIBLE = "IMPOSSIBLE"


StatusField = Annotated[Status, Field(strict=False)]


class DeviceRecord(Record):
    """What the trials ran on. `key` names devices whose results may be mixed; the rest is provenance."""

    type: DeviceType
    key: str
    """e.g. `cpu-amd-epyc-f25m17-2c-avx512_bf16`"""
    name: str
    cores: int
    """logical CPUs this process may use (CPU), streaming multiprocessors (GPU)"""
    isa: list[str]
    """instruction-set extensions the kernels look at, in the order of `kernels.cpu.isa`; the compute capability on a GPU"""
    memory_bytes: int
    last_level_cache_bytes: int
    threads: int
    """threads a trial may use"""
    details: dict[str, str]
    """everything else worth knowing: governor, driver, power limit, hostname-free"""


class Header(Record):
    kind: Literal["header"] = "header"
    schema_version: int = SCHEMA_VERSION
    run_id: str
    started: str
    """ISO 8601, UTC"""
    command: str
    device: DeviceRecord
    versions: dict[str, str]
    """python, dsabench, torch, numba, numpy, llvmlite …"""
    git_commit: str
    """of the source tree, with `-dirty`; `unknown` outside a checkout"""
    sources: dict[str, str]
    """`op/impl` → source hash"""
    suite: str
    strategy: str
    effort: str
    seed: int
    budget_s: float | None
    timing_policy: dict[str, str]
    """how a trial is timed, in words, by item"""


class Rate(Record):
    """One measured ceiling: the best of `n` samples, their median, and how it was measured."""

    value: float
    median: float
    n: int
    method: str


class VendorFigures(Record):
    """What the vendor says of this chip, dense: leads to stand beside the measured ceilings, never used for a bound."""

    chip: str
    bandwidth: float
    """of memory, bytes a second"""
    product: dict[str, float]
    """by dtype, FLOP a second"""


class Ceilings(Record):
    kind: Literal["ceilings"] = "ceilings"
    bandwidth: dict[str, Rate]
    """`copy`, `read`: bytes a second, from memory"""
    product: dict[str, Rate]
    """`bf16`, `f32` (`bf16`, `fp8` on a GPU): FLOP a second"""
    gather: dict[str, Rate] = {}
    """`656`, `1152`: bytes a second of rows of so many bytes, gathered at random from a table that fits the last-level cache;
    no bound on compulsory bytes, which come from memory"""
    vendor: VendorFigures | None = None


class WorkloadId(Record):
    """Names a workload inside other records."""

    key: str
    op: str
    axes: dict[str, int]
    distribution: str
    seed: int


class Roofline(Record):
    """The least time the ceilings allow: max(flops / product rate, compulsory bytes / bandwidth)."""

    bound_s: float
    limit: Literal["compute", "memory"]
    product: str | None
    """the ceiling used for the products, e.g. `bf16`"""
    bandwidth: str
    intensity: float
    """flops per compulsory byte"""


class WorkloadRecord(Record):
    """Written once when a workload's inputs are built."""

    kind: Literal["workload"] = "workload"
    workload: WorkloadId
    flops: int
    compulsory_bytes: int
    gather_bytes: int
    product_dtype: Literal["fp8", "bf16"] | None = None
    """the narrowest dtype in which the op's products may run; None without products"""
    input_bytes: int
    roofline: Roofline
    rows_total: int
    rows_checked: int
    """rows the reference computes; a seeded sample when fewer than `rows_total`"""
    build_s: float


class CheckRecord(Record):
    passed: bool
    rows_checked: int
    rows_total: int
    rule: str
    worst: dict[str, float]
    reason: str


class Spread(Record):
    """Lowest, median and highest of what was read."""

    low: float
    median: float
    high: float


class Conditions(Record):
    """The GPU's state while a config was timed, read through NVML between its samples."""

    readings: int
    sm_mhz: Spread | None
    """None where the driver does not tell"""
    memory_mhz: Spread | None
    power_w: Spread | None
    temperature_c: Spread | None
    throttled: dict[str, int]
    """samples taken while the driver named this reason for holding the clock down; they are kept among the others"""
    regime: Literal["burst", "sustained"]
    """sustained: the GPU had been kept at work for a second or longer before the first sample"""


class Timing(Record):
    """A summary of all samples of one config; a sample is the mean of `calls_per_sample` calls."""

    median_s: float
    low_s: float
    """lower end of the median's interval"""
    high_s: float
    confidence: float
    """e.g. 0.95; the interval is distribution-free (order statistics of the binomial)"""
    min_s: float
    p10_s: float
    p90_s: float
    n: int
    calls_per_sample: int
    warmup_calls: int
    input_copies: int
    """distinct copies of the inputs the calls rotate through"""
    flush_bytes: int = 0
    """bytes streamed before each sample to push the inputs out of the cache; 0 where rotating the copies does that"""
    clock: Literal["wall", "process", "cuda_events", "cuda_graph"]
    stopped_by: Literal["interval", "time", "samples"]
    samples_s: list[float]
    """the samples in the order measured, at most 200 (evenly thinned)"""
    inputs: Literal["cold", "warm"] = "cold"
    """cold: what a call reads was not left in the cache by an earlier one"""
    host_bound: int = 0
    """samples in which the GPU waited for the host, so that they time the host too"""
    conditions: Conditions | None = None
    """None on a CPU and where NVML is missing"""


class Trial(Record):
    """One config of one implementation on one workload, measured once with some effort."""

    kind: Literal["trial"] = "trial"
    number: int
    op: str
    impl: str
    workload: WorkloadId
    config: ConfigValues
    is_default: bool
    source: str
    """source hash"""
    rung: int
    """0 = full effort; 1, 2, … = the cheaper rungs of successive halving, 1 the cheapest"""
    status: StatusField
    reason: str
    describe: str
    """what really ran: products, instruction set, threads"""
    compile_s: float | None
    """the first call, in which the kernel is compiled or loaded; None when it never ran"""
    check: CheckRecord | None
    timing: Timing | None
    warm: Timing | None = None
    """the same with the inputs left in the cache by the call before; GPU only, and never what decides"""
    roofline_fraction: float | None
    """bound_s / median_s"""
    predicted_s: float | None = None
    """a prediction made before the trial, from machine code and ceilings (`autotune.predict`); never a measurement"""
    peak_extra_bytes: int | None
    """high-water mark of the process's resident memory during a call, less what it was before; None where unreadable"""
    started: str
    duration_s: float


class Ratio(Record):
    """A ratio of medians with its interval (paired bootstrap over interleaved rounds)."""

    ratio: float
    low: float
    high: float


class Candidate(Record):
    """One config in an interleaved comparison; `rounds_s[i]` is its median in round i."""

    impl: str
    config: ConfigValues
    is_default: bool
    median_s: float
    low_s: float
    high_s: float
    n: int
    rounds_s: list[float]
    roofline_fraction: float


class ImplWinner(Record):
    """The outcome for one implementation in a comparison. Indices point into `candidates`."""

    winner: int
    ties: list[int]
    """others whose ratio to the winner has an interval containing 1 or a gap within the noise floor"""
    default: int | None
    """None when the default config did not pass"""
    speedup_over_default: Ratio | None
    """default time / winner time; 1 exactly when the default won; None when the default did not pass"""
    speedup_over_torch: Ratio | None
    """time of the `torch` implementation's default config / winner time; None when it did not pass"""


class PairRecord(Record):
    """What one candidate of a comparison is against another. Indices point into `candidates`."""

    first: int
    second: int
    ratio: Ratio | None
    """time of `first` / time of `second`; None without enough rounds"""
    verdict: Literal["faster", "slower", "tie", "too few"]
    """of `first` against `second`"""


class Comparison(Record):
    """Configs of several implementations on one workload, re-timed interleaved in one run: the best few of each (`tune`), or one of
    each (`compare`)."""

    kind: Literal["comparison"] = "comparison"
    workload: WorkloadId
    candidates: list[Candidate]
    winners: dict[str, ImplWinner]
    """by implementation"""
    best_impl: str
    best_is_tie: bool
    """true when another implementation's winner is within the noise"""
    noise: float
    """relative half-width below which two configs of this comparison count as equal"""
    pairs: list[PairRecord] = []
    """every pair of candidates, where implementations were compared (`dsabench compare`)"""
    started: str
    duration_s: float


class Measured(Record):
    """One thing timed in the interleaved rounds of a pipeline point; `rounds_s[i]` is its median in round i."""

    median_s: float
    low_s: float
    high_s: float
    rounds_s: list[float]


class StageRecord(Record):
    """One step of a side. name: `indexer`, `topk`, `slots` (positions to cache slots) or `attention`."""

    name: str
    impl: str
    config: ConfigValues
    time: Measured


class SideRecord(Record):
    """One way to compute the attention of a layer: the DSA pipeline, or dense."""

    time: Measured
    """the whole, without marks between its stages"""
    stages: list[StageRecord]
    """each as timed inside the whole, in samples of their own; one for dense"""
    kv_bytes_per_token: int
    """of the caches that live on between calls, a layer"""
    buffer_bytes: int
    """allocated once, before anything is timed: scores, indices, outputs; in dense prefill also the keys and values of all heads,
    which a layer expands from the cache's latents for the call"""
    peak_extra_bytes: int | None
    """what a call needs beyond caches and buffers, at its highest; None where unreadable"""
    chunks: int
    """pieces that the queries are cut into, so that the score matrix stays bounded"""
    check: CheckRecord


class PipelinePoint(Record):
    """The DSA pipeline against dense attention at one context length, timed in one interleaved run on the same inputs."""

    kind: Literal["pipeline"] = "pipeline"
    phase: Literal["decode", "prefill"]
    context: int
    """keys that the last query may see"""
    queries: int
    """tokens whose attention one call computes: sequences × tokens a step (decode), the chunk's tokens (prefill)"""
    axes: dict[str, int]
    """b, s_q, h_q, index_heads, topk, page"""
    distribution: str
    seed: int
    sparse: SideRecord | None
    dense: SideRecord | None
    eager: SideRecord | None
    """dense in eager torch: what the dense side itself is to be measured against"""
    gaps: dict[str, str]
    """by side: why it is missing"""
    speedup: Ratio | None
    """dense time / sparse time"""
    noise: float
    """relative: how far two measurements of the same side differed in these rounds"""
    started: str
    duration_s: float


class LossPoint(Record):
    """What selecting k keys loses on one kind of input. Spreads are over queries."""

    kind: Literal["loss"] = "loss"
    structure: str
    """`spread`, `concentrated`, `needles`, `near_ties`; or the name of a file of real inputs"""
    synthetic: bool
    context: int
    k: int
    queries: int
    h_q: int
    recall: Spread
    """share of the exact (float64) indexer's top-k that the FP8 indexer's holds"""
    mass: Spread
    """share of dense attention's weight, mean over heads, on the keys that the FP8 indexer selects"""
    mass_exact: Spread
    """the same for the exact indexer's selection"""
    mass_best: Spread
    """the same for the k keys of the greatest weight: no selection can keep more"""
    error: Spread
    """‖sparse − dense‖ / ‖dense‖ of a query's output over all heads: our sparse kernel, bf16, on the FP8 indexer's selection,
    against float64"""
    row_cosine: Spread
    """1 − 2⟨x, y⟩/(‖x‖² + ‖y‖²) of the same"""
    seed: int
    """of synthetic inputs, else 0"""


class End(Record):
    kind: Literal["end"] = "end"
    reason: Literal["complete", "budget", "interrupted", "error"]
    detail: str
    ended: str
    wall_s: float
    skipped: list[str]
    """what was planned and not done, by name; never silent"""


AnyRecord = Annotated[
    Header | Ceilings | WorkloadRecord | Trial | Comparison | PipelinePoint | LossPoint | End,
    Field(discriminator="kind"),
]
