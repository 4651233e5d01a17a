"""Imports go down only: cli → autotune, reports → bench → kernels."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent / "dsabench"
MAY_IMPORT = {
    "kernels": {"kernels"},
    "bench": {"bench", "kernels"},
    "autotune": {"autotune", "bench", "kernels"},
    "reports": {"reports", "bench", "kernels"},
    "cli": {"cli", "autotune", "reports", "bench", "kernels"},
}


def _floors_imported(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
        if isinstance(node, ast.ImportFrom) and node.module:
            names = [node.module]
        found |= {name.split(".")[1] for name in names if name.startswith("dsabench.")}
    return found


@pytest.mark.parametrize("floor", MAY_IMPORT)
def test_arrows_point_down(floor: str) -> None:
    files = sorted((ROOT / floor).rglob("*.py"))
    assert files
    for path in files:
        upward = _floors_imported(path) - MAY_IMPORT[floor]
        assert not upward, f"{path.relative_to(ROOT)} imports {sorted(upward)}"


@pytest.mark.parametrize("words", [["--help"], ["tune", "--help"], ["--version"]])
def test_help_imports_nothing_heavy(words: list[str]) -> None:
    code = (
        "import sys\n"
        "from dsabench.cli.app import run\n"
        f"assert run({words!r}) == 0\n"
        "heavy = {'torch', 'numba', 'numpy', 'pandas', 'matplotlib', 'triton'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "dsabench" in done.stdout


def test_import_dsabench_is_light() -> None:
    code = "import sys, dsabench; assert 'torch' not in sys.modules; print(dsabench.__version__)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
