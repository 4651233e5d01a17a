"""The append-only journal of a run: written a whole line at a time and flushed to disk, read strictly."""

from __future__ import annotations

import contextlib
import gc
import gzip
import io
import os
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, cast

from pydantic import TypeAdapter, ValidationError

from dsabench.bench.records import (
    SCHEMA_VERSION,
    AnyRecord,
    Ceilings,
    CheckRecord,
    Comparison,
    End,
    Header,
    LossPoint,
    PipelinePoint,
    Record,
    Timing,
    Trial,
    WorkloadId,
    WorkloadRecord,
)

JOURNAL_NAME = "journal.jsonl"
PACKED_NAME = f"{JOURNAL_NAME}.gz"
_adapter: TypeAdapter[AnyRecord] = TypeAdapter(AnyRecord)
_NAMES = {model: set(model.model_fields) for model in (Trial, CheckRecord, Timing)}


class JournalError(Exception):
    """A journal that cannot be read, written or continued; the message names the file and, where there is one, the line."""


@dataclass
class Journal:
    """A journal's records by kind, in the order written. `torn` says that the last line was cut off and left out."""

    path: Path
    headers: list[Header] = field(default_factory=list)
    ceilings: list[Ceilings] = field(default_factory=list)
    workloads: dict[str, WorkloadRecord] = field(default_factory=dict)
    trials: list[Trial] = field(default_factory=list)
    comparisons: list[Comparison] = field(default_factory=list)
    pipelines: list[PipelinePoint] = field(default_factory=list)
    losses: list[LossPoint] = field(default_factory=list)
    ends: list[End] = field(default_factory=list)
    torn: bool = False
    whole_bytes: int = 0
    """length of the file up to and including its last whole line"""

    @property
    def header(self) -> Header:
        return self.headers[0]

    def add(self, record: AnyRecord) -> None:
        match record:
            case Header():
                self.headers.append(record)
            case Ceilings():
                self.ceilings.append(record)
            case WorkloadRecord():
                self.workloads[record.workload.key] = record
            case Trial():
                self.trials.append(record)
            case Comparison():
                self.comparisons.append(record)
            case PipelinePoint():
                self.pipelines.append(record)
            case LossPoint():
                self.losses.append(record)
            case End():
                self.ends.append(record)


def read_journal(path: Path) -> Journal:
    """A journal, the one in a folder, or one compressed to .gz. Raises JournalError when the file is missing, empty, of another
    schema, or malformed anywhere but in a torn last line (one without its newline: the process died while writing it)."""
    journal = journal_at(path)
    share = _Sharing()
    with collection_paused():
        for number, line in whole_lines(journal):
            record = parse_line(journal, number, line)
            journal.add(share.trial(record) if isinstance(record, Trial) else record)
    return journal


def journal_at(path: Path) -> Journal:
    """An empty journal of that file, or of the one in that folder: compressed where there is only that."""
    if path.is_dir():
        plain, packed = path / JOURNAL_NAME, path / PACKED_NAME
        path = packed if packed.exists() and not plain.exists() else plain
    return Journal(path)


def whole_lines(journal: Journal) -> Iterator[tuple[int, bytes]]:
    """Its file's lines, numbered from 1, without their newlines; sets `torn` and `whole_bytes`. Raises JournalError when the file
    cannot be read or holds none."""
    path = journal.path
    number = 0
    try:
        with _opened(path) as file:
            for number, line in enumerate(file, start=1):
                if not line.endswith(b"\n"):
                    journal.torn = True
                    number -= 1
                    break
                journal.whole_bytes += len(line)
                yield number, line[:-1]
    except (OSError, EOFError, zlib.error) as error:  # a file that is no whole gzip file has no strerror
        raise JournalError(f"cannot read journal {path}: {getattr(error, 'strerror', None) or error}") from error
    if not number:
        raise JournalError(f"{path} holds no whole line: nothing was measured")


def _opened(path: Path) -> BinaryIO:
    if path.suffix != ".gz":
        return path.open("rb", buffering=1 << 20)
    return cast(BinaryIO, io.BufferedReader(gzip.open(path), 1 << 20))


def parse_line(journal: Journal, number: int, line: bytes) -> AnyRecord:
    """The record of a line. Raises JournalError when it is malformed, of another schema, or the first and no header."""
    try:
        record = _adapter.validate_json(line)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise JournalError(f"{journal.path}, line {number}: {where or 'not JSON'}: {first['msg']}") from error
    if isinstance(record, Header) and record.schema_version != SCHEMA_VERSION:
        raise JournalError(
            f"{journal.path}, line {number}: schema version {record.schema_version}; this dsabench reads {SCHEMA_VERSION}"
        )
    if number == 1 and not isinstance(record, Header):
        raise JournalError(f"{journal.path}, line 1: a journal begins with its header, found {record.kind!r}")
    return record


@contextlib.contextmanager
def collection_paused() -> Iterator[None]:
    """Without the garbage collector. Records hold no cycles, and it walks all of them over and over while more are read: 100,000
    trials took 6.5 s, and take 1.2 s without it."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


class _Sharing:
    """What many trials hold alike, held once. 100,000 trials take 220 MB instead of 700, most of it the sets in which pydantic notes,
    record by record, which fields were given."""

    def __init__(self) -> None:
        self._workloads: dict[str, WorkloadId] = {}
        self._rules: dict[str, str] = {}

    def trial(self, trial: Trial) -> Trial:
        """The same trial."""
        workload = self._workloads.setdefault(trial.workload.key, trial.workload)
        if workload == trial.workload:
            trial.__dict__["workload"] = workload
        if trial.check is not None:
            trial.check.__dict__["rule"] = self._rules.setdefault(trial.check.rule, trial.check.rule)
        for record in (trial, trial.check, trial.timing):
            if record is not None:
                object.__setattr__(record, "__pydantic_fields_set__", _NAMES[type(record)])
        return trial


def refuse_existing(path: Path) -> None:
    """Raises JournalError when there is a journal already: a run of its own would mix with it."""
    if path.exists():
        raise JournalError(f"{path} exists; use --resume to go on with it or choose another --out")


class JournalWriter:
    """Appends records. Each line is written in one call and synced before `write` returns, so that kill -9 at any moment
    loses at most the line being written."""

    def __init__(self, path: Path, *, resume_at: int | None = None) -> None:
        """Creates `path`, or with `resume_at` cuts an existing file to that many bytes (dropping a torn line) and appends.
        Raises JournalError when the file exists (without `resume_at`) or cannot be written."""
        self.path = path
        flags = os.O_WRONLY | os.O_APPEND | (os.O_CREAT | os.O_EXCL if resume_at is None else 0)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._fd = os.open(path, flags, 0o644)
            if resume_at is not None:
                os.ftruncate(self._fd, resume_at)
        except FileExistsError:
            refuse_existing(path)
            raise
        except OSError as error:
            raise JournalError(f"cannot write journal {path}: {error.strerror}") from error

    def write(self, record: Record) -> None:
        """Raises JournalError when the disk refuses the line; what was written before stays, and the torn piece is cut."""
        line = record.model_dump_json().encode() + b"\n"
        size = os.fstat(self._fd).st_size
        try:
            written = os.write(self._fd, line)
            if written != len(line):
                raise OSError(28, "No space left on device")
            os.fsync(self._fd)
        except OSError as error:
            os.ftruncate(self._fd, size)
            raise JournalError(
                f"cannot write to journal {self.path}: {error.strerror}; what it holds is whole"
            ) from error

    def close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def __enter__(self) -> JournalWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
