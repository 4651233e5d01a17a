"""Tables to take away: CSV and JSON inside the page, harmless in a spreadsheet."""

from __future__ import annotations

import base64

FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n")
"""what a spreadsheet may take for a formula at a cell's beginning; `report.js` writes CSV by the same rule"""


def formula_safe(value: object) -> object:
    """Text that could be a formula, behind an apostrophe."""
    return f"'{value}" if isinstance(value, str) and value[:1] in FORMULA_STARTS else value


def data_url(text: str, kind: str = "text/csv") -> str:
    return f"data:{kind};charset=utf-8;base64," + base64.b64encode(text.encode()).decode()
