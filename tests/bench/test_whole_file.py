"""Whole files: over older ones, into new folders, and nothing at all when the disk refuses."""

from __future__ import annotations

import stat

import pytest

from dsabench.bench.whole_file import write_whole


def test_text_bytes_and_writers_are_written_over_what_was_there(tmp_path):
    path = tmp_path / "new" / "file"
    assert write_whole(path, "größer").read_bytes() == "größer".encode()
    assert write_whole(path, b"\x00\xff").read_bytes() == b"\x00\xff"
    write_whole(path, lambda file: file.write_text("drawn") and None)
    assert path.read_text() == "drawn"
    assert stat.S_IMODE(path.stat().st_mode) == 0o644
    assert list(path.parent.iterdir()) == [path]


def test_what_fails_leaves_the_old_file_and_no_piece_of_a_new_one(tmp_path):
    path = write_whole(tmp_path / "file", "old")

    def full(file):
        file.write_text("half")
        raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space"):
        write_whole(path, full)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]
    with pytest.raises(FileExistsError):
        write_whole(path / "below", "text")
