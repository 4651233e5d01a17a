"""`dsabench verify`, `list` and `doctor` as a user runs them: in the environment of a user, a process for each command's exit code
and stderr, the rest in this process."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from dsabench.bench.suites import suite_names
from dsabench.kernels.ledger import hardware_note
from dsabench.kernels.registry import get_op, implementation_names, op_names
from tests.cli import in_process
from tests.cli.in_process import Done

ROOT = Path(__file__).parents[2]

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


INTERPRETED = str(Path(__file__).parent.parent / "bench" / "interpreted_plugin.py")


def of_a_user(**more: str) -> dict[str, str]:
    """An environment without TRITON_INTERPRET, unless `more` has it."""
    clean = {name: value for name, value in os.environ.items() if name != "TRITON_INTERPRET"}
    return clean | {"COLUMNS": "200"} | more


def dsabench(*words: str, **more: str) -> Done:
    return in_process.dsabench(*words, environment=of_a_user(**more))


def process(*words: str) -> subprocess.CompletedProcess[str]:
    code = "from dsabench.cli.app import main; main()"
    return subprocess.run([sys.executable, "-c", code, *words], capture_output=True, text=True, env=of_a_user())


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
    wanted = ("cpu", "torch", "right", "wrong", "crashing", "raising", "flickering", "scribbling")
    narrow = [word for impl in wanted for word in ("--impl", impl)]
    done = dsabench("verify", "--plugin", plugin, "--suite", one_row_suite, *narrow, "--json")
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
    done = process("verify", "--plugin", plugin, "--suite", one_row_suite, "--impl", "wrong", "--impl", "right")
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


@pytest.mark.parametrize("variable", [{}, {"TRITON_INTERPRET": "1"}], ids=["unset", "set"])
def test_a_gpus_kernel_runs_in_the_interpreter_and_stays_unverified(
    one_row_suite: str, variable: dict[str, str]
) -> None:
    words = ("verify", "--plugin", INTERPRETED, "--suite", one_row_suite, "--device", "cpu")
    narrow = ("--impl", "ranked", "--impl", "miscounted", "--impl", "cpu")
    done = dsabench(*words, *narrow, "--json", **variable)
    assert done.returncode == 1, done.stderr
    document = json.loads(done.stdout)
    cases = by_impl(document)
    assert {impl: (case["where"], case["status"]) for impl, case in cases.items()} == {
        "cpu": ("cpu", "PASSED"),
        "ranked": ("interpreter", "PASSED"),
        "miscounted": ("interpreter", "INCORRECT"),
    }
    assert "higher scores" in cases["miscounted"]["reason"]
    assert document["device"] == "cpu"
    assert document["left_out"] == []
    assert document["hardware"] == {
        "topk_select/ranked": "unverified on hardware",
        "topk_select/miscounted": "unverified on hardware",
    }
    (remark,) = document["remarks"]
    assert "not the code compiled for a GPU" in remark
    if variable:
        return
    text = dsabench(*words, "--impl", "ranked")
    assert text.returncode == 0, text.stderr
    assert remark in text.stdout
    assert "unverified on hardware: topk_select/ranked" in text.stdout
    assert " interpreter " in text.stdout


def test_what_runs_on_the_cpu_has_nothing_to_do_with_the_interpreter(one_row_suite: str) -> None:
    done = dsabench("verify", "--suite", one_row_suite, "--impl", "cpu")
    assert done.returncode == 0
    assert "interpreter" not in done.stdout
    assert "unverified" not in done.stdout


def test_the_interpreter_leaves_large_workloads_out_in_one_line(tmp_path: Path) -> None:
    suite = tmp_path / "large.toml"
    text = 'name = "large"\ndescription = "d"\n[[workload]]\nop = "topk_select"\nrows = [{}]\ns_kv = 65536\nk = 7\n'
    suite.write_text(text.format("8, 9, 10, 11, 12, 13, 14"))  # 2 MiB of logits, and the outputs
    words = ("verify", "--plugin", INTERPRETED, "--suite", str(suite), "--device", "cpu", "--impl", "ranked")
    done = dsabench(*words)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "more than 2 MiB of inputs and outputs, too much for the interpreter" in done.stderr
    assert "rows=8 s_kv=64k" in done.stderr
    assert "and 2 more" in done.stderr
    document = json.loads(dsabench(*words, "--impl", "cpu", "--json").stdout)
    assert len(document["left_out"]) == 7
    assert {case["impl"] for case in document["cases"]} == {"cpu"}


def test_a_kernel_of_ours_passes_in_the_interpreter() -> None:
    """The op that the interpreter runs fastest: 24 cases in 5 s."""
    done = dsabench("verify", "--impl", "triton", "--device", "cpu", "--op", "paged_indexer_logits", "--json")
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr
    document = json.loads(done.stdout)
    assert {case["where"] for case in document["cases"]} == {"interpreter"}
    assert {case["distribution"] for case in document["cases"]} == set(get_op("paged_indexer_logits").distributions)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["verify", "--op", "topk"], "unknown op 'topk'"),
        (["verify", "--impl", "cuda9"], "unknown implementation 'cuda9'"),
        (["verify", "--suite", "quik"], "did you mean 'quick'"),
        (["verify", "--context", "0"], "context must be at least 1"),
        (["verify", "--plugin", "missing.py"], "missing.py is not a Python file"),
        (["verify", "--device", "tpu"], "unknown device 'tpu'"),
        (["verify", "--device", "cuda:99"], "device cuda:99: "),
        (["list", "--op", "topk_selct"], "did you mean 'topk_select'"),
    ],
)
def test_bad_input_is_one_line(words: list[str], message: str) -> None:
    done = dsabench(*words)
    assert done.returncode == 2
    assert message in done.stderr
    assert done.stderr.count("\n") == 1
    assert done.stdout == ""


def test_a_process_ends_with_the_code_of_its_error() -> None:
    done = process("list", "--op", "topk")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("error: unknown op 'topk'")
    assert done.stderr.count("\n") == 1


def test_list_names_everything() -> None:
    text = dsabench("list").stdout
    for name in (*op_names(), *suite_names()):
        assert name in text


def test_list_says_where_a_gpus_kernel_runs_and_that_no_gpu_proved_it() -> None:
    lines = dsabench("list").stdout.splitlines()
    rows = [[cell.strip() for cell in line.split("│")[1:-1]] for line in lines if "│" in line]
    found = {(row[0], row[1]): row for row in rows if row[0] in op_names()}
    # By their files: other tests of this process may have registered plugins.
    files = (ROOT / "dsabench" / "kernels").glob("*/impl_*.py")
    assert set(found) == {(file.parent.name, file.stem.removeprefix("impl_")) for file in files}
    for (op, impl), row in found.items():
        if impl in ("cpu", "torch"):
            assert row[-1] == "–"
            continue
        assert row[2] == "cuda"
        assert row[-1] == hardware_note(op, impl)
        if not torch.cuda.is_available():
            assert row[-2] == ("interpreter only" if impl == "triton" else "needs an NVIDIA GPU")


def test_list_imports_no_triton() -> None:
    code = """
import sys
from dsabench.cli.app import run
for words in (["list"], ["list", "--json"], ["list", "--op", "topk_select"], ["doctor"]):
    assert run(words) == 0, words
    assert "triton" not in sys.modules, words
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


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
            kernel = implementation["impl"] not in ("cpu", "torch")
            assert implementation["hardware"] == (hardware_note(op["op"], implementation["impl"]) if kernel else None)
            elsewhere = "interpreter" if implementation["impl"] == "triton" else "no"
            assert implementation["here"] in (("yes", elsewhere) if kernel else ("yes",))
            assert (implementation["unavailable"] is None) == (implementation["here"] == "yes")
            assert kernel == (implementation["devices"] == ["cuda"])
    assert {s["suite"] for s in document["suites"]} == set(suite_names())


def test_doctor_json() -> None:
    document = json.loads(dsabench("doctor", "--json").stdout)
    findings = {f["subject"]: f for f in document["findings"]}
    assert set(op_names()) <= set(findings)
    for op in op_names():
        assert "cpu" in findings[op]["text"]
        assert "torch" in findings[op]["text"]
    assert findings["device key"]["text"].startswith("cpu-")
    assert findings["ptxas"]["text"].endswith("ptxas")
    assert findings["cuobjdump"]["text"].endswith("cuobjdump")
    assert "sm_90a" in findings["inspect"]["text"]
    assert "TRITON_INTERPRET=1" in findings["interpreter"]["text"]
    for op in op_names():
        if "triton" in implementation_names(op) and hardware_note(op, "triton") == "unverified on hardware":
            assert f"{op}/triton" in findings["hardware"]["text"]
    assert {f["state"] for f in document["findings"]} <= {"ok", "note", "missing"}


def test_doctor_shows_extras_in_brackets() -> None:
    text = dsabench("doctor").stdout
    assert "cpu extensions" in text
    if "cupy" in text and "not installed" in text:
        assert "dsabench[cuda13]" in text


def test_verify_keeps_each_case_as_a_line(tmp_path: Path) -> None:
    out = tmp_path / "verified.jsonl"
    words = (
        "verify",
        "--suite",
        "tiny",
        "--op",
        "topk_select",
        "--impl",
        "torch",
        "--device",
        "cpu",
        "--out",
        str(out),
    )
    done = dsabench(*words)
    assert done.returncode == 0, done.stderr
    lines = [json.loads(line) for line in out.read_text().splitlines()]
    assert lines
    assert {(line["op"], line["impl"], line["status"]) for line in lines} == {("topk_select", "torch", "PASSED")}
    again = dsabench(*words)
    assert again.returncode == 2
    assert "File exists" in again.stderr
    assert len(out.read_text().splitlines()) == len(lines), "what was measured is not overwritten"
