"""Revisions of a checkout written out, and what is none."""

from __future__ import annotations

import subprocess

import pytest

from dsabench.bench.gate import trees
from dsabench.bench.gate.trees import TreeError, git_root, revision, working_tree


@pytest.fixture
def checkout(tmp_path, monkeypatch):
    monkeypatch.setenv("DSABENCH_CACHE_DIR", str(tmp_path / "cache"))
    folder = tmp_path / "checkout"
    (folder / "kernels").mkdir(parents=True)

    def git(*words):
        who = ["-c", "user.name=a", "-c", "user.email=a@b"]
        subprocess.run(["git", *who, *words], cwd=folder, check=True, capture_output=True)

    git("init", "-q", "-b", "main")
    for text in ("first", "second"):
        (folder / "kernels" / "mine.py").write_text(text)
        git("add", ".")
        git("commit", "-qm", text)
    return folder


def test_a_revision_is_written_out_once_and_is_what_it_was(checkout):
    old = revision(checkout, "HEAD~1")
    assert (old.folder / "kernels" / "mine.py").read_text() == "first"
    assert old.plugin("kernels/mine.py").read_text() == "first"
    assert old.name == "HEAD~1"
    assert len(old.commit) == 40
    before = (old.folder / "kernels" / "mine.py").stat()
    assert revision(checkout, old.commit).folder == old.folder
    after = (old.folder / "kernels" / "mine.py").stat()
    assert (before.st_ino, before.st_mtime) == (after.st_ino, after.st_mtime)


def test_the_working_tree_has_what_is_not_committed(checkout):
    tree = working_tree(git_root(checkout / "kernels"))
    assert not tree.commit.endswith("-dirty")
    (checkout / "kernels" / "mine.py").write_text("third")
    changed = working_tree(checkout)
    assert changed.commit == f"{tree.commit}-dirty"
    assert changed.plugin("kernels/mine.py").read_text() == "third"
    assert changed.kernels is None


def test_a_tree_of_dsabench_has_its_own_kernels(tmp_path):
    package = tmp_path / "dsabench" / "kernels"
    package.mkdir(parents=True)
    assert working_tree(tmp_path).kernels is None
    (package / "__init__.py").touch()
    assert working_tree(tmp_path).kernels == package


def test_commits_with_the_same_kernels_share_them(checkout):
    package = checkout / "dsabench" / "kernels"
    package.mkdir(parents=True)

    def commit(name, text):
        (checkout / name).write_text(text)
        who = ["-c", "user.name=a", "-c", "user.email=a@b"]
        subprocess.run(["git", "add", "."], cwd=checkout, check=True)
        subprocess.run(["git", *who, "commit", "-qm", "more"], cwd=checkout, check=True)
        return revision(checkout, "HEAD")

    first = commit("dsabench/kernels/__init__.py", "KERNELS = 1")
    second = commit("README.md", "other")
    third = commit("dsabench/kernels/__init__.py", "KERNELS = 2")
    assert first.folder != second.folder
    assert first.kernels == second.kernels
    assert first.kernels is not None
    assert (first.kernels / "__init__.py").read_text() == "KERNELS = 1"
    assert third.kernels is not None
    assert (third.kernels / "__init__.py").read_text() == "KERNELS = 2"


def test_the_oldest_go_when_there_are_many(checkout, monkeypatch):
    monkeypatch.setattr(trees, "MOST_KEPT", 1)
    first = revision(checkout, "HEAD~1").folder
    second = revision(checkout, "HEAD").folder
    assert second.is_dir()
    assert not first.exists()


@pytest.mark.parametrize("ref", ["nothing", "-x", "", "HEAD:kernels"])
def test_what_is_no_revision_is_said(checkout, ref):
    with pytest.raises(TreeError, match="revision"):
        revision(checkout, ref)


def test_no_checkout_and_no_folder_are_said(tmp_path):
    with pytest.raises(TreeError, match="fails in"):
        git_root(tmp_path)
    with pytest.raises(TreeError, match="no folder"):
        working_tree(tmp_path / "nowhere")
    assert working_tree(tmp_path).commit == "unknown"


def test_a_full_disk_leaves_no_half_tree(checkout, monkeypatch):
    def full(self, *args, **kwargs):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(trees.tarfile.TarFile, "extractall", full)
    with pytest.raises(TreeError, match="No space left"):
        revision(checkout, "HEAD")
    monkeypatch.undo()
    monkeypatch.setenv("DSABENCH_CACHE_DIR", str(checkout.parent / "cache"))
    assert (revision(checkout, "HEAD").folder / "kernels" / "mine.py").read_text() == "second"
