"""Versions, caches and room: what `dsabench doctor` says of them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from dsabench.bench import checkup
from dsabench.bench.checkup import cache_finding, disk_finding, examine, free_bytes, memory_finding, version_finding
from dsabench.kernels.cuda.nvrtc import NvrtcMissingError, nvrtc_version
from dsabench.kernels.tilelang.headers import TileLangMissingError


@pytest.mark.parametrize(
    ("name", "version", "state"),
    [
        ("python", "3.11.2", "ok"),
        ("python", "3.13.5", "ok"),
        ("python", "3.14.0rc1", "note"),
        ("torch", "2.13.0+cu130", "ok"),
        ("torch", "2.11.0", "ok"),
        ("torch", "2.10.1", "note"),
        ("torch", "2.14.0.dev20260801+cu130", "note"),
        ("triton", "3.6.0", "ok"),
        ("triton", "3.7.1+git0", "ok"),
        ("triton", "3.8.0", "note"),
        ("numba", "0.1", "ok"),
    ],
)
def test_versions_outside_what_was_tested_are_noted(name: str, version: str, state: str) -> None:
    finding = version_finding(name, version)
    assert finding.state == state
    assert finding.text.startswith(version)
    assert bool(finding.advice) == (state == "note")


def test_the_compile_cache_is_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "triton"
    assert cache_finding(folder).text == f"0 compiled kernels, 0 MiB in {folder}"
    for entry in ("A", "B"):
        (folder / entry).mkdir(parents=True)
        (folder / entry / "kernel.cubin").write_bytes(bytes(2**20))
        (folder / entry / "kernel.json").write_bytes(bytes(2**19))
    finding = cache_finding(folder)
    assert finding.state == "ok"
    assert finding.text.startswith("2 compiled kernels, 3 MiB")
    monkeypatch.setattr(checkup, "LARGE_CACHE_BYTES", 2**20)
    assert cache_finding(folder).state == "note"


def test_little_room_is_noted(tmp_path: Path) -> None:
    assert disk_finding(tmp_path, 2**30).state == "note"
    assert disk_finding(tmp_path, 2**34).state == "ok"
    assert memory_finding(2**30).state == "note"
    assert memory_finding(2**34).state == "ok"
    assert free_bytes(tmp_path / "not" / "there") == pytest.approx(free_bytes(tmp_path), rel=0.2)


def test_every_finding_that_needs_something_says_what_helps(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("DSABENCH_CACHE_DIR", str(tmp_path))
    findings = examine()
    subjects = [finding.subject for finding in findings]
    assert {
        "python",
        "torch",
        "triton",
        "tilelang",
        "cupy",
        "nvrtc",
        "gpu",
        "compile cache",
        "disk",
        "memory",
        "load",
    } <= set(subjects)
    assert [finding for finding in findings if finding.state == "missing" and not finding.advice] == []
    assert next(f for f in findings if f.subject == "compile cache").text.endswith(str(tmp_path / "triton"))


def test_what_compiles_cuda_cpp_is_named_with_its_version() -> None:
    nvrtc, tilelang = checkup._cuda_cpp()
    assert (nvrtc.subject, nvrtc.state) == ("nvrtc", "ok")
    assert nvrtc.text.startswith(f"{nvrtc_version()} compiles CUDA C++ for sm_90a")
    assert (tilelang.subject, tilelang.state) == ("tilelang kernels", "ok")


def test_what_is_missing_of_it_is_a_note_with_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(error: type[Exception], text: str) -> Callable[[], None]:
        def raises() -> None:
            raise error(text)

        return raises

    monkeypatch.setattr(checkup, "include_folders", missing(TileLangMissingError, "no headers: pip install these"))
    (_, tilelang) = checkup._cuda_cpp()
    assert (tilelang.state, tilelang.text, tilelang.advice) == ("note", "no headers", "pip install these")
    monkeypatch.setattr(
        checkup, "nvrtc_version", missing(NvrtcMissingError, "NVRTC is missing (why: so): pip install it")
    )
    (nvrtc,) = checkup._cuda_cpp()
    assert (nvrtc.subject, nvrtc.state) == ("nvrtc", "note")
    assert (nvrtc.text, nvrtc.advice) == ("NVRTC is missing (why: so)", "pip install it")
