"""Where dsabench keeps what it can make again, for this user."""

from __future__ import annotations

import os
from pathlib import Path

from platformdirs import user_cache_path

CACHE_ENV = "DSABENCH_CACHE_DIR"


def user_cache_root() -> Path:
    """The user's folder for what dsabench keeps: DSABENCH_CACHE_DIR, else the platform's."""
    base = os.environ.get(CACHE_ENV)
    return Path(base) if base else user_cache_path("dsabench")
