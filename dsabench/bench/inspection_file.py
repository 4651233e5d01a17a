"""inspect.jsonl: a header, then one line for each config, in the order of the grid."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from dsabench.bench.inspection_records import SCHEMA_VERSION, AnyInspectRecord, InspectHeader, Inspection
from dsabench.bench.whole_file import write_whole

RESULTS_NAME = "inspect.jsonl"
_adapter: TypeAdapter[AnyInspectRecord] = TypeAdapter(AnyInspectRecord)


class InspectionFileError(Exception):
    """A file that cannot be written, read or understood; the message names it and the line."""


@dataclass(frozen=True)
class Inspections:
    header: InspectHeader
    configs: tuple[Inspection, ...]


def write_inspections(folder: Path, header: InspectHeader, inspections: Sequence[Inspection]) -> Path:
    """Writes `folder`/inspect.jsonl whole or not at all, over an older one: everything in it can be made again. Raises
    InspectionFileError."""
    path = folder / RESULTS_NAME
    text = "".join(record.model_dump_json() + "\n" for record in (header, *inspections))
    try:
        return write_whole(path, text)
    except OSError as error:
        raise InspectionFileError(f"cannot write {path}: {error.strerror}") from error


def read_inspections(path: Path) -> Inspections:
    """Reads a file that `write_inspections` wrote, or the one in a folder. Raises InspectionFileError when it is missing, of another
    schema, or malformed."""
    if path.is_dir():
        path = path / RESULTS_NAME
    try:
        lines = path.read_bytes().splitlines()
    except OSError as error:
        raise InspectionFileError(f"cannot read {path}: {error.strerror}") from error
    records = []
    for number, line in enumerate(lines, start=1):
        try:
            records.append(_adapter.validate_json(line))
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(str(part) for part in first["loc"])
            raise InspectionFileError(f"{path}, line {number}: {where or 'not JSON'}: {first['msg']}") from error
    if not records or not isinstance(records[0], InspectHeader):
        raise InspectionFileError(f"{path} does not begin with a header")
    header = records[0]
    if header.schema_version != SCHEMA_VERSION:
        raise InspectionFileError(
            f"{path}: schema version {header.schema_version}; this dsabench reads {SCHEMA_VERSION}"
        )
    return Inspections(header, tuple(record for record in records[1:] if isinstance(record, Inspection)))
