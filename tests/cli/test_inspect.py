"""`dsabench inspect` as a user runs it, on kernels that compile in seconds."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from dsabench.bench.inspection_file import read_inspections
from tests.cli import in_process
from tests.cli.in_process import Done

PLUGIN = str(Path(__file__).parent.parent / "autotune" / "inspect" / "kernels_plugin.py")
# One process that compiles: each imports torch and Triton for 2.5 s.
KINDS = ["inspect", "--plugin", PLUGIN, "--op", "topk_select", "--impl", "kinds", "--context", "4k", "--jobs", "1"]
FAULTS = ["inspect", "--plugin", PLUGIN, "--op", "topk_select", "--impl", "faults", "--context", "4k"]


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(tmp_path_factory.mktemp("cache"))


def dsabench(cache: str, *words: str, **variables: str) -> Done:
    environment = {**os.environ, "COLUMNS": "100", "DSABENCH_CACHE_DIR": cache, **variables}
    return in_process.dsabench(*words, environment=environment)


@pytest.fixture(scope="module")
def document(cache: str) -> dict[str, Any]:
    done = dsabench(cache, *KINDS, "--json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_json_rows(document: dict[str, Any]) -> None:
    rows = {row["config"]["KIND"]: row for row in document["rows"] if row["axes"]["rows"] == 64}
    assert {"op", "impl", "config", "registers", "spill_bytes", "shared_bytes", "sass"} <= set(rows["bf16"])
    assert rows["bf16"]["op"] == "topk_select"
    assert rows["bf16"]["sass"]["HGMMA"] > 0
    assert rows["spilling"]["spill_bytes"] > 0
    assert rows["large"]["shared_bytes"] > 232_448
    assert rows["large"]["can_launch"] is False
    assert rows["bf16_again"]["same_code_as"] == {"KIND": "bf16"}
    assert document["schema"] == 1
    assert document["command"] == "inspect"
    assert document["arch"] == "sm_90a"
    assert set(document["versions"]) == {"dsabench", "triton", "nvrtc", "tilelang", "ptxas", "cuobjdump", "nvdisasm"}
    assert document["sources"]["topk_select/kinds"]["hardware"] == "unverified on hardware"
    (summary,) = document["summary"]
    assert summary["configs"] == len(document["rows"])
    assert summary["default"] == "ok"


def test_table_and_file(cache: str, document: dict[str, Any], tmp_path: Path) -> None:
    out = tmp_path / "inspected"
    done = dsabench(cache, *KINDS, "--out", str(out))
    assert done.returncode == 0, done.stderr
    table = [line for line in done.stdout.splitlines() if line.startswith((" ", "*"))]
    assert max(len(line.rstrip()) for line in table) <= 100
    assert "unverified on hardware" in done.stdout
    default = next(line for line in table if line.startswith("*"))
    assert default.split()[1] == "bf16"
    assert not any(line.split()[0] == "bf16_again" for line in table if line.split())  # counted with bf16
    for word in ("loop spills, serialized", "no launch", "fp8 fell back", "mma.sync", "repeats", "67%", "HGMMA 4"):
        assert word in done.stdout
    assert "22 configs, 9 distinct, 18 can launch" in done.stdout
    read = read_inspections(out)
    assert read.header.suite == "inspect"
    rows = [i.model_dump(mode="json", exclude={"kind"}) for i in read.configs]
    assert rows == document["rows"]


def test_configs_in_both_spellings(cache: str, document: dict[str, Any]) -> None:
    done = dsabench(cache, *KINDS, "--config", "KIND=copy", "--config", '{"KIND": "bf16"}', "--json")
    assert done.returncode == 0, done.stderr
    rows = json.loads(done.stdout)["rows"]
    assert [row["config"] for row in rows] == [{"KIND": "copy"}, {"KIND": "bf16"}] * 2
    assert rows[0]["flags"] == []


def test_a_compile_that_explodes_is_a_line(cache: str, tmp_path: Path) -> None:
    (tmp_path / "one.toml").write_text('name = "one"\ndescription = "d"\n[[workload]]\nop = "topk_select"\n')
    words = ["--config", "FAULT=killed", "--config", "FAULT=sleeps", "--config", "FAULT=none", "--timeout", "10s"]
    done = dsabench(cache, *FAULTS, *words, "--suite", str(tmp_path / "one.toml"), "--jobs", "2", "--json")
    assert done.returncode == 1
    assert {row["outcome"] for row in json.loads(done.stdout)["rows"]} == {"CRASHED", "TIMEOUT", "COMPILED"}
    lines = done.stderr.splitlines()
    assert len(lines) == 2
    assert sum(line.startswith("TIMEOUT  topk_select/faults") and "10 s" in line for line in lines) == 1
    assert sum(line.startswith("CRASHED") and "SIGKILL" in line for line in lines) == 1


def test_ctrl_c_is_one_line_and_leaves_nothing_running(cache: str, tmp_path: Path) -> None:
    code = "from dsabench.cli.app import main; main()"
    words = [sys.executable, "-c", code, *FAULTS, "--config", "FAULT=sleeps", "--jobs", "1"]
    environment = {**os.environ, "DSABENCH_CACHE_DIR": cache, "TMPDIR": str(tmp_path)}
    running = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)
    deadline = time.monotonic() + 60
    while not list(tmp_path.glob("dsabench-inspect-*/worker-*/output.txt")):  # a worker lives
        assert time.monotonic() < deadline
        time.sleep(0.1)
    running.send_signal(signal.SIGINT)
    out, err = running.communicate(timeout=60)
    assert running.returncode == 130
    assert err.startswith("error: interrupted; what is compiled is kept")
    assert err.count("\n") == 1
    assert out == ""
    assert not list(tmp_path.glob("dsabench-inspect-*"))


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--arch", "sm_80"], "unknown arch 'sm_80'"),
        (["--op", "topk"], "unknown op 'topk'"),
        (["--impl", "kindss"], "did you mean 'kinds'"),
        (["--impl", "cpu"], "implementation cpu of topk_select compiles no kernel per config"),
        (["--config", "KIND=huge"], "KIND = 'huge' is not one of"),
        (["--config", "KINDS=bf16"], "did you mean 'KIND'"),
        (["--config", "KIND"], "write NAME=VALUE"),
        (["--config", "{KIND"], "is not JSON"),
        (["--config", '{"KIND": 1.5}'], "KIND = 1.5 is not a number, a word"),
        (["--suite", "inspct"], "did you mean 'inspect'"),
        (["--timeout", "soon"], "timeout: 'soon' is not a duration"),
        (["--jobs", "0"], "--jobs"),
        (["--plugin", "missing.py"], "missing.py is not a Python file"),
    ],
)
def test_bad_input_is_one_line(cache: str, words: list[str], message: str) -> None:
    given = [
        option for pair in (["--op", "topk_select"], ["--impl", "kinds"]) if pair[0] not in words for option in pair
    ]
    done = dsabench(cache, "inspect", "--plugin", PLUGIN, *given, *words)
    assert done.returncode == 2
    assert message in done.stderr
    assert done.stderr.count("\n") == 1
    assert done.stdout == ""


@pytest.mark.parametrize("tool", ["ptxas", "cuobjdump"])
def test_a_missing_tool_is_one_line(cache: str, tool: str) -> None:
    done = dsabench(cache, *KINDS, **{f"TRITON_{tool.upper()}_PATH": "/nowhere/tool"})
    assert done.returncode == 1
    assert f"{tool} not found at /nowhere/tool" in done.stderr
    assert done.stderr.count("\n") == 1
    assert done.stdout == ""


def test_an_unwritable_out_is_one_line(cache: str, document: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    done = dsabench(cache, *KINDS, "--config", "KIND=copy", "--out", str(tmp_path / "file"))
    assert done.returncode == 1
    assert "cannot write" in done.stderr
    assert done.stderr.count("\n") == 1
