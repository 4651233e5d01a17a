"""What every emulated kernel is compiled with: headers, precompiled, and the emulator itself. Made once and kept in the system's
temporary folder by what it is made of, for all processes of a test run and the runs after it: 6 s, of which a kernel is left 0.4 s
where it took 1.3 s."""

from __future__ import annotations

import fcntl
import functools
import hashlib
import os
import shutil
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).parent / "cuda_emulator"
INCLUDE = Path(__file__).parents[2] / "dsabench" / "kernels" / "cuda" / "include"
COMPILER = shutil.which("g++")
KERNEL_FLAGS = ("-O1", "-fno-strict-aliasing")
"""of kernels, so of the precompiled header too: g++ does not take it with others"""
MACHINE_FLAGS = ("-O3", "-march=native")
UNUSED_SECONDS = 7 * 86400
"""after which what an older emulator was is removed; 70 MB"""


@dataclass(frozen=True)
class EmulatorParts:
    """include: the package's headers and the emulator's over them; machine: the emulator itself."""

    include: Path
    machine: Path


def gcc(*command: object) -> str:
    """What it prints. Fails the test on an error."""
    done = subprocess.run([str(COMPILER), "-std=c++20", "-fPIC", "-D_FORTIFY_SOURCE=0", "-w", *map(str, command)],
                          capture_output=True, text=True)  # fmt: skip
    assert done.returncode == 0, done.stderr[-4000:]
    return done.stdout


@functools.cache
def emulator_parts() -> EmulatorParts:
    named = f"dsabench-emulator-{os.getuid()}-"
    texts = _texts()
    folder = Path(tempfile.gettempdir()) / f"{named}{_key(texts)}"
    with folder.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not folder.exists():
            made = Path(tempfile.mkdtemp(prefix=named, dir=folder.parent))
            _make(made, texts)
            made.rename(folder)
            _remove_unused(folder.parent, named)
    assert folder.stat().st_uid == os.getuid(), f"{folder} is another user's"
    os.utime(folder)
    return EmulatorParts(folder / "include", folder / "machine.o")


def _texts() -> dict[str, str]:
    """By name, read once: what is compiled is what the key is of, though a file be edited meanwhile."""
    files = [*INCLUDE.glob("*.cuh"), *HERE.glob("*.cuh"), *HERE.glob("*.h"), *HERE.glob("*.cpp")]
    return {file.name: file.read_text() for file in files}


def _key(texts: dict[str, str]) -> str:
    """Of all that is compiled, of how, and of the compiler and the CPU's instructions, both of which are among its macros."""
    macros = gcc("-march=native", "-E", "-dM", "-x", "c++", os.devnull)
    whole = repr((macros, KERNEL_FLAGS, MACHINE_FLAGS, sorted(texts.items())))
    return hashlib.sha256(whole.encode()).hexdigest()[:16]


def _make(folder: Path, texts: dict[str, str]) -> None:
    include = folder / "include"
    include.mkdir()
    for name, text in texts.items():  # in one folder: an `#include` in quotes looks beside the including file first
        (include / name).write_text(text)
    gcc(*KERNEL_FLAGS, "-x", "c++-header", include / "emulator.h", "-o", include / "emulator.h.gch")
    # As one file: most of the time goes to the standard headers.
    whole = folder / "machine.cpp"
    whole.write_text("".join(f'#include "include/{name}"\n' for name in sorted(texts) if name.endswith(".cpp")))
    gcc(*MACHINE_FLAGS, "-c", whole, "-o", folder / "machine.o")


def _remove_unused(parent: Path, named: str) -> None:
    for folder in parent.glob(f"{named}*"):
        if time.time() - folder.stat().st_mtime > UNUSED_SECONDS:
            if folder.is_dir():
                shutil.rmtree(folder, ignore_errors=True)
            else:
                folder.unlink(missing_ok=True)
