"""`dsabench gate` as CI runs it: exit codes, files, annotations; failures of its own are INVALID."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest

from dsabench.bench.gate import self_test
from dsabench.bench.gate.records import GateResult
from tests.bench.gate.made import Made
from tests.cli import in_process
from tests.homes import own_environment
from tests.reports.journals import write_records

KINDS = Path(__file__).parent.parent / "autotune" / "inspect" / "kernels_plugin.py"
TREE_PLUGIN = Path(__file__).parent.parent / "bench" / "gate" / "tree_plugin.py"
FILES = ("gate.json", "gate.md", "gate-comment.md", "gate.xml", "gate.png")


@pytest.fixture
def home(tmp_path):
    return tmp_path


def gate(home: Path, *words: str, **variables: str):
    clean = {n: v for n, v in own_environment(home / "home").items() if not n.startswith("GITHUB_")}
    return in_process.dsabench("gate", *words, environment={**clean, **variables}, cwd=home)


@pytest.fixture(autouse=True)
def _home(home):
    (home / "home").mkdir()


def journal(home: Path, name: str, times: dict[str, float], **changes) -> str:
    made = Made(name, times, **changes).journal()
    folder = home / name
    folder.mkdir()
    write_records(folder, [*made.headers, *made.ceilings, *made.comparisons, *made.ends])
    return str(folder)


STEADY = {f"steady{i}": 1e-3 for i in range(2)}


def test_a_regression_exits_1_and_is_in_every_output(home):
    before = journal(home, "before", {**STEADY, "mine": 1e-3})
    after = journal(home, "after", {**STEADY, "mine": 1.2e-3}, sources={"mine": "bbbbbbbbbbbb"})
    done = gate(home, after, "--baseline", before, "--out", "out")
    assert done.returncode == 1, done.stderr
    assert "REGRESSED: 6 slower" in done.stdout
    assert sorted(path.name for path in (home / "out").iterdir()) == sorted(FILES)
    result = GateResult.model_validate_json((home / "out" / "gate.json").read_text())
    assert result.verdict == "REGRESSED"
    assert "SLOWER" in (home / "out" / "gate.md").read_text()
    assert int(ElementTree.parse(home / "out" / "gate.xml").getroot().get("failures", "0")) == 6


def test_no_change_exits_0_and_json_is_the_record(home):
    before, after = (journal(home, name, {**STEADY, "mine": 1e-3}) for name in ("before", "after"))
    done = gate(home, after, "--baseline", before, "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["verdict"] == "PASS"
    assert (home / "dsabench-gate" / "gate.json").exists()


def test_another_device_and_the_same_run_are_invalid(home):
    before = journal(home, "before", STEADY)
    done = gate(home, before, "--baseline", before)
    assert done.returncode == 4
    assert "compared with itself" in done.stdout


def test_a_journal_that_cannot_be_read_is_invalid_and_leaves_files(home):
    before = journal(home, "before", STEADY)
    (home / "broken.jsonl").write_text('{"kind":"header"}\n')
    done = gate(home, "broken.jsonl", "--baseline", before, "--out", "out")
    assert done.returncode == 4
    assert done.stderr.startswith("error: broken.jsonl, line 1")
    assert json.loads((home / "out" / "gate.json").read_text())["verdict"] == "INVALID"
    assert ElementTree.parse(home / "out" / "gate.xml").getroot().get("errors") == "1"


def test_an_internal_error_is_invalid_not_a_regression(home, monkeypatch):
    before, after = (journal(home, name, STEADY) for name in ("before", "after"))
    monkeypatch.setattr("dsabench.bench.gate.journals.gate_journals", lambda *_: 1 / 0)
    done = gate(home, after, "--baseline", before)
    assert done.returncode == 4
    assert "internal: ZeroDivisionError" in done.stderr


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ([], "against what?"),
        (["x"], "against what?"),
        (["--baseline", "x"], "what is to be judged?"),
        (["--baseline-ref", "a", "--static", "b"], "choose one gate"),
        (["--baseline-ref", "a", "--baseline-tree", "b"], "choose one baseline"),
        (["x", "--baseline-ref", "a"], "CANDIDATE does not go with"),
        (["--static", "b", "--passes", "3"], "--passes does not go with --static"),
        (["--self-test", "--allow-missing"], "--allow-missing does not go with --self-test"),
        (["--self-test", "--min-effect", "200%"], "min-effect must lie between"),
        (["--self-test", "--min-effect", "x"], "min-effect must lie between"),
        (["x", "--baseline", "y"], "x does not exist"),
        (["--baseline-ref", "no-such"], "revision"),
        (["--baseline-tree", "nowhere", "--candidate-tree", "."], "no folder"),
        (["--baseline-tree", ".", "--candidate-tree", ".", "--device", "cuda"], "device cuda"),
        (["--baseline-tree", ".", "--candidate-tree", ".", "--impl", "nobody"], "unknown implementation"),
        (["--baseline-tree", ".", "--candidate-tree", ".", "--suite", "nothing"], "unknown suite"),
        (["--baseline-tree", ".", "--candidate-tree", ".", "--budget", "soon"], "duration"),
        (["--static", "nowhere.jsonl"], "--update writes it"),
        (["--static", "nowhere.jsonl", "--update", "--op", "topk_select"], "leave out --op"),
    ],
)
def test_a_command_line_that_cannot_be_followed_is_one_line(home, words, says):
    subprocess.run(["git", "init", "-q"], cwd=home, check=True)
    done = gate(home, *words)
    assert done.returncode == 2
    assert says in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_github_gets_annotations_and_the_summary(home):
    before = journal(home, "before", {**STEADY, "mine": 1e-3})
    after = journal(home, "after", {**STEADY, "mine": 1.2e-3}, sources={"mine": "bbbbbbbbbbbb"})
    summary = home / "summary.md"
    summary.write_text("before\n")
    github = {"GITHUB_ACTIONS": "true", "GITHUB_STEP_SUMMARY": str(summary)}
    done = gate(home, after, "--baseline", before, **github)
    assert done.returncode == 1
    assert any(line.startswith("::error") for line in done.stdout.splitlines())
    assert summary.read_text().startswith("before\n")
    assert "REGRESSED" in summary.read_text()
    summary.unlink()
    assert "::error" not in gate(home, after, "--baseline", before, "--no-github", **github).stdout
    assert not summary.exists()


def test_the_static_gate_writes_its_baseline_and_holds_the_kernels_to_it(home):
    words = ["--static", "base.jsonl", "--plugin", str(KINDS), "--suite", "small.toml", "--jobs", "1"]
    (home / "small.toml").write_text(
        'name = "small"\ndescription = "d"\n[[workload]]\nop = "topk_select"\nrows = 1\ns_kv = 4096\n'
    )
    only = [*words, "--op", "topk_select", "--impl", "kinds"]
    # The plugin's kernels alone: ours take minutes. So the file is written from a narrowed inspection.
    inspect = ["inspect", "--plugin", str(KINDS), "--op", "topk_select", "--impl", "kinds", "--suite", "small.toml"]
    environment = own_environment(home / "home")
    assert (
        in_process.dsabench(*inspect, "--out", "was", "--jobs", "1", environment=environment, cwd=home).returncode == 0
    )
    only[1] = "was/inspect.jsonl"
    done = gate(home, *only, "--out", "same")
    assert done.returncode == 0, done.stdout + done.stderr
    lines = (home / "was" / "inspect.jsonl").read_text().splitlines()
    better = [json.loads(line) for line in lines]
    (spilling,) = [row for row in better if row.get("config") == {"KIND": "spilling"}]
    (clean,) = [row for row in better if row.get("config") == {"KIND": "bf16"}]
    spilling.update({name: clean[name] for name in clean if name not in ("config", "is_default", "same_code_as")})
    (home / "was" / "inspect.jsonl").write_text("".join(json.dumps(row) + "\n" for row in better))
    done = gate(home, *only, "--out", "worse")
    assert done.returncode == 1, done.stdout + done.stderr
    assert "spill" in done.stdout
    done = gate(home, "was", "--baseline", "was", "--out", "files")
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture
def trees(home):
    for side in ("baseline", "candidate"):
        (home / side).mkdir()
        text = TREE_PLUGIN.read_text().replace('SIDE = "baseline"', f'SIDE = "{side}"')
        (home / side / "mine.py").write_text(text)
    return ["--suite", "tiny", "--op", "topk_select", "--plugin", "mine.py", "--device", "cpu", "--passes", "2"]


def test_two_trees_by_the_command(home, trees):
    words = ["--baseline-tree", "baseline", "--candidate-tree", "candidate", *trees]
    done = subprocess.run(
        [sys.executable, "-m", "dsabench.cli.app", "gate", *words, "--impl", "wrong", "--impl", "steady"],
        env=own_environment(home / "home"), cwd=home, capture_output=True, text=True, timeout=200,
    )  # fmt: skip
    assert done.returncode == 1, done.stdout + done.stderr
    assert "nothing was written to output" in done.stdout
    result = json.loads((home / "dsabench-gate" / "gate.json").read_text())
    assert result["mode"] == "trees"
    assert {row["impl"]: row["verdict"] for row in result["rows"]}["wrong"] == "BROKEN"


def test_the_self_test_keeps_its_runs_and_goes_on(home, trees, monkeypatch):
    monkeypatch.setattr(self_test, "SLOWED_RUNS", {})
    words = ["--self-test", "--candidate-tree", "baseline", *trees, "--impl", "steady", "--runs", "1"]
    done = gate(home, *words, "--min-effect", "90%", "--json")
    assert done.returncode == 0, done.stdout + done.stderr
    document = json.loads(done.stdout)
    assert document["calibrated"] is True
    assert [level["runs"] for level in document["levels"]] == [1]
    assert gate(home, *words).returncode == 2
    again = gate(home, *words, "--resume")
    assert again.returncode == 0
    assert "not" in again.stdout
    assert len((home / "dsabench-gate" / "self-test.jsonl").read_text().splitlines()) == 1
    assert os.environ.get("GITHUB_STEP_SUMMARY") is None
