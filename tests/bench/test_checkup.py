"""Versions, caches and room: what `dsabench doctor` says of them."""

from __future__ import annotations

from pathlib import Path

import pytest

from dsabench.bench import checkup
from dsabench.bench.checkup import cache_finding, disk_finding, examine, free_bytes, memory_finding, version_finding


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
    assert {"python", "torch", "triton", "gpu", "compile cache", "disk", "memory", "load"} <= set(subjects)
    assert [finding for finding in findings if finding.state == "missing" and not finding.advice] == []
    assert next(f for f in findings if f.subject == "compile cache").text.endswith(str(tmp_path / "triton"))
