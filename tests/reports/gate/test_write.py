"""The folder of outputs: all of them, whole, and the record can be read back."""

from __future__ import annotations

import os
from pathlib import Path
from xml.etree import ElementTree

import pytest

from dsabench.bench.gate.records import GateResult, RowVerdict
from dsabench.reports.gate.write import GateOutputError, write_outputs
from tests.reports.gate.results import result, row


def test_everything_is_written_over_what_was_there(tmp_path: Path) -> None:
    given = result([row(RowVerdict.SLOWER, 1.2, seed=i, reason="x" * 500) for i in range(200)])
    out = tmp_path / "deep" / "gate"
    out.mkdir(parents=True)
    (out / "gate.md").write_text("old")
    written = write_outputs(given, out)
    assert sorted(written) == ["gate-comment.md", "gate.json", "gate.md", "gate.png", "gate.xml"]
    assert sorted(path.name for path in out.iterdir()) == sorted(written), "nothing temporary is left"
    assert all(path == out / name and path.stat().st_mode & 0o777 == 0o644 for name, path in written.items())
    assert GateResult.model_validate_json(written["gate.json"].read_text()) == given
    assert ElementTree.parse(written["gate.xml"]).getroot().get("failures") == "200"
    summary, comment = (written[name].read_text() for name in ("gate.md", "gate-comment.md"))
    assert "left out" not in summary
    assert "left out" in comment
    assert len(comment) < 65_536


def test_a_place_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(GateOutputError, match=r"^cannot write the gate's outputs in .*file.*: [^\n]*$"):
        write_outputs(result([row()]), tmp_path / "file" / "gate")


def test_an_old_output_survives_a_failure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_outputs(result([row()]), tmp_path)
    before = (tmp_path / "gate.json").read_bytes()

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(GateOutputError, match="No space left on device"):
        write_outputs(result([row(RowVerdict.SLOWER)]), tmp_path)
    assert (tmp_path / "gate.json").read_bytes() == before
    assert not [path for path in tmp_path.iterdir() if path.suffix == ".tmp"]
