"""tuned.json: the winners of a run, and their way into the user's cache where the library finds them."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from filelock import FileLock

from dsabench.bench.records import Comparison, Header, Ratio
from dsabench.kernels.tuned_table import SCHEMA, entry_versions, forget, user_table_path

TABLE_NAME = "tuned.json"
Entry = dict[str, Any]


class TableError(Exception):
    """A tuned table that cannot be read or written."""


def table_entries(header: Header, comparisons: Iterable[Comparison]) -> list[Entry]:
    """One entry per (comparison, implementation); the distribution of the inputs is not part of the key, so the last
    comparison of equal axes counts."""
    entries = []
    for comparison in comparisons:
        for impl, won in comparison.winners.items():
            winner = comparison.candidates[won.winner]
            default = comparison.candidates[won.default] if won.default is not None else None
            op = comparison.workload.op
            entries.append(
                {
                    "device": header.device.key,
                    "op": op,
                    "impl": impl,
                    "axes": comparison.workload.axes,
                    "config": winner.config,
                    "source": header.sources[f"{op}/{impl}"],
                    "versions": entry_versions(header.device.key, header.versions, impl),
                    "median_s": winner.median_s,
                    "low_s": winner.low_s,
                    "high_s": winner.high_s,
                    "default_config": default.config if default else None,
                    "speedup_over_default": _triple(won.speedup_over_default),
                    "speedup_over_torch": _triple(won.speedup_over_torch),
                    "roofline_fraction": winner.roofline_fraction,
                    "ties": [comparison.candidates[i].config for i in won.ties],
                    "measured": comparison.started,
                    "commit": header.git_commit,
                }
            )
    return entries


def _triple(ratio: Ratio | None) -> list[float] | None:
    return None if ratio is None else [ratio.ratio, ratio.low, ratio.high]


def entry_key(entry: Entry) -> str:
    """Entries with equal keys replace one another."""
    return json.dumps([entry[k] for k in ("device", "op", "impl", "axes", "source", "versions")], sort_keys=True)


def read_table(path: Path) -> list[Entry]:
    """The entries of a table; none when there is no file. Raises TableError when it is not a table of this schema."""
    try:
        document = json.loads(path.read_text())
        if document["schema"] != SCHEMA:
            raise TableError(f"{path} has schema {document['schema']}, this dsabench writes {SCHEMA}")
        entries = document["entries"]
        for entry in entries:
            entry_key(entry)
    except FileNotFoundError:
        return []
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise TableError(f"{path} is not a tuned table: {type(error).__name__}: {error}") from error
    return list(entries)


def merge_table(path: Path, entries: Iterable[Entry]) -> None:
    """Puts `entries` into the table at `path`, in the place of those with the same key; the file is replaced whole.

    Raises TableError when it cannot be written or is no table.
    """
    merged = {entry_key(entry): entry for entry in [*read_table(path), *entries]}
    document = {"schema": SCHEMA, "entries": [merged[key] for key in sorted(merged)]}
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with temporary.open("w") as file:
            json.dump(document, file, indent=1)
            file.write("\n")
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise TableError(f"cannot write {path}: {error.strerror}") from error


def install(entries: list[Entry], device_key: str) -> Path:
    """Merges `entries` into the user's table of this device, alone at it for that moment; returns its path. The library finds
    them from the next look-up on. Raises TableError."""
    path = user_table_path(device_key)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(str(path) + ".lock", timeout=30):
            merge_table(path, entries)
    except OSError as error:  # filelock's Timeout is one
        raise TableError(f"cannot install the winners in {path}: {error}") from error
    forget()
    return path
