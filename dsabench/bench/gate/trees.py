"""The two source trees of a gate: folders, or git revisions written out beside one another."""

from __future__ import annotations

import os
import shutil
import subprocess
import tarfile
import tempfile
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock

from dsabench.bench.other_kernels import kernels_folder
from dsabench.kernels.user_cache import user_cache_root

MOST_KEPT = 16
"""Folders in the cache, two a revision."""


class TreeError(ValueError):
    """A tree or revision that cannot be used; the message says why."""


@dataclass(frozen=True)
class SourceTree:
    """name: as its user knows it; folder: its root; commit: of a git checkout, with `-dirty`, else `unknown`; kernels: its own
    `dsabench.kernels`, None in another project, whose plugins run beside the kernels installed here."""

    name: str
    folder: Path
    commit: str
    kernels: Path | None = None

    def plugin(self, path: str) -> Path:
        """A plugin's path as this tree has it: a relative one is looked for in the tree."""
        return self.folder / path


def git_root(folder: Path) -> Path:
    """The checkout that `folder` lies in. Raises TreeError."""
    return Path(_git(folder, "rev-parse", "--show-toplevel"))


def working_tree(folder: Path) -> SourceTree:
    """A folder as it is, with what is not committed. Raises TreeError when it is none."""
    if not folder.is_dir():
        raise TreeError(f"{folder} is no folder")
    folder = folder.resolve()
    try:
        commit = _git(folder, "rev-parse", "HEAD")
        changed = _git(folder, "status", "--porcelain", "--untracked-files=no")
    except TreeError:
        return SourceTree(str(folder), folder, "unknown", kernels_folder(folder))
    return SourceTree(str(folder), folder, commit + ("-dirty" if changed else ""), kernels_folder(folder))


def revision(checkout: Path, ref: str) -> SourceTree:
    """A revision of a checkout, written out whole into the cache (once for each commit). Raises TreeError when there is none or the
    disk refuses it."""
    if ref.startswith("-"):
        raise TreeError(f"{ref!r} is no git revision")
    try:
        commit = _git(checkout, "rev-parse", "--verify", "--quiet", f"{ref}^{{commit}}")
    except TreeError as error:
        raise TreeError(f"{ref!r} is no revision of {checkout}; a shallow clone lacks it (fetch it first)") from error
    root = user_cache_root() / "trees"
    folder = root / commit
    try:
        root.mkdir(parents=True, exist_ok=True)
        with FileLock(root / ".lock"):
            if not folder.is_dir():
                _write_out(checkout, commit, folder)
            kernels = _kernels(checkout, commit, folder)
            kept = {each for each in (folder, kernels) if each is not None}
            for each in kept:
                os.utime(each)
            _drop_oldest(root, kept)
    except (OSError, tarfile.TarError) as error:
        raise TreeError(f"cannot write {ref} out into {root}: {getattr(error, 'strerror', None) or error}") from error
    return SourceTree(ref, folder, commit, kernels)


def _write_out(checkout: Path, commit: str, folder: Path) -> None:
    partial = Path(tempfile.mkdtemp(prefix=".", dir=folder.parent))
    try:
        with subprocess.Popen(
            ["git", "-C", str(checkout), "archive", "--format=tar", commit],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        ) as process:
            assert process.stdout is not None
            with tarfile.open(fileobj=process.stdout, mode="r|") as archive:
                archive.extractall(partial, filter="data")
        partial.rename(folder)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise


def _kernels(checkout: Path, commit: str, folder: Path) -> Path | None:
    """In a folder named by their content: compiled once for all commits that do not touch them (numba finds its machine code by the
    source's path)."""
    written = kernels_folder(folder)
    if written is None:
        return None
    prefix = _git(checkout, "rev-parse", "--verify", f"{commit}:{written.relative_to(folder)}")
    shared = folder.parent / f"kernels-{prefix}"
    if not shared.is_dir():
        partial = Path(tempfile.mkdtemp(prefix=".", dir=folder.parent))
        shutil.copytree(written, partial, dirs_exist_ok=True)
        partial.rename(shared)
    return shared


def _drop_oldest(root: Path, kept: set[Path]) -> None:
    known = sorted((p for p in root.iterdir() if p.is_dir() and p not in kept), key=lambda p: p.stat().st_mtime)
    for folder in known[: max(0, len(known) + len(kept) - MOST_KEPT)]:
        shutil.rmtree(folder, ignore_errors=True)


def _git(folder: Path, *words: str) -> str:
    try:
        done = subprocess.run(
            ["git", "-C", str(folder), *words], capture_output=True, text=True, timeout=60, check=True
        )
    except FileNotFoundError as error:
        raise TreeError("git is not installed here") from error
    except subprocess.SubprocessError as error:
        said = (getattr(error, "stderr", None) or "").strip().splitlines()
        raise TreeError(f"git {words[0]} fails in {folder}: {said[-1] if said else 'no output'}") from error
    return done.stdout.strip()
