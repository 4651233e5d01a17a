"""What inspecting a config finds, as strict records: the lines of inspect.jsonl and the rows of `inspect --json`.

Here and not beside the inspector (`autotune.inspect`): reports and gates read them.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, Literal

from pydantic import Field

from dsabench.bench.records import ConfigValues, Record

SCHEMA_VERSION = 1


class Outcome(StrEnum):
    """How compiling a config ended; each but COMPILED carries its reason."""

    COMPILED = "COMPILED"
    COMPILE_ERROR = "COMPILE_ERROR"
    CRASHED = "CRASHED"
    TIMEOUT = "TIMEOUT"
    OUT_OF_MEMORY = "OUT_OF_MEMORY"


class Flag(StrEnum):
    """What is wrong with a config's machine code, worst first. `cannot launch` is a fact of the hardware's limits; the rest cost
    time, how much only a GPU says."""

    CANNOT_LAUNCH = "cannot launch"
    FP8_FELL_BACK = "fp8 product fell back"
    SPILLS_IN_LOOP = "spills in the main loop"
    SERIALIZED = "wgmma serialized"
    NO_TENSOR_CORE = "product without tensor cores"
    MMA_SYNC = "mma.sync instead of wgmma"
    REPEATED = "tensor cores repeat work"
    SPILLS = "spills outside the main loop"
    ONE_BLOCK = "one block an SM"


POINTLESS = (Flag.FP8_FELL_BACK, Flag.SPILLS_IN_LOOP, Flag.SERIALIZED)
"""Flags of configs that launch and still need no trial."""

OutcomeField = Annotated[Outcome, Field(strict=False)]
FlagField = Annotated[Flag, Field(strict=False)]


@dataclass(frozen=True)
class ConfigId:
    """One config of one implementation on one workload. axes, config: (name, value) pairs in their declared order."""

    op: str
    impl: str
    axes: tuple[tuple[str, int], ...]
    config: tuple[tuple[str, bool | int | str], ...]


class SpanRecord(Record):
    """Counts over a stretch of SASS, each instruction once."""

    instructions: int
    sass: dict[str, int]
    """by family (`HGMMA`, `LDGSTS`, …); those of the issue's list also where there are none"""
    products: dict[str, int]
    """tensor-core instructions by shape, e.g. `HGMMA.64x128x16.F32.BF16`"""
    loaded_bytes: int | None = None
    """that a block's threads ask of global memory (LDG, LDGSTS), lanes that are masked off included; TMA's are not in the code.
    None in files of versions that did not count them, as in the next"""
    shared_bytes: int | None = None
    """that a block moves through shared and local memory: loads, stores, copies, operands of products; not what TMA writes"""


class ProductRecord(Record):
    """Tensor-core FLOPs of one block: what the source's `tl.dot` ask for and what the instructions issue, see
    `autotune.inspect.products`."""

    in_loop: bool
    """one trip of the main loop; false: the whole kernel, each instruction once"""
    trips: int
    """trips of the source's loop that one trip of the machine's loop makes"""
    useful_flops: int
    issued_flops: int
    fp8_useful_flops: int
    fp8_issued_flops: int
    warps: int | None = None
    """of a block, that issue these products; None: all. This and the next two as the author states them"""
    tile_flops: int | None = None
    """with what other warps' loops multiply for the same tile; None: useful_flops"""
    rows: int | None = None
    """of the op, for which a tile's keys are fetched once; None: not stated"""

    @property
    def useful_fraction(self) -> float | None:
        """None when nothing is issued: the product runs without tensor cores."""
        return self.useful_flops / self.issued_flops if self.issued_flops else None


class RoleRecord(Record):
    """A loop that warps of a block run beside the main loop: other consumers, or producers when it holds no products."""

    warps: int
    loop: SpanRecord


class CodeRecord(Record):
    """One kernel as compiled: independent of its grid, and what the cache keeps."""

    kernel: str
    num_warps: int
    num_stages: int
    ptx: str
    """12 hex digits of the PTX's hash (without line information)"""
    registers: int
    """of a thread"""
    local_bytes: int
    """local memory of a thread: room for spilled registers"""
    spill_store_bytes: int
    spill_load_bytes: int
    """bytes a thread stores and loads by spilling, each instruction once"""
    shared_bytes: int
    """of a block"""
    whole: SpanRecord
    loop: SpanRecord | None
    """the main loop: the one with most tensor-core instructions, else the longest innermost one"""
    roles: list[RoleRecord] = Field(default_factory=list)
    """of a warp-specialized kernel: the loops of other warps. The bytes of `whole` and `loop` are then of the main loop's warps"""
    products: ProductRecord | None
    serialized: bool
    """ptxas says that wgmma instructions wait for one another"""
    losses: list[str]
    """all of ptxas's performance warnings"""
    compile_s: float
    """source to cubin, in a process that has the compiler loaded"""


class LaunchRecord(Record):
    """One launch of a config."""

    code: CodeRecord
    grid: list[int]
    blocks_per_sm: int
    warps_per_sm: int
    limited_by: Literal["blocks", "warps", "registers", "shared memory"]
    """what allows no more blocks on an SM"""
    cannot_launch: str
    """why the driver would refuse it; empty when it would not"""


class Inspection(Record):
    """One config of one implementation on one workload, compiled and read. Nothing here was run.

    registers, spill_bytes, local_bytes, shared_bytes, blocks_per_sm and useful_fraction are the worst of its launches, sass and
    compile_s their sum; null when it did not compile.
    """

    kind: Literal["inspection"] = "inspection"
    op: str
    impl: str
    axes: dict[str, int]
    config: ConfigValues
    is_default: bool
    outcome: OutcomeField
    reason: str
    """why it did not compile"""
    output: str
    """the end of what a failed compile printed"""
    can_launch: bool | None
    cannot_launch: str
    flags: list[FlagField]
    registers: int | None
    spill_bytes: int | None
    """spill stores and loads of a thread, each instruction once"""
    local_bytes: int | None
    shared_bytes: int | None
    blocks_per_sm: int | None
    useful_fraction: float | None
    """useful / issued tensor-core FLOPs in the main loop; null without products or without tensor cores"""
    sass: dict[str, int] | None
    compile_s: float | None
    launches: list[LaunchRecord]
    same_code_as: ConfigValues | None
    """the first config of this workload with the same PTX, launch by launch; null for that one itself"""
    predicted_s: float | None = None
    """seconds of a call, predicted by `autotune.predict` for the header's `predicted_for`; no fact of the machine code and no
    measurement. null when it cannot launch or its op's ordinary inputs are not known"""

    @property
    def id(self) -> ConfigId:
        return ConfigId(self.op, self.impl, tuple(self.axes.items()), tuple(self.config.items()))

    @property
    def code_identity(self) -> tuple[tuple[str, str], ...]:
        """Kernel and PTX of each launch; empty when it did not compile. Configs with the same run the same machine code."""
        return tuple((launch.code.kernel, launch.code.ptx) for launch in self.launches)

    @property
    def prune_reason(self) -> str | None:
        """Why a tuner need not try this config on a GPU: it cannot compile or launch, or its main loop spills, falls back from
        fp8 or serializes its products. None when it should be tried."""
        if self.outcome != Outcome.COMPILED:
            return f"does not compile: {self.reason}"
        if self.cannot_launch:
            return f"cannot launch: {self.cannot_launch}"
        return ", ".join(flag for flag in self.flags if flag in POINTLESS) or None


class SourceRecord(Record):
    source: str
    """hash of the kernel's source; empty for a plugin"""
    hardware: str
    """`unverified on hardware`, or where this source was run and right"""


class InspectHeader(Record):
    kind: Literal["header"] = "header"
    schema_version: int = SCHEMA_VERSION
    started: str
    """ISO 8601, UTC"""
    command: str
    arch: str
    versions: dict[str, str]
    """dsabench, triton, ptxas, cuobjdump, nvdisasm, and nvrtc and tilelang where they are"""
    git_commit: str
    suite: str
    sources: dict[str, SourceRecord]
    """by `op/impl`"""
    predicted_for: str | None = None
    """the chip of the predicted times and where its figures come from"""


AnyInspectRecord = Annotated[InspectHeader | Inspection, Field(discriminator="kind")]
