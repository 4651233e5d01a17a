"""`dsabench compare --dense` as a user runs it: on the real CPU, real interruptions, each bad input. Whole processes where one is
killed or interrupted, and once for the exit code."""

from __future__ import annotations

import csv
import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
import torch
from safetensors.torch import save_file

from dsabench.autotune.run_records import run_header
from dsabench.bench.device import cpu_device
from dsabench.bench.journal import read_journal
from tests.cli import in_process
from tests.homes import own_environment

SMALL = ["--dense", "--heads", "8", "--topk", "64", "--device", "cpu"]


def start(home: Path, *words: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "dsabench.cli.app", "compare", *words],
        env=own_environment(home),
        cwd=home,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def compare(home: Path, *words: str) -> tuple[int, str, str]:
    done = in_process.dsabench("compare", *words, environment=own_environment(home), cwd=home)
    return done.returncode, done.stdout, done.stderr


def write_dump(path: Path, context: int = 256) -> None:
    save_file(
        {
            "q": torch.randn(4, 8, 576).bfloat16(),
            "kv": (torch.randn(context, 576) / 10).bfloat16(),
            "index_q": torch.randn(4, 64, 128),
            "index_k": torch.randn(context, 128),
            "index_weights": torch.rand(4, 64),
        },
        path,
    )


@pytest.fixture(scope="module")
def decode(tmp_path_factory):
    """Three contexts, every structure and a dump of real inputs."""
    home = tmp_path_factory.mktemp("decode")
    write_dump(home / "layer.safetensors")
    process = start(
        home, *SMALL, "--context", "256,512,1k", "--budget", "150s", "--seed", "3", "--out", "out", "--json",
        "--inputs", "layer.safetensors", "--gpu-hour-usd", "36", "--other-ms", "0.5",
    )  # fmt: skip
    out, err = process.communicate(timeout=200)
    assert process.returncode == 0, err
    return home / "out", json.loads(out), err


def test_the_document_holds_a_row_for_each_context(decode):
    _out, document, _err = decode
    assert (document["schema"], document["command"], document["mode"]) == (1, "compare", "dense")
    assert document["end"] == "complete"
    assert document["skipped"] == []
    assert (document["phase"], document["contexts"], document["topk"], document["heads"]) == (
        "decode",
        [256, 512, 1024],
        64,
        8,
    )
    assert [row["context"] for row in document["rows"]] == [256, 512, 1024]
    for row in document["rows"]:
        assert row["phase"] == "decode"
        assert row["gaps"] == {}
        assert row["dense_low_ms"] <= row["dense_ms"] <= row["dense_high_ms"]
        assert row["speedup"] == pytest.approx(row["dense_ms"] / row["sparse_ms"])
        assert {"indexer", "topk", "attention"} <= set(row["stages_ms"])
        assert row["eager_ms"] > 0
        assert row["dense_rows_checked"] > 0
        assert row["sparse_rows_checked"] > 0


def test_caches_take_what_the_model_says(decode):
    _out, document, _err = decode
    assert (document["memory"]["dense"], document["memory"]["sparse"]) == (1152, 788)
    assert document["memory"]["saving"] == pytest.approx(0.316, abs=5e-4)


def test_cost_is_of_the_price_given(decode):
    _out, document, _err = decode
    row = document["rows"][0]
    # 61 layers, $36 an hour is a cent a second
    assert row["dense_usd"] == pytest.approx((row["dense_ms"] + 0.5) * 1e-3 * 61 * 0.01 * 1e6)
    assert document["cost"]["published"] == {
        "dense": 2.20, "sparse": 0.25, "context": 131072, "machine": "H800 at $2 per GPU-hour",
    }  # fmt: skip
    assert any("plus 0.5 ms of all else" in line for line in document["summary"])


def test_crossover_and_growth_are_of_the_contexts_measured(decode):
    _out, document, _err = decode
    assert set(document["crossover"]["winners"]) == {"256", "512", "1024"}
    assert document["crossover"]["words"] in document["summary"][0]
    for crossing in document["crossover"]["crossings"]:
        assert 256 <= crossing["low"] <= crossing["length"] <= crossing["high"] <= 1024
    growth = {each["curve"]: each for each in document["growth"]}
    assert {"dense", "sparse", "indexer", "topk", "attention"} <= set(growth)
    assert growth["dense"]["lengths"] == [256, 512, 1024]
    assert (
        growth["dense"]["overall"]["low"] <= growth["dense"]["overall"]["value"] <= growth["dense"]["overall"]["high"]
    )
    assert {each["per"] for each in document["growth"]} == {"token"}


def test_losses_are_of_every_structure_and_of_the_dump(decode):
    _out, document, _err = decode
    found = {(loss["structure"], loss["k"]) for loss in document["losses"]}
    synthetic = {"spread", "concentrated", "needles", "near_ties"}
    assert {(s, k) for s in synthetic for k in (64, 256, 512)} <= found
    assert ("layer.safetensors", 64) in found
    assert {loss["synthetic"] for loss in document["losses"] if loss["structure"] == "layer.safetensors"} == {False}
    for loss in document["losses"]:
        assert 0 <= loss["mass"]["low"] <= loss["mass"]["median"] <= loss["mass_best"]["high"] + 1e-6 <= 1 + 2e-6


def test_the_journal_holds_what_the_document_tells(decode):
    out, document, _err = decode
    journal = read_journal(out)
    assert [p.context for p in journal.pipelines] == [256, 512, 1024]
    assert len(journal.losses) == len(document["losses"])
    assert journal.ends[-1].reason == "complete"
    assert journal.header.suite == "decode 256,512,1k b=1 s_q=1 h_q=8 topk=64"
    assert "sparse_mla_decode/cpu" in journal.header.sources
    assert journal.header.seed == 3


def test_csv_stands_beside_the_journal(decode):
    out, document, _err = decode
    rows = list(csv.DictReader((out / "rows.csv").open()))
    assert [int(row["context"]) for row in rows] == [256, 512, 1024]
    assert float(rows[0]["dense_ms"]) == pytest.approx(document["rows"][0]["dense_ms"])
    assert float(rows[0]["indexer_ms"]) == pytest.approx(document["rows"][0]["stages_ms"]["indexer"])
    losses = list(csv.DictReader((out / "losses.csv").open()))
    assert len(losses) == len(document["losses"])
    assert {"structure", "k", "recall_median", "mass_low", "error_high"} <= set(losses[0])


def test_a_report_is_written(decode):
    out, document, _err = decode
    assert document["report"] == "out/report.html"
    assert (out / "report.html").stat().st_size > 10_000


def test_progress_goes_to_stderr_with_json(decode):
    _out, _document, err = decode
    assert "decode at 1K: dense " in err


def test_a_second_run_into_the_same_directory_is_refused(decode):
    out, _document, _err = decode
    before = (out / "journal.jsonl").read_bytes()
    code, stdout, err = compare(out.parent, *SMALL, "--context", "256", "--out", "out")
    assert (code, stdout) == (1, "")
    (line,) = err.splitlines()
    assert "journal.jsonl exists; use --resume" in line
    assert (out / "journal.jsonl").read_bytes() == before


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--context", "256,512,2k"], "its suite is"),
        (["--seed", "4"], "its seed is 3"),
        (["--topk", "32"], "its suite is"),
    ],
)
def test_a_journal_of_something_else_is_not_resumed_and_not_touched(decode, words, message):
    out, _document, _err = decode
    before = (out / "journal.jsonl").read_bytes()
    code, _stdout, err = compare(out.parent, "--dense", "--out", "out", "--resume", "--device", "cpu", *words)
    assert code == 1
    (line,) = err.splitlines()
    assert "cannot resume" in line
    assert message in line
    assert (out / "journal.jsonl").read_bytes() == before


def test_prefill_prints_the_answer_in_words(tmp_path):
    code, out, err = compare(
        tmp_path,
        *SMALL,
        "--phase",
        "prefill",
        "--queries",
        "16",
        "--context",
        "128,512",
        "--no-losses",
        "--budget",
        "100s",
    )
    assert code == 0, err
    assert "prefill at 512: dense " in out
    assert "published for prefill at 128K: $0.19 against $0.66" in out
    assert "on average over a prompt of that length" in out
    assert "FP8 selection" not in out
    assert "rows: dsabench-compare/rows.csv" in out
    journal = read_journal(tmp_path / "dsabench-compare")
    assert [(p.phase, p.queries) for p in journal.pipelines] == [("prefill", 16)] * 2
    assert journal.losses == []


def wait_for(path: Path, kind: str, count: int, process: subprocess.Popen[str]) -> None:
    end = time.monotonic() + 120
    while time.monotonic() < end:
        if path.is_file() and path.read_bytes().count(f'"kind":"{kind}"'.encode()) >= count:
            return
        assert process.poll() is None, process.communicate()
        time.sleep(0.02)
    process.kill()
    pytest.fail(f"{count} records of kind {kind} did not appear")


def test_killed_then_interrupted_then_finished_without_a_point_repeated_or_lost(tmp_path):
    path = tmp_path / "out" / "journal.jsonl"
    going_on = ("--dense", "--out", "out", "--device", "cpu", "--budget", "150s")

    killed = start(tmp_path, *going_on, "--context", "256,512", "--heads", "8", "--topk", "32", "--seed", "5")
    wait_for(path, "pipeline", 1, killed)
    workers = psutil.Process(killed.pid).children(recursive=True)
    killed.kill()
    killed.communicate()
    _, alive = psutil.wait_procs(workers, timeout=10)
    assert not alive, "a worker outlived its parent"
    with path.open("ab") as file:
        file.write(b'{"kind":"pipeline","phase":"dec')  # as if killed in the middle of a line
    first = read_journal(path)
    assert first.torn

    interrupted = start(tmp_path, *going_on, "--resume")
    wait_for(path, "loss", 1, interrupted)
    interrupted.send_signal(signal.SIGTERM)
    out, err = interrupted.communicate(timeout=60)
    assert interrupted.returncode == 130, err
    assert "interrupted: dsabench compare --dense --out out --resume goes on" in out
    second = read_journal(path)
    assert not second.torn
    assert second.ends[-1].reason == "interrupted"
    assert second.pipelines[: len(first.pipelines)] == first.pipelines

    code, _out, err = compare(tmp_path, *going_on, "--resume")
    assert code == 0, err
    third = read_journal(path)
    assert third.ends[-1].reason == "complete"
    assert [p.context for p in third.pipelines] == [256, 512], "each once"
    assert {p.seed for p in third.pipelines} == {5}, "left open: as it was"
    losses = [(p.structure, p.k) for p in third.losses]
    assert len(losses) == len(set(losses)) == 4 * 2
    assert third.losses[: len(second.losses)] == second.losses
    assert {h.suite for h in third.headers} == {"decode 256,512 b=1 s_q=1 h_q=8 topk=32"}


def test_a_worker_that_is_killed_costs_its_side_or_context_and_the_run_goes_on(tmp_path):
    path = tmp_path / "out" / "journal.jsonl"
    running = start(tmp_path, *SMALL, "--context", "256,512", "--no-losses", "--budget", "150s", "--out", "out")
    wait_for(path, "pipeline", 1, running)
    (worker,) = (p for p in psutil.Process(running.pid).children() if "spawn_main" in " ".join(p.cmdline()))
    worker.kill()
    out, err = running.communicate(timeout=150)
    assert running.returncode == 0, err
    journal = read_journal(tmp_path / "out")
    assert [p.context for p in journal.pipelines] == [256, 512]
    assert journal.ends[-1].reason == "complete"
    (gaps,) = (p.gaps for p in journal.pipelines if any("the worker crashed" in reason for reason in p.gaps.values()))
    (reason,) = {reason for reason in gaps.values() if "SIGKILL" in reason}
    assert reason in out
    assert len([p for p in journal.pipelines if p.speedup is not None]) >= 1


def test_a_budget_that_is_over_at_once_leaves_a_whole_journal_that_says_so(tmp_path):
    code, out, err = compare(tmp_path, *SMALL, "--context", "256,512", "--budget", "1s", "--out", "out")
    assert code == 1, err
    journal = read_journal(tmp_path / "out")
    assert journal.ends[-1].reason == "budget"
    assert "decode at 256: the budget ended" in journal.ends[-1].skipped
    assert "not done: decode at 512: the budget ended" in out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--context", "8k,4k"], "contexts must ascend, got 4k after 8k"),
        (["--context", "4k,4k"], "context 4k stands twice"),
        (["--context", "4q"], "'4q' is not a size"),
        (["--context", "2m"], "axis context = "),
        (["--phase", "train"], "unknown phase 'train'"),
        (["--topk", "0"], "axis topk = "),
        (["--topk", "4097"], "axis topk = "),
        (["--heads", "129"], "axis heads = "),
        (["--batch", "0"], "axis batch = "),
        (["--batch", "2", "--phase", "prefill"], "batch"),
        (["--queries", "0"], "axis queries = "),
        (["--queries", "65"], "queries"),
        (["--queries", "5000", "--phase", "prefill"], "queries"),
        (["--gpu-hour-usd", "0"], "gpu-hour-usd must be above 0, got 0"),
        (["--gpu-hour-usd", "nan"], "gpu-hour-usd must be above 0, got nan"),
        (["--other-ms", "-1"], "other-ms must be at least 0, got -1"),
        (["--inputs", "absent.safetensors"], "absent.safetensors: cannot be read as safetensors"),
        (["--inputs", "text.safetensors"], "text.safetensors: cannot be read as safetensors"),
        (["--inputs", "part.safetensors"], "part.safetensors: tensor 'kv' is missing"),
        (["--inputs", "part.safetensors", "--no-losses"], "--inputs is for losses"),
        (["--budget", "0"], "budget: must be above 0"),
        (["--budget", "soon"], "budget: 'soon' is not a duration"),
        (["--effort", "huge"], "unknown effort 'huge'"),
        (["--device", "abacus"], "unknown device 'abacus'"),
        (["--out", "/proc/nowhere"], "cannot write to /proc/nowhere"),
        (["--out", "tuned", "--resume"], "not of `compare --dense`"),
        (["--op", "topk_select"], "--op goes without --dense"),
        (["--plugin", "mine.py"], "--plugin goes without --dense"),
        (["--colour"], "No such option"),
    ],
)
def test_bad_input_is_one_line_before_anything_is_made(tmp_path, words, message, capsys, monkeypatch, tuned):
    from dsabench.cli.app import run

    monkeypatch.chdir(tmp_path)
    (tmp_path / "text.safetensors").write_text("no tensors")
    save_file({"q": torch.zeros(1, 8, 576)}, tmp_path / "part.safetensors")
    (tmp_path / "tuned").mkdir()
    (tmp_path / "tuned" / "journal.jsonl").write_text(tuned)
    code = run(["compare", "--dense", "--context", "4k", *words])
    out, err = capsys.readouterr()
    assert code not in (0, None)
    assert out == ""
    (line,) = err.splitlines()
    assert line.startswith("error: ")
    assert message in line
    assert not (tmp_path / "dsabench-compare").exists()


@pytest.fixture(scope="module")
def tuned() -> str:
    """A journal's first line as `tune` writes it."""
    header = run_header("dsabench tune", cpu_device(), {}, "quick", "halving", "quick", 0, 60.0, {})
    return header.model_dump_json() + "\n"


@pytest.mark.parametrize("words", [["--phase", "decode"], ["--topk", "64"], ["--gpu-hour-usd", "3"], ["--no-losses"]])
def test_what_belongs_to_dense_is_refused_without_it(words, capsys, monkeypatch, tmp_path):
    from dsabench.cli.app import run

    monkeypatch.chdir(tmp_path)
    assert run(["compare", *words]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert f"{words[0].replace('no-', '')} goes with --dense" in line


def test_help_shows_examples_and_imports_nothing_heavy():
    code = (
        "import sys\nfrom dsabench.cli.app import run\nassert run(['compare', '--help']) == 0\n"
        "heavy = {'torch', 'numba', 'numpy', 'scipy', 'pandas', 'matplotlib'} & set(sys.modules)\nassert not heavy, heavy\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert "dsabench compare --dense" in done.stdout
