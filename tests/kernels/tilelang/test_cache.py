"""TileLang's kernels on disk: found without TileLang, keyed by all that makes them."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from dsabench.kernels.cuda.compile import CompiledKernel
from dsabench.kernels.tilelang import cache
from dsabench.kernels.tilelang.cache import cached_program, keep_program, kernel_key, program_of, tilelang_version
from dsabench.kernels.tilelang.compile import CompiledProgram
from dsabench.kernels.tilelang.headers import TileLangMissingError
from dsabench.kernels.tilelang.launch import TileLangLaunch, TileLangSource
from tests.kernels.tilelang.launches import SCALE, TINY, scale, scaled

PROGRAM = CompiledProgram(CompiledKernel("scale_kernel", b"\x7fELF and more", "", ""), SCALE)
ROOT = Path(__file__).parents[3]
WARM = """
import sys
from dsabench.kernels.tilelang.cache import program_of
from tests.kernels.tilelang.launches import SCALE, scale
assert program_of(scale()).facts == SCALE
import dsabench.kernels.tilelang.implementation, dsabench.kernels.tilelang.launching, dsabench.kernels.tilelang.lowering
assert not {"tilelang", "tvm", "triton", "cupy"} & set(sys.modules), "imported"
"""


@pytest.fixture(autouse=True)
def compiles(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[TileLangLaunch]:
    """The launches that were compiled, to PROGRAM."""
    asked: list[TileLangLaunch] = []

    def compile_launch(launch: TileLangLaunch) -> CompiledProgram:
        asked.append(launch)
        return PROGRAM

    monkeypatch.setenv("DSABENCH_CACHE_DIR", str(tmp_path))
    monkeypatch.setattr(cache, "compile_launch", compile_launch)
    cache._text.cache_clear()
    return asked


def test_compiled_once(compiles: list[TileLangLaunch], tmp_path: Path) -> None:
    found = program_of(scale())
    assert found.cubin.read_bytes() == PROGRAM.kernel.cubin
    assert found.cubin.is_relative_to(tmp_path)
    assert found.facts == SCALE
    assert program_of(scale(rows=64)) == found  # the same machine code
    assert len(compiles) == 1


def test_a_warm_cache_needs_no_tilelang(tmp_path: Path) -> None:
    keep_program(kernel_key(scale()), PROGRAM)
    done = subprocess.run([sys.executable, "-c", WARM], cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    "damage",
    [
        lambda cubin, facts: cubin.write_bytes(b"\x7fELF"),
        lambda cubin, facts: facts.write_text(facts.read_text()[:-1]),
        lambda cubin, facts: facts.unlink(),
        lambda cubin, facts: facts.rename(facts.with_name(f"{cubin.stem}.{'0' * 64}.json")),
    ],
)
def test_a_damaged_one_is_made_anew(damage: Callable[[Path, Path], None], compiles: list[TileLangLaunch]) -> None:
    cubin = program_of(scale()).cubin
    (facts,) = cubin.parent.glob("*.json")
    damage(cubin, facts)
    assert cached_program(kernel_key(scale())) is None
    program_of(scale())
    assert len(compiles) == 2
    assert cached_program(kernel_key(scale())) is not None


def test_the_newest_of_several_counts() -> None:
    first = keep_program("key", PROGRAM)
    second = keep_program("key", CompiledProgram(CompiledKernel("scale_kernel", b"\x7fELF of another", "", ""), SCALE))
    assert cached_program("key") in (first, second)
    os.utime(first.cubin, (1e9, 1e9))
    assert cached_program("key") == second
    os.utime(second.cubin, (9e8, 9e8))
    assert cached_program("key") == first


def test_the_key_is_of_all_that_makes_the_code(monkeypatch: pytest.MonkeyPatch) -> None:
    launch = scale()
    others = [
        scale(entry="other", source=TileLangSource(TINY, "two")),
        scale(constants={"BLOCK": 32}),
        scale(constants={"BLOCK": 64, "MORE": "x"}),
        scale(pass_configs={"tl.enable_fast_math": True}),
        scale(arguments=scaled(n=np.int64(1000))),
        scale(arguments=scaled(target=None)),
    ]
    keys = {kernel_key(each) for each in (launch, *others)}
    assert len(keys) == 1 + len(others)
    assert kernel_key(scale(arguments=dict(reversed(launch.arguments.items())))) == kernel_key(launch)
    assert kernel_key(scale(rows=5, grid=(9,))) == kernel_key(launch)
    for name in ("tilelang_version", "nvrtc_version", "cuda_version"):
        with monkeypatch.context() as changed:
            changed.setattr(cache, name, lambda: "99")
            assert kernel_key(launch) not in keys


def test_the_key_is_of_the_program(tmp_path: Path) -> None:
    file = tmp_path / "tiny_program.py"
    file.write_text(TINY.read_text())
    launch = scale(source=TileLangSource(file, "scale"))
    before = kernel_key(launch)
    assert before == kernel_key(scale())
    cache._text.cache_clear()
    file.write_text("# a comment\n" + TINY.read_text())
    assert kernel_key(launch) == before
    cache._text.cache_clear()
    file.write_text(TINY.read_text().replace("threads=128", "threads=256"))
    assert kernel_key(launch) != before


def test_without_tilelang(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> str:
        raise cache.importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(cache.importlib.metadata, "version", missing)
    tilelang_version.cache_clear()
    with pytest.raises(TileLangMissingError, match=r"^TileLang is not installed: pip install 'dsabench\[tilelang\]'$"):
        kernel_key(scale())
