"""What an export leaves behind, and how its files are written."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dsabench.bench.whole_file import write_whole


class ExportError(Exception):
    """An export that cannot be made or written; the message says why, in one line."""


@dataclass(frozen=True)
class LeftOut:
    """What the sources hold and the format cannot take; never silent. what: op, implementation and axes."""

    what: str
    reason: str


@dataclass
class Exported:
    """rows: tuned configs, traces, lines or benchmarks, as the format counts them."""

    files: list[Path] = field(default_factory=list)
    rows: int = 0
    left_out: list[LeftOut] = field(default_factory=list)


def write_file(path: Path, content: str | bytes) -> None:
    """Whole or not at all, see `write_whole`. Raises ExportError."""
    try:
        write_whole(path, content)
    except OSError as error:
        raise ExportError(f"cannot write {path}: {error.strerror or error}") from error


def json_text(document: Any) -> str:
    return json.dumps(document, indent=4, ensure_ascii=False, allow_nan=False) + "\n"
