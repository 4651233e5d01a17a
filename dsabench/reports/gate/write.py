"""All of a gate's outputs as files of one folder."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

from dsabench.bench.gate.records import GateResult
from dsabench.reports.gate.junit import render_junit
from dsabench.reports.gate.markdown import COMMENT_LIMIT, render_markdown
from dsabench.reports.gate.png import write_png


class GateOutputError(Exception):
    """A gate's outputs cannot be written; the message says why, in one line."""


def write_outputs(result: GateResult, out: Path) -> dict[str, Path]:
    """Writes gate.json (the record), gate.xml (JUnit), gate.md (job summary), gate-comment.md (the same for a pull-request comment,
    which holds less) and gate.png into `out`, each whole or not at all, over older ones. Returns their paths by those names.
    Raises GateOutputError."""
    texts = {
        "gate.json": result.model_dump_json(indent=1) + "\n",
        "gate.xml": render_junit(result),
        "gate.md": render_markdown(result),
        "gate-comment.md": render_markdown(result, COMMENT_LIMIT),
    }
    written = {}
    try:
        out.mkdir(parents=True, exist_ok=True)
        for name, text in texts.items():
            written[name] = _replace(out / name, partial(_write_text, text))
        written["gate.png"] = _replace(out / "gate.png", partial(write_png, result))
    except OSError as error:
        raise GateOutputError(f"cannot write the gate's outputs in {out}: {error.strerror or error}") from error
    return written


def _write_text(text: str, path: Path) -> None:
    path.write_text(text, encoding="utf-8")


def _replace(path: Path, write: Callable[[Path], None]) -> Path:
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=".", suffix=".tmp")
    os.close(descriptor)
    temporary = Path(name)
    try:
        write(temporary)
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
    return path
