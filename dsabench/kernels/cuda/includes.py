"""Which files a CUDA source is made of: itself and what it includes."""

from __future__ import annotations

import re
from pathlib import Path

INCLUDE_FOLDER = Path(__file__).parent / "include"
"""The package's own headers."""
_INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]*"([^"\n]+)"', re.MULTILINE)


def files_of(source: Path) -> list[Path]:
    """`source` and every file it includes in quotes, however deeply, each once: in the including file's folder, else in
    INCLUDE_FOLDER. An include that conditions leave out counts too; one that is nowhere is left to the compiler to refuse. Raises
    OSError where `source` cannot be read."""
    found: dict[Path, None] = {}
    todo = [source.resolve()]
    while todo:
        current = todo.pop()
        if current in found:
            continue
        found[current] = None
        for name in _INCLUDE.findall(current.read_text()):
            for folder in (current.parent, INCLUDE_FOLDER):
                if (folder / name).is_file():
                    todo.append((folder / name).resolve())
                    break
    return list(found)


def source_text(source: Path) -> str:
    """Of `files_of(source)`, in the order of their names, without comment lines and blank lines: a reworded comment makes no other
    kernel."""
    files = sorted(files_of(source), key=lambda path: path.name)
    return "\n".join(f"{path.name}\n{_code_lines(path.read_text())}" for path in files)


def _code_lines(text: str) -> str:
    return "\n".join(line.rstrip() for line in text.splitlines() if line.strip() and not line.lstrip().startswith("//"))
