"""What `pip install dsabench` asks for: enough to run, and nothing that replaces the torch a machine has."""

from __future__ import annotations

import ast
import sys
import tomllib
from fnmatch import fnmatch
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
DEPENDENCIES = {canonicalize_name(r.name): r for r in map(Requirement, PROJECT["project"]["dependencies"])}
EXTRAS = {
    extra: {canonicalize_name(r.name): r for r in map(Requirement, listed)}
    for extra, listed in PROJECT["project"]["optional-dependencies"].items()
}


def holds(name: str, version: str) -> bool:
    return DEPENDENCIES[name].specifier.contains(version, prereleases=True)


def test_no_version_is_pinned_and_none_is_too_new() -> None:
    requirements = [*DEPENDENCIES.values(), *(r for extra in EXTRAS.values() for r in extra.values())]
    for requirement in requirements:
        operators = {specifier.operator for specifier in requirement.specifier}
        assert operators == {">="}, requirement
    assert {s.operator for s in SpecifierSet(PROJECT["project"]["requires-python"])} == {">="}


@pytest.mark.parametrize(
    ("name", "version"),
    [
        *(
            ("torch", v)
            for v in ("2.11.0", "2.11.0+cu130", "2.12.1", "2.13.0+cpu", "2.13.0+cu126", "2.15.0.dev20270101")
        ),
        *(("triton", v) for v in ("3.6.0", "3.7.1", "3.9.0")),
        *(("numpy", v) for v in ("2.0.2", "2.3.5", "2.4.6")),
    ],
)
def test_what_a_machine_has_stays(name: str, version: str) -> None:
    assert holds(name, version)


def test_too_old_a_torch_does_not_pass() -> None:
    assert not holds("torch", "2.10.0+cu128")
    assert not holds("triton", "3.5.1")


def test_what_constraints_pin_is_what_the_ranges_allow() -> None:
    lines = [line.partition("#")[0].strip() for line in (ROOT / "constraints.txt").read_text().splitlines()]
    pins = {canonicalize_name(r.name): r for r in (Requirement(line) for line in lines if line)}
    for name, requirement in {**DEPENDENCIES, **{n: r for extra in EXTRAS.values() for n, r in extra.items()}}.items():
        (pin,) = pins[name].specifier
        assert pin.operator == "=="
        assert requirement.specifier.contains(pin.version), name


def imported(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found.add(node.module.partition(".")[0])
    return found


def test_all_that_is_imported_is_asked_for() -> None:
    outside = {name for path in (ROOT / "dsabench").rglob("*.py") for name in imported(path)}
    outside -= {*sys.stdlib_module_names, "dsabench"}
    assert {"torch", "numba"} <= outside
    optional = {name for extra in ("cuda12", "cuda13", "tilelang") for name in EXTRAS[extra]}
    brought = {"cuda": "cuda-bindings", "cupy": "cupy-cuda13x", "cupy_backends": "cupy-cuda13x"}
    assert set(brought.values()) <= set(EXTRAS["cuda13"])
    assert {
        name for name in outside - brought.keys() if canonicalize_name(name) not in {*DEPENDENCIES, *optional}
    } == set()


def test_each_cuda_has_its_extra() -> None:
    assert {"cupy-cuda12x", "nvidia-cuda-nvrtc-cu12", "nvidia-ml-py"} <= set(EXTRAS["cuda12"])
    assert {"cupy-cuda13x", "cuda-bindings", "nvidia-cuda-nvrtc", "nvidia-ml-py"} <= set(EXTRAS["cuda13"])
    headers = {"nvidia-cuda-runtime", "nvidia-cuda-crt", "nvidia-cuda-cccl"}
    assert set(EXTRAS["tilelang"]) == {"tilelang", "cuda-bindings", "nvidia-cuda-nvrtc", *headers}
    for extra in ("cuda12", "cuda13", "tilelang"):
        assert not {"torch", "triton"} & set(EXTRAS[extra])


def test_every_file_of_the_package_is_shipped() -> None:
    globs = PROJECT["tool"]["setuptools"]["package-data"]["dsabench"]
    package = ROOT / "dsabench"
    files = [p.relative_to(package) for p in package.rglob("*") if p.is_file() and "__pycache__" not in p.parts]
    data = [str(path) for path in files if path.suffix != ".py"]
    assert "kernels/ledger.json" in data
    assert [name for name in data if not any(fnmatch(name, glob) for glob in globs)] == []
    folders = {path.parent for path in files if path.suffix == ".py"}
    assert [str(folder) for folder in folders if not (package / folder / "__init__.py").is_file()] == []
