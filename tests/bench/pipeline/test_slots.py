from __future__ import annotations

import pytest
import torch

from dsabench.bench.pipeline.slots import slot_mapper, slots_of
from dsabench.bench.pipeline.triton_slots import map_launch


def by_hand(positions: torch.Tensor, table: torch.Tensor) -> list:
    return [
        [[int(row[p // 64]) * 64 + p % 64 if 0 <= p < 64 * len(row) else -1 for p in query] for query in sequence]
        for sequence, row in zip(positions.tolist(), table, strict=True)
    ]


@pytest.fixture(params=[(1, 1, 5, 3), (3, 2, 70, 9), (2, 1, 1100, 40)])
def case(request) -> tuple[torch.Tensor, torch.Tensor]:
    b, s_q, k, blocks = request.param
    generator = torch.Generator().manual_seed(1)
    table = torch.randperm(b * blocks, generator=generator).view(b, blocks).int()
    positions = torch.randint(-1, blocks * 64, (b, s_q, k), generator=generator, dtype=torch.int32)
    positions[0, 0, :5] = torch.tensor([-1, blocks * 64 - 1, blocks * 64, 0x7F7F7F7F, -(2**31)])
    return positions, table


def test_positions_become_slots_through_each_sequences_own_blocks(case) -> None:
    positions, table = case
    expected = by_hand(positions, table)
    assert slots_of(positions, table).tolist() == expected
    slots = torch.full_like(positions, 77)
    name, run = slot_mapper(positions, table, slots)
    run()
    assert name == "cpu"
    assert slots.tolist() == expected


def test_the_triton_kernel_maps_the_same(case) -> None:
    positions, table = case
    slots = torch.full_like(positions, 77)
    map_launch(positions, table, slots).run()
    assert torch.equal(slots, slots_of(positions, table))


def test_what_is_mapped_is_read_when_it_runs() -> None:
    positions = torch.zeros((1, 1, 4), dtype=torch.int32)
    slots = torch.empty_like(positions)
    _, run = slot_mapper(positions, torch.tensor([[5, 2]], dtype=torch.int32), slots)
    positions[0, 0] = torch.tensor([0, 63, 64, 127])
    run()
    assert slots.tolist() == [[[320, 383, 128, 191]]]


def test_many_entries_are_shared_among_threads_without_a_gap() -> None:
    generator = torch.Generator().manual_seed(2)
    table = torch.randperm(5 * 30, generator=generator).view(5, 30).int()
    positions = torch.randint(-1, 30 * 64, (5, 7, 4096), generator=generator, dtype=torch.int32)
    slots = torch.full_like(positions, 77)
    slot_mapper(positions, table, slots)[1]()
    assert torch.equal(slots, slots_of(positions, table))
