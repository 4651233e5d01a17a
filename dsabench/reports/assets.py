"""The page's style and script: the package's own files, which stand in it as they are."""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass
from importlib.resources import files

from markupsafe import Markup

STYLES = ("report.css", "analysis.css")
SCRIPT = "report.js"


@dataclass(frozen=True)
class Assets:
    """Not to be escaped: `>` is a combinator in one and a comparison in the other. `script_hash` is what the page's policy allows to
    run, and nothing else."""

    style: Markup
    script: Markup
    script_hash: str


def assets() -> Assets:
    folder = files("dsabench.reports") / "templates"
    script = (folder / SCRIPT).read_text(encoding="utf-8")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    style = "".join((folder / name).read_text(encoding="utf-8") for name in STYLES)
    return Assets(Markup(style), Markup(script), f"sha256-{digest}")
