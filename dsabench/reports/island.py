"""Tables that the page's script draws: their cells as JSON inside the page, a column at a time."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from markupsafe import Markup

from dsabench.reports.spreadsheet import formula_safe


@dataclass(frozen=True)
class Column:
    """One column of a drawn table; `key` names it in what is taken away, `label` at its head.

    kind      `text`, `status`, `count` (a number as it is), `size` (4096 as 4k), `seconds` or `share` (of 1, shown in percent)
    values    a text or number a row, None where there is none
    filter    a list of its values stands above the table
    interval  keys of the columns that hold the interval of this one; it is shown below the value
    hidden    only in what is taken away
    """

    key: str
    label: str
    kind: Literal["text", "status", "count", "size", "seconds", "share"]
    values: Sequence[str | float | None]
    filter: bool = False
    interval: tuple[str, str] | None = None
    hidden: bool = False

    def document(self) -> dict[str, Any]:
        """Texts are kept once each: a table names the same few implementations and reasons over and over."""
        document: dict[str, Any] = {"key": self.key, "label": self.label, "kind": self.kind}
        document |= {name: value for name in ("filter", "interval", "hidden") if (value := getattr(self, name))}
        if self.kind not in ("text", "status"):
            return document | {"rows": [_rounded(value) for value in self.values]}
        places: dict[str, int] = {}
        rows = [places.setdefault(str(value or ""), len(places)) for value in self.values]
        return document | {"rows": rows, "texts": list(places)}


def _rounded(value: str | float | None) -> float | int | None:
    """Six digits: more than any of them was measured to."""
    if value is None or isinstance(value, str) or not math.isfinite(value):
        return None
    return value if isinstance(value, int) else float(f"{value:.6g}")


def island(columns: Sequence[Column]) -> Markup:
    """For a `<script type="application/json">`. Nothing that a journal says can end the element or open a comment in it."""
    text = json.dumps([column.document() for column in columns], separators=(",", ":"), allow_nan=False)
    for sign in "<>&":
        text = text.replace(sign, f"\\u{ord(sign):04x}")
    return Markup(text)


def columns_csv(columns: Sequence[Column]) -> str:
    """What the script saves as CSV, for those who do not run it."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow([column.key for column in columns])
    for row in zip(*(column.values for column in columns), strict=True):
        writer.writerow([formula_safe(value) if isinstance(value, str) else _rounded(value) for value in row])
    return buffer.getvalue()
