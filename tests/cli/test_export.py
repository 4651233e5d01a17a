"""`dsabench export`: what it writes where, what it prints and how it fails."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from dsabench.cli.app import run
from dsabench.reports.export import tuned
from tests.reports.journals import JournalBuilder

FORMATS = ("serving", "flashinfer", "csv", "benchmark")


@pytest.fixture
def journal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    JournalBuilder(ops=("topk_select",), contexts=(256,)).write(tmp_path / "mine")
    return tmp_path / "mine"


@pytest.mark.parametrize(
    ("format", "rows", "left_out"), [("serving", 2, 0), ("flashinfer", 2, 0), ("csv", 14, 0), ("benchmark", 2, 12)]
)
def test_json_names_every_file_written(
    journal: Path, capsys: pytest.CaptureFixture[str], format: str, rows: int, left_out: int
) -> None:
    """The journal's header announces six more ops of two implementations, which no run reached."""
    assert run(["export", str(journal), "--format", format, "--json"]) == 0
    out, err = capsys.readouterr()
    document = json.loads(out)
    assert err == ""
    assert set(document) == {"schema", "command", "format", "out", "files", "rows", "left_out"}
    assert (document["schema"], document["command"], document["format"]) == (1, "export", format)
    written = {str(path) for path in Path("dsabench-export").rglob("*") if path.is_file()}
    assert set(document["files"]) == written
    assert (document["rows"], len(document["left_out"])) == (rows, left_out)
    assert all(set(each) == {"what", "reason"} for each in document["left_out"])


@pytest.mark.parametrize(
    ("words", "file"),
    [
        (["csv"], "dsabench-export/csv/winners.csv"),
        (["csv", "--trials"], "dsabench-export/csv/trials.csv"),
        (["csv", "--out", "a/b.csv"], "a/b.csv"),
        (["csv", "--out", "a"], "a/winners.csv"),
        (["benchmark", "--out", "c.json"], "c.json"),
        (["benchmark", "--out", "v1.0"], "v1.0/benchmark.json"),
    ],
)
def test_where(journal: Path, words: list[str], file: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["export", str(journal / "journal.jsonl"), "--format", *words]) == 0
    assert Path(file).is_file()
    assert f"in 1 file: {file}" in capsys.readouterr().out


def test_one_journal_named_twice_counts_once(journal: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["export", str(journal), str(journal / "journal.jsonl"), "--format", "csv", "--trials", "--out", "t.csv"]
    assert run(words) == 0
    assert capsys.readouterr().out.startswith("27 rows")


def test_says_what_is_left_out(journal: Path, capsys: pytest.CaptureFixture[str]) -> None:
    JournalBuilder(ops=("topk_select",), contexts=(256,), compare=False).write(journal.parent / "unconfirmed")
    words = ["export", str(journal), str(journal.parent / "unconfirmed"), "--format", "serving"]
    assert run(words) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("2 tuned configs in 4 files")
    assert [line.rpartition(": ")[2] for line in lines[1:]] == ["no config of it was re-timed interleaved"] * 2


def test_serving_without_a_source_is_of_this_device(
    journal: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from dsabench.bench.journal import read_journal

    found = tuned.tuned_of_journals([read_journal(journal)])[0]
    monkeypatch.setattr(tuned, "this_device", lambda: ("A CPU", "cpu-a"))
    monkeypatch.setattr(
        tuned, "tuned_of_tables", lambda name, key: (found, []) if (name, key) == ("A CPU", "cpu-a") else ([], [])
    )
    assert run(["export", "--format", "serving", "--out", "here"]) == 0
    assert "2 tuned configs" in capsys.readouterr().out


def test_a_device_without_a_table_is_one_line(
    journal: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tuned, "this_device", lambda: ("A CPU", "cpu-nobody-has"))
    assert run(["export", "--format", "serving"]) == 1
    assert "nothing to export" in capsys.readouterr().err


def test_nothing_but_what_is_left_out_says_why(journal: Path, capsys: pytest.CaptureFixture[str]) -> None:
    JournalBuilder(ops=("topk_select",), contexts=(256,), compare=False).write(journal.parent / "unconfirmed")
    assert run(["export", str(journal.parent / "unconfirmed"), "--format", "serving"]) == 1
    err = capsys.readouterr().err
    assert "no config of it was re-timed interleaved (and 1 more)" in err
    assert err.count("\n") == 1


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["{dir}/mine"], 2, "--format serving|flashinfer|csv|benchmark"),
        (["{dir}/mine", "--format", "xml"], 2, "xml"),
        (["--format", "csv"], 2, "needs a SOURCE"),
        (["{dir}/nowhere", "--format", "csv"], 2, "does not exist"),
        (["{dir}", "--format", "csv"], 2, "holds no journal.jsonl"),
        (["{dir}/mine", "--format", "serving", "--trials"], 2, "--trials is for --format csv"),
        (["{dir}/mine", "--format", "csv", "--also-for", "X"], 2, "--also-for is for --format serving"),
        (["{dir}/mine", "--format", "csv", "--largest", "1k"], 2, "--largest is for --format flashinfer"),
        (["{dir}/mine", "--format", "flashinfer", "--largest", "much"], 2, "--largest: 'much' is not a size"),
        (["{dir}/mine", "--format", "serving", "--out", "{dir}/mine/journal.jsonl"], 2, "is a file"),
        (["{dir}/mine", "--format", "csv", "--out", "{dir}/mine/journal.jsonl/x.csv"], 1, "cannot write"),
        (["{dir}/mine", "--format", "serving", "--out", "{dir}/mine/journal.jsonl/x"], 1, "cannot write"),
        (["{dir}/mine", "--format", "flashinfer", "--out", "{dir}/mine/journal.jsonl/x"], 1, "cannot write"),
        (["{dir}/empty.jsonl", "--format", "csv"], 1, "holds no whole line"),
    ],
)
def test_errors_are_one_line(
    journal: Path, capsys: pytest.CaptureFixture[str], words: list[str], code: int, message: str
) -> None:
    (journal.parent / "empty.jsonl").write_text("")
    before = sorted(journal.parent.rglob("*"))
    assert run(["export", *(word.format(dir=journal.parent) for word in words)]) == code
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("error: ")
    assert err.count("\n") == 1
    assert message in err
    assert sorted(journal.parent.rglob("*")) == before


def test_help_has_an_example_of_each_format(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["export", "--help"]) == 0
    shown = capsys.readouterr().out
    assert all(f"--format {format}" in shown for format in FORMATS)
