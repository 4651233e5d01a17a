"""The CUDA C++ selection: its own text run on the CPU by `cuda_emulator`, and its plans."""

from __future__ import annotations

import itertools
import re
from unittest.mock import patch

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from dsabench.autotune.inspect.resources import kernel_log, read_ptxas_log
from dsabench.kernels.cuda.compile import compile_launch
from dsabench.kernels.cuda.source import CudaLaunch
from dsabench.kernels.implementation import Config
from dsabench.kernels.topk_select.contract import DISTRIBUTIONS, OP, Inputs
from dsabench.kernels.topk_select.impl_cuda import IMPLEMENTATION, SHARED_LIMIT, capacity, plan
from dsabench.kernels.workload import Workload
from tests.kernels.emulated_cuda import emulate, needs_compiler
from tests.kernels.running import check_all_rows, poisoned_outputs

# A block of 64 threads goes through every step of one of 1024, sixteen times as fast.
SMALL = {"THREADS": 64, "ITEMS": 2, "RADIX_BITS": 8, "BLOCKS_A_ROW": 1, "SAMPLES": 0, "PARTS": 1}
SAMPLED = {**SMALL, "ITEMS": 4, "RADIX_BITS": 11, "SAMPLES": 64}
CLUSTER = {**SMALL, "RADIX_BITS": 11, "BLOCKS_A_ROW": 3}
SAMPLED_CLUSTER = {**SAMPLED, "RADIX_BITS": 8, "BLOCKS_A_ROW": 4}
FILTERED = {**SAMPLED, "ITEMS": 2, "PARTS": 8, "BLOCKS_A_ROW": 2}
CONFIGS = {
    "one": SMALL,
    "sampled": SAMPLED,
    "cluster": CLUSTER,
    "sampled cluster": SAMPLED_CLUSTER,
    "filtered": FILTERED,
}
by_config = pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS)
by_form = pytest.mark.parametrize("deterministic", [0, 1], ids=["free", "deterministic"])


def select(inputs: Inputs, config: Config, room: int = 512, seed: int = 0) -> torch.Tensor:
    """A checked selection of every row, with room for any number of survivors."""
    outputs = poisoned_outputs(OP, inputs)
    with patch("dsabench.kernels.topk_select.impl_cuda.capacity", lambda k, columns: room):
        launches = plan(inputs, outputs, config)
    emulate(launches, seed)
    verdict = check_all_rows(OP, inputs, outputs)
    assert verdict.passed, verdict.reason
    return outputs[0]


def whole_rows(logits: torch.Tensor, k: int, deterministic: int = 1) -> Inputs:
    rows, width = logits.shape
    ends = torch.full((rows,), width, dtype=torch.int32)
    return Inputs(logits, torch.zeros(rows, dtype=torch.int32), ends, k, bool(deterministic))


@needs_compiler
@by_form
@by_config
@pytest.mark.parametrize("distribution", DISTRIBUTIONS)
def test_every_distribution(distribution, config, deterministic):
    axes = {"rows": 4, "s_kv": 2001, "k": 100, "deterministic": deterministic}
    select(Workload.of("topk_select", axes, distribution, seed=3).make_inputs(), config, seed=len(distribution))


@needs_compiler
@by_form
@by_config
@pytest.mark.parametrize("room", [8, 300])
def test_survivors_that_do_not_fit_stay_in_the_row(room, config, deterministic):
    for seed, distribution in enumerate(("normal", "one_bin", "equal", "near_ties", "relu_scores", "nan_inside")):
        axes = {"rows": 2, "s_kv": 1100, "k": 150, "deterministic": deterministic}
        select(Workload.of("topk_select", axes, distribution, seed).make_inputs(), config, room, seed)


@needs_compiler
@by_form
def test_every_order_and_tie_of_short_rows(deterministic):
    """All 5^4 rows of four scores from NaN, -inf, zeros of both signs and 1, at every k."""
    values = torch.tensor([torch.nan, -torch.inf, -0.0, 0.0, 1.0])
    rows = values[torch.tensor(list(itertools.product(range(5), repeat=4)))]
    for k in range(1, 5):
        inputs = whole_rows(rows, k, deterministic)
        select(inputs, {**SMALL, "THREADS": 32, "ITEMS": 1}, room=4, seed=k)


@needs_compiler
@by_form
@by_config
def test_every_window_of_a_row(config, deterministic):
    """Every start and end in the first and the last nine columns of a row: each alignment of the first vector and the last."""
    width = 600
    edges = [*range(9), *range(width - 9, width + 1)]
    windows = torch.tensor(list(itertools.product(edges, edges)), dtype=torch.int32)
    logits = torch.randn((len(windows), width), generator=torch.Generator().manual_seed(5))
    column = torch.arange(width)
    outside = (column < windows[:, :1]) | (column >= windows[:, 1:])
    logits[outside] = torch.inf
    starts, ends = (column.contiguous() for column in windows.T)
    select(Inputs(logits, starts, ends, 7, bool(deterministic)), config)


@needs_compiler
@by_form
def test_logits_at_any_float_of_memory(deterministic):
    """A storage offset of one float: rows are 16-byte aligned nowhere."""
    storage = torch.randn(1 + 3 * 1001, generator=torch.Generator().manual_seed(6))
    for offset in range(2):
        logits = storage[offset : offset + 3 * 1001].view(3, 1001)
        select(whole_rows(logits, 50, deterministic), CLUSTER)


@needs_compiler
@settings(max_examples=40, deadline=None)
@given(
    bits=st.lists(st.integers(0, 2**32 - 1), min_size=1, max_size=200),
    repeat=st.integers(1, 4),
    k=st.integers(1, 300),
    name=st.sampled_from(list(CONFIGS)),
    deterministic=st.integers(0, 1),
    room=st.integers(4, 64),
)
def test_any_bits_are_scores(bits, repeat, k, name, deterministic, room):
    words = torch.tensor(bits * repeat, dtype=torch.int64).sub(2**31).to(torch.int32)
    select(whole_rows(words.view(torch.float32)[None], k, deterministic), CONFIGS[name], room, seed=k)


@needs_compiler
@by_config
def test_the_deterministic_form_does_not_depend_on_the_order_of_threads(config):
    axes = {"rows": 1, "s_kv": 2500, "k": 300, "deterministic": 1}
    inputs = Workload.of("topk_select", axes, "near_ties", seed=7).make_inputs()
    first = select(inputs, config)
    for seed in range(1, 6):
        assert torch.equal(first, select(inputs, config, seed=seed))


@needs_compiler
def test_a_sample_that_misleads_costs_time_only():
    n, samples = 4096, 64
    i = torch.arange(samples)
    sampled = i * (n // samples) + ((i * 40503 % 65536) * (n // samples) >> 16)
    scores = torch.rand(2, n, generator=torch.Generator().manual_seed(8)) + 1.0
    scores[0, sampled] += 5.0  # the floor is above all but the sample
    scores[1, sampled] -= 5.0  # everything else reaches the floor
    for deterministic in (0, 1):
        select(whole_rows(scores, 200, deterministic), SAMPLED, room=400)


@needs_compiler
@by_form
def test_parts_of_several_tiles(deterministic):
    """A bitmap holds 128 columns a thread: 40,000 columns of one block of 64 are five of them."""
    scores = torch.randn((1, 40_000), generator=torch.Generator().manual_seed(9))
    scores[0, torch.randperm(40_000, generator=torch.Generator().manual_seed(10))[:3000]] = 3.0
    for room in (64, 1024):
        select(whole_rows(scores, 1000, deterministic), SMALL, room)


PLANNED = {
    "cluster": (20_000, {"BLOCKS_A_ROW": 2, "THREADS": 1024, "ITEMS": 2, "RADIX_BITS": 11, "SAMPLES": 0}),
    "sampled": (20_000, {"BLOCKS_A_ROW": 2, "THREADS": 512, "ITEMS": 2, "RADIX_BITS": 11, "SAMPLES": 2048}),
    "filtered": (131_072, {"PARTS": 32, "BLOCKS_A_ROW": 8, "THREADS": 512, "RADIX_BITS": 11, "SAMPLES": 2048}),
}


@needs_compiler
@by_form
@pytest.mark.parametrize(("columns", "config"), PLANNED.values(), ids=PLANNED)
def test_what_is_planned_is_what_runs(columns, config, deterministic):
    axes = {"rows": 1, "s_kv": columns, "k": 2048, "deterministic": deterministic}
    inputs = Workload.of("topk_select", axes, "near_ties" if config["SAMPLES"] else "normal", seed=11).make_inputs()
    full = IMPLEMENTATION.check_config(config, OP.axes_of(inputs))
    outputs = poisoned_outputs(OP, inputs)
    emulate(plan(inputs, outputs, full), seed=11)
    verdict = check_all_rows(OP, inputs, outputs)
    assert verdict.passed, verdict.reason


@needs_compiler
@by_form
def test_what_the_filters_had_no_room_for_is_found_in_the_row(deterministic):
    """The k highest side by side, in one part of eight; and a window that no floor is made for."""
    axes = {"rows": 2, "s_kv": 2000, "k": 60, "deterministic": deterministic}
    for room in (40, 70, 512):
        select(Workload.of("topk_select", axes, "clustered", seed=12).make_inputs(), FILTERED, room)
    few = {**axes, "s_kv": 200}
    select(Workload.of("topk_select", few, "ragged_windows", seed=13).make_inputs(), FILTERED)


@needs_compiler
@by_form
@by_config
def test_rows_of_one_column(config, deterministic):
    for k in (1, 3):
        select(whole_rows(torch.tensor([[torch.nan], [-torch.inf]]), k, deterministic), config)


ROWS = [1, 2, 3, 4, 8, 9, 16, 17, 33, 64, 66, 67, 100, 132, 133, 200, 264, 300, 528, 1024, 4096]
COLUMNS = [1, 2048, 4096, 8192, 16384, 32768, 65536, 131072, 262144, 524288, 1 << 20]


@pytest.mark.parametrize("k", [1, 2048, 4096])
@pytest.mark.parametrize("rows", ROWS)
def test_every_cell_of_the_table_has_a_default_that_fits_and_a_small_space(rows, k):
    for s_kv in COLUMNS:
        axes = {"rows": rows, "s_kv": s_kv, "k": k, "deterministic": 0}
        default = IMPLEMENTATION.default_config(axes)
        assert IMPLEMENTATION.constraint(default, axes) is None
        legal = [c for c in IMPLEMENTATION.configs() if IMPLEMENTATION.constraint(c, axes) is None]
        assert default in legal
        assert len(legal) <= 40


def test_one_row_of_a_million_scores_has_every_sm_but_four():
    config = IMPLEMENTATION.default_config({"rows": 1, "s_kv": 1 << 20, "k": 2048, "deterministic": 0})
    assert config["PARTS"] == 128
    assert config["BLOCKS_A_ROW"] == 8


def planned(axes: dict[str, int], config: Config) -> list[CudaLaunch]:
    inputs = OP.empty_inputs(OP.complete_axes(axes), torch.device("meta"))
    return plan(inputs, OP.empty_outputs(inputs), config)


def test_plans_touch_no_data_and_fit_a_block():
    for rows, s_kv, k in ((1, 1, 1), (64, 65536, 2048), (4096, 8192, 4096), (1, 1 << 20, 4096), (2, 1 << 20, 2048)):
        axes = {"rows": rows, "s_kv": s_kv, "k": k, "deterministic": 0}
        for config in IMPLEMENTATION.configs():
            if IMPLEMENTATION.constraint(config, axes) is not None:
                continue
            *filters, launch = planned(axes, config)
            assert launch.grid[0] == rows * (launch.cluster or 1)
            assert [f.grid[0] for f in filters] == [rows * config["PARTS"]][: config["PARTS"] > 1]
            assert all(each.shared_bytes <= SHARED_LIMIT for each in (*filters, launch))
            # A window longer than k always leaves room for what must be kept: k scores and one.
            assert capacity(k, s_kv) >= min(k + 1, s_kv)


def test_two_blocks_of_512_threads_share_an_sm():
    """65536 registers an SM. The deterministic form has the other's code and more. All of the space is inspected by the gate."""
    axes = {"rows": 264, "s_kv": 65536, "k": 2048, "deterministic": 1}
    (launch,) = planned(axes, IMPLEMENTATION.default_config(axes))
    assert launch.block == (512,)
    log = compile_launch(launch).log
    found = read_ptxas_log(kernel_log(log, launch.source.entry))
    assert (found.spill_store_bytes, found.spill_load_bytes) == (0, 0)
    (registers,) = re.findall(r"Used (\d+) registers", log)
    assert int(registers) <= 64
