"""The TileLang selection: the CUDA C++ that it is lowered to, run on the CPU by `cuda_emulator`, and its plans."""

from __future__ import annotations

import itertools
from dataclasses import replace

import pytest
import torch

from dsabench.kernels.implementation import Config
from dsabench.kernels.topk_select.contract import DISTRIBUTIONS, OP, Inputs
from dsabench.kernels.topk_select.impl_tilelang import IMPLEMENTATION, capacity, plan
from dsabench.kernels.workload import Workload
from tests.kernels.emulated_cuda import needs_compiler
from tests.kernels.emulated_tilelang import emulate
from tests.kernels.running import check_all_rows, poisoned_outputs

pytest.importorskip("tilelang")

# Lowering a kernel takes seconds: all tests here share six, of 64 threads, which go through every step of 1024. 256 keys fit.
THREADS, CAPACITY = 64, 256
ROWS: Config = {"NUM_SPLITS": 1, "THREADS": THREADS, "ITEMS": 4, "RADIX_BITS": 8}
PARTS: Config = {"NUM_SPLITS": 4, "THREADS": THREADS, "ITEMS": 4, "RADIX_BITS": 11}
by_config = pytest.mark.parametrize("config", [ROWS, PARTS], ids=["rows", "parts"])
by_form = pytest.mark.parametrize("deterministic", [0, 1], ids=["free", "deterministic"])


def select(inputs: Inputs, config: Config, seed: int = 0) -> torch.Tensor:
    """A checked selection of every row, by blocks of THREADS that keep CAPACITY keys."""
    outputs = poisoned_outputs(OP, inputs)
    small = {"THREADS": THREADS, "CAPACITY": CAPACITY}
    launches = [replace(each, constants={**each.constants, **small}) for each in plan(inputs, outputs, config)]
    emulate(launches, seed)
    verdict = check_all_rows(OP, inputs, outputs)
    assert verdict.passed, verdict.reason
    return outputs[0]


def windows_of(logits: torch.Tensor, windows: torch.Tensor, k: int, deterministic: int) -> Inputs:
    starts, ends = (edge.clone() for edge in windows.int().T)
    return Inputs(logits, starts, ends, k, bool(deterministic))


def whole_rows(logits: torch.Tensor, k: int, deterministic: int = 1) -> Inputs:
    return windows_of(logits, torch.tensor([[0, logits.shape[1]]] * len(logits)), k, deterministic)


@needs_compiler
@by_form
@by_config
def test_every_distribution(config, deterministic):
    """Most windows do not fit; of some the bucket does at once, of some never."""
    for seed, distribution in enumerate(DISTRIBUTIONS):
        axes = {"rows": 4, "s_kv": 2001, "k": 100, "deterministic": deterministic}
        select(Workload.of("topk_select", axes, distribution, seed).make_inputs(), config, seed)


@needs_compiler
@by_form
@by_config
def test_windows_of_any_length_and_place(config, deterministic):
    """Lengths 0 to 3 k, around the capacity and a step, with infinities and NaN outside: parts are empty, shorter than k, longer."""
    k, width = 90, 1300
    lengths = [
        *range(8),
        *range(k - 2, k + 3),
        180,
        269,
        270,
        271,
        359,
        360,
        361,
        *range(254, 259),
        511,
        512,
        513,
        1290,
    ]
    generator = torch.Generator().manual_seed(1)
    logits = torch.randn((len(lengths), width), generator=generator)
    windows = torch.tensor([(7 * i % (width - n), 7 * i % (width - n) + n) for i, n in enumerate(lengths)])
    column = torch.arange(width)
    outside = (column < windows[:, :1]) | (column >= windows[:, 1:])
    logits[outside] = torch.tensor([torch.inf, torch.nan, -torch.inf])[column % 3].expand(len(lengths), -1)[outside]
    select(windows_of(logits, windows, k, deterministic), config)
    select(windows_of(logits, windows.flip(1), k, deterministic), config)  # starts > ends


@needs_compiler
@by_form
def test_every_order_and_tie_of_short_rows(deterministic):
    """All 5^4 rows of four scores from NaN, -inf, zeros of both signs and 1."""
    values = torch.tensor([torch.nan, -torch.inf, -0.0, 0.0, 1.0])
    rows = values[torch.tensor(list(itertools.product(range(5), repeat=4)))]
    for k in (1, 3):
        select(whole_rows(rows, k, deterministic), ROWS, seed=k)


@needs_compiler
@by_form
@by_config
def test_any_bits_are_scores(config, deterministic):
    generator = torch.Generator().manual_seed(2)
    words = torch.randint(-(2**31), 2**31, (6, 900), generator=generator).int()
    words[3:] = words[3:, torch.arange(900) // 5]  # each five times
    for k in (1, 77, 899):
        select(whole_rows(words.view(torch.float32), k, deterministic), config, seed=k)


@needs_compiler
@by_config
def test_the_deterministic_form_does_not_depend_on_the_order_of_threads(config):
    axes = {"rows": 2, "s_kv": 1500, "k": 120, "deterministic": 1}
    inputs = Workload.of("topk_select", axes, "near_ties", seed=7).make_inputs()
    first = select(inputs, config)
    for seed in range(1, 4):
        assert torch.equal(first, select(inputs, config, seed))


@needs_compiler
def test_long_rows_with_more_ties_than_fit():
    """More than 2¹⁶ columns; 20,000 candidates share a bin, 3,000 are equal at the cut."""
    generator = torch.Generator().manual_seed(9)
    scores = torch.rand((1, 70_000), generator=generator) + 4.0
    scores[0, 20_000:] -= 4.0
    scores[0, torch.randperm(20_000, generator=generator)[:3000]] = 4.9
    for config in (ROWS, PARTS):
        select(whole_rows(scores, 3000, 1), config)


@pytest.mark.parametrize("rows", [1, 3, 8, 64, 200, 4096])
@pytest.mark.parametrize("s_kv", [1, 4096, 8192, 65536, 131072, 1 << 20])
def test_defaults_are_legal_and_the_grid_small(rows, s_kv):
    for k in (1, 2048, 4096):
        axes = {"rows": rows, "s_kv": s_kv, "k": k, "deterministic": 0}
        assert IMPLEMENTATION.constraint(IMPLEMENTATION.default_config(axes), axes) is None
        legal = [c for c in IMPLEMENTATION.configs() if IMPLEMENTATION.constraint(c, axes) is None]
        assert len(legal) <= 24
        assert {c["RADIX_BITS"] for c in legal} == {8, 11}


def test_plans_touch_no_data():
    for rows, s_kv, k in ((1, 1, 1), (64, 65536, 2048), (1, 1 << 20, 4096)):
        inputs = OP.empty_inputs(OP.complete_axes({"rows": rows, "s_kv": s_kv, "k": k}), torch.device("meta"))
        for config in IMPLEMENTATION.configs():
            if IMPLEMENTATION.constraint(config, OP.axes_of(inputs)) is not None:
                continue
            launches = plan(inputs, OP.empty_outputs(inputs), config)
            splits = config["NUM_SPLITS"]
            assert [each.grid for each in launches] == ([(rows,)] if splits == 1 else [(splits, rows), (rows,)])
            assert all(
                tensor.is_meta for each in launches for tensor in each.arguments.values() if hasattr(tensor, "is_meta")
            )


def test_a_block_can_keep_what_it_must():
    """k scores, and one more: a longer window leaves the first digit undecided."""
    assert [capacity(k) for k in (1, 1024, 1025, 2048, 4096)] == [4096, 4096, 8192, 8192, 12288]
