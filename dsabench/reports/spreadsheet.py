"""Tables to take away: CSV inside the page, harmless in a spreadsheet."""

from __future__ import annotations

import base64


def formula_safe(value: object) -> object:
    """A spreadsheet takes text that begins with = + - @ for a formula."""
    return f"'{value}" if isinstance(value, str) and value[:1] in ("=", "+", "-", "@") else value


def data_url(csv: str) -> str:
    return "data:text/csv;charset=utf-8;base64," + base64.b64encode(csv.encode()).decode()
