"""`dsabench verify`, `list` and `doctor` as a user runs them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from dsabench.bench.suites import suite_names
from dsabench.kernels.registry import get_op, op_names

FAULTY = """
import ctypes, time
from dataclasses import replace
from dsabench.kernels.registry import get_implementation, register

base = get_implementation("topk_select", "cpu")

def add(name, fault):
    def run(inputs, outputs, config):
        base.run(inputs, outputs, config)
        fault(inputs, outputs)
    register(replace(base, name=name, run=run, tunables=(), default_config=lambda axes: {}, constraint=lambda c, a: None,
                     describe=lambda c: name))

full = {"SCAN": "scalar", "SAMPLES": 256, "PARTS": 1}
def with_default(inputs, outputs, config):
    base_run(inputs, outputs, full)
base_run = base.run
base = replace(base, run=with_default)
calls = []
add("right", lambda i, o: None)
add("wrong", lambda i, o: o[0].fill_(0))
add("crashing", lambda i, o: ctypes.string_at(0))
add("raising", lambda i, o: 1 / 0)
add("flickering", lambda i, o: o[0].copy_(o[0].flip(1)) if calls.append(1) or len(calls) % 2 == 0 else None)
add("scribbling", lambda i, o: i.logits.mul_(2))
"""


def dsabench(*words: str) -> subprocess.CompletedProcess[str]:
    code = "from dsabench.cli.app import main; main()"
    return subprocess.run(
        [sys.executable, "-c", code, *words], capture_output=True, text=True, env={**os.environ, "COLUMNS": "200"}
    )


@pytest.fixture
def plugin(tmp_path: Path) -> str:
    path = tmp_path / "faulty.py"
    path.write_text(FAULTY)
    return str(path)


@pytest.fixture
def one_row_suite(tmp_path: Path) -> str:
    path = tmp_path / "one.toml"
    path.write_text('name = "one"\ndescription = "d"\n[[workload]]\nop = "topk_select"\nrows = 2\ns_kv = 300\nk = 7\n')
    return str(path)


def by_impl(document: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {case["impl"]: case for case in document["cases"]}


def test_every_fault_is_named_and_the_run_goes_on(plugin: str, one_row_suite: str) -> None:
    done = dsabench("verify", "--plugin", plugin, "--suite", one_row_suite, "--json")
    assert done.returncode == 1, done.stderr
    cases = by_impl(json.loads(done.stdout))
    assert {impl: case["status"] for impl, case in cases.items()} == {
        "cpu": "PASSED",
        "torch": "PASSED",
        "right": "PASSED",
        "wrong": "INCORRECT",
        "crashing": "CRASHED",
        "raising": "LAUNCH_ERROR",
        "flickering": "INCORRECT",
        "scribbling": "INCORRECT",
    }
    assert "SIGSEGV" in cases["crashing"]["reason"]
    assert "ZeroDivisionError" in cases["raising"]["reason"]
    assert "differs from the first in its bits" in cases["flickering"]["reason"]
    assert "logits" in cases["scribbling"]["reason"]
    assert cases["cpu"]["rows_checked"] == cases["cpu"]["rows_total"] == 2


def test_a_failure_is_a_line_and_an_exit_code(plugin: str, one_row_suite: str) -> None:
    done = dsabench("verify", "--plugin", plugin, "--suite", one_row_suite, "--impl", "wrong", "--impl", "right")
    assert done.returncode == 1
    assert "INCORRECT  topk_select/wrong" in done.stdout
    assert "1 of 2 cases passed" in done.stdout


def test_the_verify_suite_takes_every_distribution() -> None:
    done = dsabench("verify", "--op", "topk_select", "--impl", "cpu", "--json")
    assert done.returncode == 0, done.stdout[-500:] + done.stderr
    document = json.loads(done.stdout)
    assert {case["distribution"] for case in document["cases"]} == set(get_op("topk_select").distributions)
    assert document["failed"] == 0
    assert document["passed"] == len(document["cases"]) > 50


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["verify", "--op", "topk"], "unknown op 'topk'"),
        (["verify", "--impl", "cuda9"], "unknown implementation 'cuda9'"),
        (["verify", "--suite", "quik"], "did you mean 'quick'"),
        (["verify", "--context", "0"], "context must be at least 1"),
        (["verify", "--plugin", "missing.py"], "missing.py is not a Python file"),
        (["verify", "--device", "tpu"], "unknown device 'tpu'"),
        (["list", "--op", "topk_selct"], "did you mean 'topk_select'"),
    ],
)
def test_bad_input_is_one_line(words: list[str], message: str) -> None:
    done = dsabench(*words)
    assert done.returncode == 2
    assert message in done.stderr
    assert done.stderr.count("\n") == 1
    assert done.stdout == ""


def test_list_names_everything() -> None:
    text = dsabench("list").stdout
    for name in (*op_names(), *suite_names()):
        assert name in text


def test_list_op_shows_axes_distributions_and_tunables() -> None:
    text = dsabench("list", "--op", "sparse_mla_decode").stdout
    for word in ("page", "topk", "all_padded", "DEQUANT", "permute", "SPLITS"):
        assert word in text


def test_list_json() -> None:
    document = json.loads(dsabench("list", "--json").stdout)
    assert [o["op"] for o in document["ops"]] == list(op_names())
    for op in document["ops"]:
        assert {i["impl"] for i in op["implementations"]} >= {"cpu", "torch"}
        for implementation in op["implementations"]:
            assert implementation["legal_configs"] > 1
            assert set(implementation["default_config"]) == {t["name"] for t in implementation["tunables"]}
    assert {s["suite"] for s in document["suites"]} == set(suite_names())


def test_doctor_json() -> None:
    document = json.loads(dsabench("doctor", "--json").stdout)
    findings = {f["subject"]: f for f in document["findings"]}
    assert set(op_names()) <= set(findings)
    for op in op_names():
        assert "cpu" in findings[op]["text"]
        assert "torch" in findings[op]["text"]
    assert findings["device key"]["text"].startswith("cpu-")
    assert {f["state"] for f in document["findings"]} <= {"ok", "note", "missing"}


def test_doctor_shows_extras_in_brackets() -> None:
    text = dsabench("doctor").stdout
    assert "cpu extensions" in text
    if "cupy" in text and "not installed" in text:
        assert "dsabench[cuda13]" in text
