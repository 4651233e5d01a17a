"""The facts that the static gate judges, and the small file of them that is committed as a baseline.

A line each for the header, an implementation's source and a config, sorted and without times, so that a diff shows what changed and
nothing else; a key that is not there has its default. The hash of the PTX is left out: every edit of a kernel would touch each of its
lines.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, TypeAdapter, ValidationError

from dsabench.bench.inspection_file import InspectionFileError, Inspections, read_inspections
from dsabench.bench.inspection_records import CodeRecord, ConfigId, Inspection, LaunchRecord, Outcome, OutcomeField
from dsabench.bench.records import ConfigValues, Record
from dsabench.bench.whole_file import write_whole

SCHEMA_VERSION = 1
_BEGINS = b'{"kind":"static"'


class StaticHeader(Record):
    kind: Literal["static"]
    schema_version: int
    arch: str
    suite: str
    versions: dict[str, str]
    """dsabench, triton, ptxas, cuobjdump, nvdisasm, and nvrtc and tilelang where they are"""
    started: str
    """of the inspection, ISO 8601, UTC"""
    git_commit: str


class StaticSource(Record):
    kind: Literal["source"]
    name: str
    """`op/impl`"""
    source: str
    """hash of the kernel's source; empty for a plugin"""


class StaticProducts(Record):
    """Tensor-core FLOPs of a block in one trip of the source's main loop (or in the whole kernel), see `ProductRecord`."""

    useful: int
    issued: int
    families: list[str]
    """of the instructions: `HGMMA`, `QGMMA`, `HMMA` …, sorted"""
    fp8_useful: int = 0
    fp8_issued: int = 0


class StaticLaunch(Record):
    kernel: str
    registers: int
    """of a thread"""
    shared_bytes: int
    """of a block"""
    blocks_per_sm: int
    warps_per_sm: int
    spill_bytes: int = 0
    """stores and loads of a thread, each instruction once"""
    loop_spills: int = 0
    """instructions of the main loop that load or store local memory"""
    serialized: bool = False
    products: StaticProducts | None = None


class StaticConfig(Record):
    kind: Literal["config"]
    op: str
    impl: str
    axes: dict[str, int]
    config: ConfigValues
    is_default: bool = False
    outcome: OutcomeField = Outcome.COMPILED
    reason: str = ""
    """why it did not compile, or why the driver would refuse it"""
    launches: list[StaticLaunch] = Field(default_factory=list)

    @property
    def id(self) -> ConfigId:
        return ConfigId(self.op, self.impl, tuple(self.axes.items()), tuple(self.config.items()))

    @property
    def runs(self) -> bool:
        """It compiled, and the driver would take it."""
        return not self.reason


AnyStaticRecord = Annotated[StaticHeader | StaticSource | StaticConfig, Field(discriminator="kind")]
_adapter: TypeAdapter[AnyStaticRecord] = TypeAdapter(AnyStaticRecord)


@dataclass(frozen=True)
class StaticSide:
    """name: the file, or what else it comes from; sources: hash by `op/impl`; configs in the file's order."""

    name: str
    header: StaticHeader
    sources: dict[str, str]
    configs: tuple[StaticConfig, ...]

    def only(self, ops: Sequence[str], impls: Sequence[str]) -> StaticSide:
        """Narrowed to these; empty: all."""
        kept = [c for c in self.configs if (not ops or c.op in ops) and (not impls or c.impl in impls)]
        return replace(self, configs=tuple(kept))


def static_side(inspections: Inspections, name: str = "inspect") -> StaticSide:
    """The judged facts of an inspection, in the order of the file."""
    header = inspections.header
    return StaticSide(
        name=name,
        header=StaticHeader(
            kind="static",
            schema_version=SCHEMA_VERSION,
            arch=header.arch,
            suite=header.suite,
            versions=header.versions,
            started=header.started,
            git_commit=header.git_commit,
        ),
        sources={who: record.source for who, record in sorted(header.sources.items())},
        configs=tuple(sorted(map(_config, inspections.configs), key=_place)),
    )


def write_static(path: Path, side: StaticSide) -> None:
    """Writes the baseline whole or not at all. Raises InspectionFileError."""
    sources = [StaticSource(kind="source", name=name, source=source) for name, source in side.sources.items()]
    text = "".join(
        record.model_dump_json(exclude_defaults=True) + "\n" for record in (side.header, *sources, *side.configs)
    )
    try:
        write_whole(path, text)
    except OSError as error:
        raise InspectionFileError(f"cannot write {path}: {error.strerror}") from error


def read_static(path: Path) -> StaticSide:
    """A baseline that `write_static` wrote, or what `dsabench inspect --out` wrote (the file, or its folder). Raises
    InspectionFileError when it is missing, of another schema, or malformed."""
    if path.is_dir():
        return static_side(read_inspections(path), str(path))
    try:
        lines = path.read_bytes().splitlines()
    except OSError as error:
        raise InspectionFileError(f"cannot read {path}: {error.strerror}") from error
    if not lines or not lines[0].startswith(_BEGINS):
        return static_side(read_inspections(path), str(path))
    records = []
    for number, line in enumerate(lines, start=1):
        try:
            records.append(_adapter.validate_json(line))
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(str(part) for part in first["loc"])
            raise InspectionFileError(f"{path}, line {number}: {where or 'not JSON'}: {first['msg']}") from error
    header = records[0]
    assert isinstance(header, StaticHeader)
    if header.schema_version != SCHEMA_VERSION:
        raise InspectionFileError(
            f"{path}: schema version {header.schema_version}; this dsabench reads {SCHEMA_VERSION}"
        )
    return StaticSide(
        name=str(path),
        header=header,
        sources={r.name: r.source for r in records if isinstance(r, StaticSource)},
        configs=tuple(r for r in records if isinstance(r, StaticConfig)),
    )


def _config(inspection: Inspection) -> StaticConfig:
    return StaticConfig(
        kind="config",
        op=inspection.op,
        impl=inspection.impl,
        axes=inspection.axes,
        config=inspection.config,
        is_default=inspection.is_default,
        outcome=inspection.outcome,
        reason=inspection.reason or inspection.cannot_launch,
        launches=[_launch(launch) for launch in inspection.launches],
    )


def _launch(launch: LaunchRecord) -> StaticLaunch:
    code = launch.code
    return StaticLaunch(
        kernel=code.kernel,
        registers=code.registers,
        shared_bytes=code.shared_bytes,
        spill_bytes=code.spill_store_bytes + code.spill_load_bytes,
        loop_spills=code.loop.sass["LDL"] + code.loop.sass["STL"] if code.loop else 0,
        blocks_per_sm=launch.blocks_per_sm,
        warps_per_sm=launch.warps_per_sm,
        serialized=code.serialized,
        products=_products(code),
    )


def _products(code: CodeRecord) -> StaticProducts | None:
    found = code.products
    if found is None:
        return None
    span = code.loop if found.in_loop and code.loop is not None else code.whole
    return StaticProducts(
        useful=found.useful_flops // found.trips,
        issued=found.issued_flops // found.trips,
        families=sorted({opcode.partition(".")[0] for opcode in span.products}),
        fp8_useful=found.fp8_useful_flops // found.trips,
        fp8_issued=found.fp8_issued_flops // found.trips,
    )


def _place(config: StaticConfig) -> tuple[object, ...]:
    """Numbers by size; a tunable's values may be of several types."""
    values = [(name, isinstance(value, str), value) for name, value in config.config.items()]
    return config.op, config.impl, list(config.axes.items()), values
