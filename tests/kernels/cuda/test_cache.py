"""Cubins on disk: found again, known when damaged, keyed by all that makes them."""

from __future__ import annotations

import hashlib
import multiprocessing
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from dsabench.kernels.cuda import cache
from dsabench.kernels.cuda.cache import cached_cubin, cubin_folder, cubin_of, keep_cubin, kernel_key
from dsabench.kernels.cuda.compile import CompiledKernel, CudaCompileError, compile_launch
from dsabench.kernels.cuda.source import CudaLaunch
from tests.kernels.cuda.launches import TINY, rank, scale


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setenv("DSABENCH_CACHE_DIR", str(tmp_path))
    cache._text.cache_clear()
    yield tmp_path / "cubins"
    cache._text.cache_clear()


@pytest.fixture
def compiles(monkeypatch: pytest.MonkeyPatch) -> list[CudaLaunch]:
    """The launches that were compiled."""
    asked: list[CudaLaunch] = []

    def counted(launch: CudaLaunch) -> CompiledKernel:
        asked.append(launch)
        return compile_launch(launch)

    monkeypatch.setattr(cache, "compile_launch", counted)
    return asked


@pytest.fixture
def source(tmp_path: Path) -> Path:
    for name in ("tiny.cu", "tiny.cuh"):
        shutil.copy(TINY.with_name(name), tmp_path / name)
    return tmp_path / "tiny.cu"


def key_of(source: Path) -> str:
    cache._text.cache_clear()
    return kernel_key(scale(source))


def test_compiled_once(compiles: list[CudaLaunch], folder: Path) -> None:
    path = cubin_of(scale())
    assert path.parent.parent == folder == cubin_folder()
    assert path.read_bytes() == compile_launch(scale()).cubin
    assert cubin_of(scale(grid=(3,), shared_bytes=1024)) == path  # the same machine code
    assert len(compiles) == 1


@pytest.mark.parametrize(
    "damage", [lambda data: data[:-1], lambda data: b"", lambda data: data[:99] + b"?" + data[100:]]
)
def test_a_damaged_one_is_made_anew(damage: Callable[[bytes], bytes], compiles: list[CudaLaunch], folder: Path) -> None:
    path = cubin_of(scale())
    whole = path.read_bytes()
    path.write_bytes(damage(whole))
    assert cached_cubin(kernel_key(scale())) is None
    assert cubin_of(scale()).read_bytes() == whole
    assert len(compiles) == 2


def test_what_does_not_compile_is_not_kept(folder: Path) -> None:
    with pytest.raises(CudaCompileError):
        cubin_of(scale(arguments=()))
    assert not folder.exists()


def test_the_key_is_of_all_that_makes_the_code(monkeypatch: pytest.MonkeyPatch) -> None:
    launch = scale()
    others = [
        scale(constants={"BLOCK": 256}),
        scale(constants={"BLOCK": 128, "MORE": 1}),
        scale(cluster=2),
        scale(arguments=launch.arguments[:-1]),
        scale(arguments=(*launch.arguments[:-1], np.float64(1))),
        rank(),
    ]
    keys = {kernel_key(each) for each in (launch, *others)}
    assert len(keys) == 1 + len(others)
    assert kernel_key(replace(launch, constants=dict(reversed(launch.constants.items())))) == kernel_key(launch)
    monkeypatch.setattr(cache, "nvrtc_version", lambda: "99.0.1")
    assert kernel_key(launch) not in keys


@pytest.mark.parametrize("name", ["tiny.cu", "tiny.cuh"])
def test_the_key_is_of_the_source_and_what_it_includes(name: str, source: Path) -> None:
    before = key_of(source)
    file = source.with_name(name)
    file.write_text("// another comment\n\n" + file.read_text())
    assert key_of(source) == before
    file.write_text(file.read_text() + "static_assert(true);\n")
    assert key_of(source) != before


def write_often(folder: str, data: bytes) -> None:
    import os

    os.environ["DSABENCH_CACHE_DIR"] = folder
    for _ in range(50):
        keep_cubin("shared", data)


def test_writers_at_once_leave_one_whole_file(tmp_path: Path) -> None:
    data = b"\x7fELF" + bytes(100_000)
    context = multiprocessing.get_context("fork")
    writers = [context.Process(target=write_often, args=(str(tmp_path), data)) for _ in range(3)]
    for writer in writers:
        writer.start()
    while any(writer.is_alive() for writer in writers):
        found = cached_cubin("shared")
        assert found is None or found.stem == hashlib.sha256(data).hexdigest()
    for writer in writers:
        writer.join()
        assert writer.exitcode == 0
    assert [path.suffix for path in (cubin_folder() / "shared").iterdir()] == [".cubin"]


def test_a_folder_that_cannot_be_written_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("DSABENCH_CACHE_DIR", str(tmp_path / "file"))
    with pytest.raises(OSError, match="file"):
        keep_cubin("key", b"data")
