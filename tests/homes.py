"""Folders of their own for commands that tests run, on the machine code that is there already."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from dsabench.kernels.user_cache import user_cache_root


def own_environment(home: Path) -> dict[str, str]:
    """A user's environment whose dsabench cache is `home`: no tuned table and no compiled config of others is found there. The
    numba kernels are shared: compiling them anew for each test took most of its time (20 s and more)."""
    shared = user_cache_root() / "numba"
    shared.mkdir(parents=True, exist_ok=True)
    with contextlib.suppress(FileExistsError):
        (home / "numba").symlink_to(shared, target_is_directory=True)
    clean = {n: v for n, v in os.environ.items() if not n.startswith("DSABENCH_") and n != "TRITON_INTERPRET"}
    return clean | {"DSABENCH_CACHE_DIR": str(home), "COLUMNS": "200"}
