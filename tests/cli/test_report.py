"""`dsabench report`: what it prints and how it fails."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from dsabench.cli.app import run
from tests.reports.journals import JournalBuilder


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    JournalBuilder(ops=("topk_select",), contexts=(4096,)).write(tmp_path / "mine")
    return tmp_path / "mine"


def test_writes_beside_the_journal_and_prints_where(journal: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["report", str(journal)]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    assert out.startswith("27 trials (")
    assert str(journal / "report.html") in out
    assert (journal / "report.html").stat().st_size > 10_000
    assert (journal / "plots" / "roofline.png").is_file()


def test_json_is_one_document_and_nothing_else(journal: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out_dir = journal.parent / "elsewhere"
    assert run(["report", str(journal), "--out", str(out_dir), "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert set(document) == {"schema", "report", "plots", "trials", "by_status", "inspected", "points"}
    assert document["schema"] == 1
    assert document["report"] == str(out_dir / "report.html")
    assert [Path(path).name for path in document["plots"]] == [
        "roofline.png",
        "latency.png",
        "speedup.png",
        "search.png",
    ]
    assert all(Path(path).is_file() for path in document["plots"])
    assert document["trials"] == 27 == sum(document["by_status"].values())


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["{dir}/nowhere"], 2, "does not exist"),
        (["{dir}"], 2, "holds no journal.jsonl"),
        (["{dir}/mine", "{dir}/mine"], 2, "--out"),
        (["{dir}/mine", "--out", "{dir}/mine/journal.jsonl/x"], 1, "cannot write the report in"),
        ([], 2, "DIR"),
        (["{dir}/mine", "--wat"], 2, "--wat"),
    ],
)
def test_errors_are_one_line(
    journal: Path, capsys: pytest.CaptureFixture[str], words: list[str], code: int, message: str
) -> None:
    assert run(["report", *(word.format(dir=journal.parent) for word in words)]) == code
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("error: ")
    assert err.count("\n") == 1
    assert message in err


def test_malformed_line_is_named(journal: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = journal / "journal.jsonl"
    lines = path.read_text().splitlines()
    lines[2] = "{}"
    path.write_text("\n".join(lines) + "\n")
    assert run(["report", str(journal)]) == 1
    err = capsys.readouterr().err
    assert "journal.jsonl, line 3" in err
    assert err.count("\n") == 1
    assert not (journal / "report.html").exists()


def test_help_has_examples(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["report", "--help"]) == 0
    assert "dsabench report runs/mine --json" in capsys.readouterr().out


def test_reporting_imports_no_torch(journal: Path) -> None:
    code = (
        "import sys; from dsabench.cli.app import run; "
        f"assert run(['report', {str(journal)!r}]) == 0; assert 'torch' not in sys.modules; assert 'numba' not in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
