"""The reads by which a GPU's cold and warm times are told apart, interpreted."""

from __future__ import annotations

import pytest
import torch

from dsabench.bench.gpu import measuring
from dsabench.bench.gpu.ceilings import read_launch, read_tile_bytes


def test_each_call_reads_its_own_buffer_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    launches = []

    def watched(source: torch.Tensor, words: int, warps: int) -> object:
        launches.append(read_launch(source.fill_(len(launches) + 1), words, warps))
        return launches[-1]

    monkeypatch.setattr(measuring, "read_launch", watched)
    program = read_tile_bytes(measuring._READ_WORDS)
    read = measuring.read_calls(2 * program + 100, 3, torch.device("cpu"))
    assert len({launch.arguments["source_ptr"].data_ptr() for launch in launches}) == 3
    for copy in (2, 0):
        read(copy)
        sums = launches[copy].arguments["sums_ptr"]
        assert sums.tolist() == [(copy + 1) * program // 4] * 2


def test_a_quarter_of_hoppers_l2s_is_whole_programs() -> None:
    for l2_bytes in (50 * 2**20, 60 * 2**20):
        assert l2_bytes // 4 % read_tile_bytes(measuring._READ_WORDS) == 0
        assert l2_bytes // 4 // read_tile_bytes(measuring._READ_WORDS) > 2 * 132
