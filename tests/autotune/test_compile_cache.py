"""What was compiled ahead is what a launch on a Hopper looks up: nothing is compiled twice. Shown without a GPU, by Triton's own
path up to the launch, on a driver that only says that it is a Hopper."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from dsabench.autotune.ahead import CompileAhead
from dsabench.autotune.plan import Pair
from dsabench.bench.gpu.compile_cache import cache_folder, compile_environment
from dsabench.bench.suites import load_suite
from dsabench.kernels.registry import get_implementation, implementation_names

pytest.importorskip("triton")

LAUNCH = """
import json, sys
import torch
from triton import knobs
from triton.backends.compiler import GPUTarget
from triton.runtime import driver
from dsabench.kernels.registry import get_implementation, get_op

class Hopper:
    def get_current_target(self):
        return GPUTarget("cuda", 90, 32)
    def get_current_device(self):
        return 0
    def get_current_stream(self, device):
        return 0

hits = []
driver.set_active(Hopper())
knobs.compilation.listener = lambda *, src, cache_hit, **rest: hits.append([src.name, cache_hit])
for name, axes in json.loads(sys.stdin.read()):
    op, implementation = get_op(name), get_implementation(name, "triton")
    inputs = op.empty_inputs(axes, torch.device("cpu"))  # storage of their own, as on a GPU
    for launch in implementation.plan(inputs, op.empty_outputs(inputs), implementation.default_config(axes)):
        options = {"num_warps": launch.num_warps, "num_stages": launch.num_stages}
        launch.kernel.run(grid=launch.grid, warmup=True, **launch.arguments, **options)
print(json.dumps(hits))
"""


@pytest.fixture(scope="module")
def pairs() -> list[Pair]:
    """The first workload of each op that has a Triton implementation, its default config only."""
    first = {w.op: w for w in reversed(load_suite("tiny").workloads)}
    return [
        Pair(w, get_implementation(w.op, "triton"), False)
        for w in first.values()
        if "triton" in implementation_names(w.op)
    ]


def launch(pairs: list[Pair], environment: dict[str, str]) -> list[tuple[str, bool]]:
    """Each kernel that the pairs' defaults launch, and whether it was in the cache."""
    clean = {name: value for name, value in os.environ.items() if name != "TRITON_INTERPRET"}
    done = subprocess.run(
        [sys.executable, "-c", LAUNCH], env=clean | environment, capture_output=True, text=True, check=False,
        input=json.dumps([[pair.workload.op, dict(pair.workload.axis_values)] for pair in pairs]),
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    return [(name, hit) for name, hit in json.loads(done.stdout)]


def compile_ahead(pairs: list[Pair]) -> None:
    with CompileAhead(pairs) as ahead:
        for pair in pairs:
            config = pair.implementation.default_config(pair.workload.axis_values)
            ahead.reason(pair.workload, pair.implementation, config)
        assert not ahead.fault


@pytest.fixture
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("DSABENCH_CACHE_DIR", str(tmp_path))
    monkeypatch.delenv("TRITON_CACHE_DIR", raising=False)
    return tmp_path


def entries(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}


def test_a_launch_compiles_nothing_that_was_compiled_ahead(pairs: list[Pair], own_cache: Path) -> None:
    assert len(pairs) >= 7
    compile_ahead(pairs)
    before = entries(cache_folder())
    assert not any(name.endswith((".ttir", ".ttgir", ".llir", ".ptx")) for name in before)
    found = launch(pairs, compile_environment())
    assert len(found) >= len(pairs)
    assert [name for name, hit in found if not hit] == []
    assert entries(cache_folder()) == before
    # The test can fail: a variable of the key that differs is a miss.
    (one,) = [pair for pair in pairs if pair.workload.op == "topk_select"]
    assert not any(hit for _, hit in launch([one], compile_environment() | {"TRITON_DISABLE_LINE_INFO": "0"}))


def test_facts_that_are_known_do_not_stand_for_a_kernel_that_is_gone(pairs: list[Pair], own_cache: Path) -> None:
    (one,) = [pair for pair in pairs if pair.workload.op == "topk_select"]
    for _ in range(2):
        compile_ahead([one])
        kernels = list(cache_folder().glob("*/*.cubin"))
        assert kernels
        for path in cache_folder().glob("*/*"):
            path.unlink()


def test_a_folder_of_the_users_own_is_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRITON_CACHE_DIR", str(tmp_path / "theirs"))
    assert cache_folder() == tmp_path / "theirs"
    monkeypatch.setenv("TRITON_CACHE_DIR", "")
    monkeypatch.setenv("DSABENCH_CACHE_DIR", str(tmp_path / "ours"))
    assert cache_folder() == tmp_path / "ours" / "triton"
    assert compile_environment()["TRITON_CACHE_DIR"] == str(tmp_path / "ours" / "triton")
