"""Files written whole or not at all: who reads one beside us, or after a crash, never sees half of it."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from pathlib import Path


def write_whole(path: Path, content: str | bytes | Callable[[Path], None]) -> Path:
    """Writes `content` over what is at `path` (text as UTF-8), or lets it write the file it is given; makes the folder. Returns the
    path. Raises OSError, and then leaves what was there."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=".", suffix=".tmp")
    os.close(descriptor)
    temporary = Path(name)
    try:
        if callable(content):
            content(temporary)
        else:
            temporary.write_bytes(content.encode() if isinstance(content, str) else content)
        os.chmod(temporary, 0o644)  # mkstemp's are for its user alone
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
    return path
