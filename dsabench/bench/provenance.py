"""Where results come from: package versions and the commit of the source tree."""

from __future__ import annotations

import platform
import subprocess
from importlib import metadata
from pathlib import Path

_PACKAGES = ("dsabench", "torch", "numba", "llvmlite", "numpy", "scipy", "triton")


def package_versions() -> dict[str, str]:
    """Versions of Python and of the packages that shape results; those not installed are left out."""
    found = {"python": platform.python_version()}
    for name in _PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def git_commit() -> str:
    """Commit of the checkout this package is imported from, `-dirty` when tracked files differ; `unknown` outside one."""
    root = Path(__file__).parent

    def git(*words: str) -> str:
        done = subprocess.run(["git", "-C", str(root), *words], capture_output=True, text=True, timeout=10, check=True)
        return done.stdout.strip()

    try:
        # Installed into a virtual environment that lies inside somebody's checkout, the package is not part of it.
        if not git("ls-files", "--", str(Path(__file__))):
            return "unknown"
        commit = git("rev-parse", "HEAD")
        return commit + ("-dirty" if git("status", "--porcelain", "--untracked-files=no") else "")
    except (OSError, subprocess.SubprocessError):
        return "unknown"
