"""All of a gate's outputs as files of one folder."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from dsabench.bench.gate.records import GateResult
from dsabench.bench.whole_file import write_whole
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
        for name, text in texts.items():
            written[name] = write_whole(out / name, text)
        written["gate.png"] = write_whole(out / "gate.png", partial(write_png, result))
    except OSError as error:
        raise GateOutputError(f"cannot write the gate's outputs in {out}: {error.strerror or error}") from error
    return written
