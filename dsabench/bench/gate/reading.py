"""A journal read for the gate: without the trials that a comparison stands for, which of a long search are nearly all."""

from __future__ import annotations

import re
from pathlib import Path

from dsabench.bench.journal import Journal, collection_paused, journal_at, parse_line, whole_lines
from dsabench.bench.records import Comparison

_TRIAL = re.compile(
    rb'\{"kind":"trial","number":\d+,"op":"([^"\\]+)","impl":"([^"\\]+)","workload":\{"key":"([^"\\]+)",'
)
_OF_DEFAULT = b'"is_default":true'


def read_for_gate(path: Path) -> Journal:
    """As `read_journal`, but `trials` lacks those of an implementation that has a place in a comparison of the workload; its default
    config's stay. What is left out is known by the line's beginning and not parsed (100,000 trials: 0.4 s instead of 2.2 s); every
    other line is read as strictly. Raises JournalError."""
    journal = journal_at(path)
    compared: set[tuple[bytes, bytes]] = set()  # (workload, implementation)
    waiting: dict[tuple[bytes, bytes], list[tuple[int, bytes]]] = {}
    kept: list[tuple[int, bytes]] = []
    with collection_paused():
        for number, line in whole_lines(journal):
            begins = _TRIAL.match(line)
            if begins is None:
                record = parse_line(journal, number, line)
                journal.add(record)
                if isinstance(record, Comparison):
                    # A comparison comes after the trials that it stands for: what waits never grows to the whole journal.
                    for impl in record.winners:
                        place = (record.workload.key.encode(), impl.encode())
                        compared.add(place)
                        waiting.pop(place, None)
                continue
            place = (begins[3], begins[2])
            if _OF_DEFAULT in line:
                kept.append((number, line))
            elif place not in compared:
                waiting.setdefault(place, []).append((number, line))
        for number, line in sorted(kept + [each for lines in waiting.values() for each in lines]):
            journal.add(parse_line(journal, number, line))
    return journal
