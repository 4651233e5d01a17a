"""Slots and rows are what their distributions promise."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from dsabench.bench.workbench import POISON
from dsabench.kernels.cache_rows.exact import exact_quantized
from dsabench.kernels.cache_rows.slots import SLOT_DISTRIBUTIONS, UNUSED, blocks_for, draw_slots, in_range
from dsabench.kernels.cache_rows.values import VALUE_DISTRIBUTIONS, draw_rows
from dsabench.kernels.fp8 import AMAX_FLOOR, E4M3_MAX


def slots_of(distribution: str, rows: int = 100, page: int = 16) -> tuple[torch.Tensor, int]:
    num_blocks = blocks_for(rows, page)
    return draw_slots(distribution, rows, num_blocks, page, np.random.default_rng(3)), num_blocks * page


def rows_of(distribution: str, rows: int = 90) -> torch.Tensor:
    return draw_rows(distribution, rows, 576, 128, torch.Generator().manual_seed(2))


def groups(rows: torch.Tensor) -> torch.Tensor:
    return rows[:, :512].float().unflatten(1, (4, 128))


def test_a_fresh_cache_is_what_a_trial_poisons() -> None:
    assert UNUSED == POISON


@pytest.mark.parametrize("distribution", SLOT_DISTRIBUTIONS)
@pytest.mark.parametrize(("rows", "page"), [(1, 1), (1, 64), (100, 16), (65, 64), (7, 1)])
def test_slots_in_range_are_distinct_and_some_slot_is_never_named(distribution: str, rows: int, page: int) -> None:
    slots, capacity = slots_of(distribution, rows, page)
    valid = slots[in_range(slots, capacity)]
    assert slots.shape == (rows,)
    assert len(valid.unique()) == len(valid)
    assert bool(in_range(slots, capacity)[0])
    assert len(valid) < capacity
    assert len(valid) == (rows + 1) // 2 if distribution in ("padded", "out_of_range") else len(valid) == rows


def test_slots_are_what_is_promised() -> None:
    normal, _ = slots_of("normal")
    assert normal.dtype == torch.int64
    assert ((normal[1:] - normal[:-1]) == 1).float().mean() > 0.9, "in order within their blocks"
    assert normal.tolist() != sorted(normal.tolist())
    assert slots_of("int32_slots")[0].dtype == torch.int32
    scattered, _ = slots_of("scattered")
    assert ((scattered[1:] - scattered[:-1]) == 1).float().mean() < 0.1
    assert (slots_of("padded")[0][1::2] == -1).all()
    outside, capacity = slots_of("out_of_range")
    assert not in_range(outside, capacity)[1::2].any()
    assert {capacity, -2, 2**31 - 1, 2**32, -(2**63)} <= set(outside.tolist()), (
        "what 32 bits would take for a slot among them"
    )


def test_rows_are_what_is_promised() -> None:
    assert set(torch.signbit(rows_of("zeros")).flatten().tolist()) == {True, False}
    assert (rows_of("zeros") == 0).all()
    amax = groups(rows_of("tiny")).abs().amax(-1)
    assert ((amax > 0) & (amax < AMAX_FLOOR)).any()
    assert (amax > AMAX_FLOOR).any()
    assert (amax < 2.0**-126).any()
    assert rows_of("huge").abs().amax() == torch.finfo(torch.bfloat16).max
    spread = groups(rows_of("spread")).abs()
    assert (spread.amax(-1) / spread.amin(-1)).max() > 1e30
    special = groups(rows_of("nonfinite"))
    assert 0.2 < (~special.isfinite()).any(-1).float().mean() < 0.5
    assert {bool(test(special).any()) for test in (torch.isnan, torch.isposinf, torch.isneginf)} == {True}
    assert rows_of("any_bits").view(torch.int16).unique().numel() > 30_000


@pytest.mark.parametrize("ue8m0", [False, True])
def test_halves_are_exactly_between_codes(ue8m0: bool) -> None:
    rows = rows_of("halves")
    codes, scales = exact_quantized(rows[:, :512], 128, ue8m0)
    assert (np.frexp(scales)[0] == 0.5).all(), "448 is the largest: scales are powers of two"
    quotients = groups(rows).numpy() / scales[..., None]
    nearest = torch.from_numpy(codes).view(torch.float8_e4m3fn).float().unflatten(1, (4, 128)).numpy()
    ulp = np.maximum(2.0 ** (np.frexp(np.abs(quotients))[1] - 4), 2.0**-9)
    assert (np.abs(quotients - nearest) == ulp / 2).mean() > 0.2


def test_edges_stand_at_448() -> None:
    rows = rows_of("edges")
    _, scales = exact_quantized(rows[:, :512], 128, False)
    quotients = np.abs(groups(rows).numpy()) / scales[..., None]
    assert (quotients == E4M3_MAX).any()
    assert ((quotients < E4M3_MAX) & (quotients > 446)).any()
    assert (quotients < 2.0**-9).any()


@pytest.mark.parametrize("distribution", ["normal", *VALUE_DISTRIBUTIONS])
def test_rows_of_every_width(distribution: str) -> None:
    for rows, width in ((1, 128), (5, 576), (3, 512)):
        drawn = draw_rows(distribution, rows, width, 128, torch.Generator().manual_seed(0))
        assert (drawn.shape, drawn.dtype) == ((rows, width), torch.bfloat16)
        again = draw_rows(distribution, rows, width, 128, torch.Generator().manual_seed(0))
        assert torch.equal(drawn.view(torch.int16), again.view(torch.int16))
