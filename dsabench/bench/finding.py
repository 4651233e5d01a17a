"""One fact of the machine that `dsabench doctor` tells."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

State = Literal["ok", "note", "missing"]


@dataclass(frozen=True)
class Finding:
    """state: ok, note (works, but know this) or missing (something cannot run; `advice` says what would help)."""

    subject: str
    state: State
    text: str
    advice: str = ""
