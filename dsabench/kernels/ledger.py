"""The ledger: which kernel sources ran on a GPU and were right there, and which committed journal proves it.

A kernel written for a GPU is *unverified on hardware* until `ledger.json` holds an entry with the hash of its source as it is:
an edited kernel is unverified again. Entries come from journals (`python -m dsabench.bench.ledger_update JOURNAL`), never by hand.
"""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields
from datetime import date
from pathlib import Path
from typing import Any

from dsabench.kernels.implementation import Implementation
from dsabench.kernels.source_hash import source_hash

SCHEMA = 1
LEDGER_PATH = Path(__file__).parent / "ledger.json"
UNVERIFIED = "unverified on hardware"
_HASH = re.compile(r"[0-9a-f]{12}")


class LedgerError(ValueError):
    """A ledger that does not say what it must; the message names the file, the entry and the field."""


@dataclass(frozen=True)
class Verification:
    """One proof. source: hash of the kernel's source; device: the GPU's name, as its driver gives it; date: of the run, ISO 8601;
    journal: path in the repository, under results/; versions: of the packages that compiled and launched the kernel."""

    source: str
    op: str
    impl: str
    device: str
    date: str
    journal: str
    versions: dict[str, str]


def needs_hardware(implementation: Implementation) -> bool:
    """Whether only a GPU can prove it. A kernel with a plan is compiled for one, even where an emulation makes the CPU the device
    of this process; one that takes CPU tensors as it is has been run."""
    return implementation.plan is not None or implementation.emulated() or "cpu" not in implementation.device_types


def verified_on(op: str, impl: str) -> tuple[Verification, ...]:
    """The proofs of an implementation's source as it is now, newest first. Raises LedgerError on a malformed ledger."""
    entries = _entries(LEDGER_PATH)
    named = [e for e in entries if (e.op, e.impl) == (op, impl)]
    if not named:
        return ()
    current = source_hash(op, impl)
    return tuple(sorted((e for e in named if e.source == current), key=lambda e: e.date, reverse=True))


def hardware_note(op: str, impl: str) -> str:
    """`unverified on hardware`, or where and when the source was proved and by which journal; for kernels that
    `needs_hardware`. Raises LedgerError."""
    proofs = verified_on(op, impl)
    if not proofs:
        return UNVERIFIED
    return "verified on " + "; ".join(f"{p.device} ({p.date}, {p.journal})" for p in proofs)


@functools.cache
def _entries(path: Path) -> tuple[Verification, ...]:
    return read_ledger(path)


def read_ledger(path: Path) -> tuple[Verification, ...]:
    """All entries of a ledger file. Raises LedgerError when it cannot be read, has an unknown or missing field, a value of a wrong
    type or form, or an entry twice."""
    try:
        document = json.loads(path.read_text())
    except (OSError, json.JSONDecodeError) as error:
        raise LedgerError(f"ledger {path} cannot be read: {error}") from error
    if not isinstance(document, dict) or set(document) != {"schema", "entries"} or document["schema"] != SCHEMA:
        raise LedgerError(f'ledger {path} must be {{"schema": {SCHEMA}, "entries": [...]}}')
    if not isinstance(document["entries"], list):
        raise LedgerError(f"ledger {path}: entries must be a list, got {document['entries']!r}")
    entries = tuple(_entry(raw, f"ledger {path}, entry {n}") for n, raw in enumerate(document["entries"], start=1))
    for number, entry in enumerate(entries, start=1):
        if entry in entries[: number - 1]:
            raise LedgerError(f"ledger {path}, entry {number} stands there twice")
    return entries


def write_ledger(path: Path, entries: Iterable[Verification]) -> None:
    """Writes a ledger that `read_ledger` reads; entries in the order of op, implementation, date."""
    ordered = sorted(entries, key=lambda e: (e.op, e.impl, e.date, e.device, e.source))
    path.write_text(json.dumps({"schema": SCHEMA, "entries": [asdict(e) for e in ordered]}, indent=2) + "\n")


def _entry(raw: Any, where: str) -> Verification:
    known = [field.name for field in fields(Verification)]
    if not isinstance(raw, dict):
        raise LedgerError(f"{where}: must be an object, got {raw!r}")
    for name in [*(n for n in known if n not in raw), *(n for n in raw if n not in known)]:
        raise LedgerError(
            f"{where}: {'unknown' if name in raw else 'missing'} field {name!r}; fields: {', '.join(known)}"
        )
    for name in known:
        value = raw[name]
        if name == "versions":
            ok = isinstance(value, dict) and value and all(isinstance(x, str) and x for x in (*value, *value.values()))
        else:
            ok = isinstance(value, str) and bool(value.strip())
        if not ok:
            raise LedgerError(
                f"{where}: {name} = {value!r} is not {'a map of versions' if name == 'versions' else 'a text'}"
            )
    if not _HASH.fullmatch(raw["source"]):
        raise LedgerError(f"{where}: source = {raw['source']!r} is not 12 hex digits")
    try:
        if date.fromisoformat(raw["date"]).isoformat() != raw["date"]:
            raise ValueError
    except ValueError:
        raise LedgerError(f"{where}: date = {raw['date']!r} is not a date like 2026-05-31") from None
    if not re.fullmatch(r"results/(?!.*\.\.).+\.jsonl(\.gz)?", raw["journal"]):
        raise LedgerError(f"{where}: journal = {raw['journal']!r} is not a .jsonl or .jsonl.gz file under results/")
    return Verification(**raw)
