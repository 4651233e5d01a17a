"""Sizes as people write them: `4k`, `1m`. Apart from `op.py` because reports and the command line need it without torch."""

from __future__ import annotations

import re

_SIZE = re.compile(r"^(\d+)([kKmM]?)$")


def parse_size(text: str | int) -> int:
    """`4k` is 4096, `1m` is 1048576, `4096` is itself. Raises ValueError on anything else."""
    match = _SIZE.match(str(text).strip())
    if not match:
        raise ValueError(f"{text!r} is not a size; write for example 4096, 4k or 1m")
    return int(match[1]) * {"": 1, "k": 1024, "m": 1024 * 1024}[match[2].lower()]


def format_size(value: int) -> str:
    """4096 as `4k`, 1048576 as `1m`, 2119 as `2119`."""
    for unit, size in (("m", 1024 * 1024), ("k", 1024)):
        if value >= size and value % size == 0:
            return f"{value // size}{unit}"
    return str(value)
