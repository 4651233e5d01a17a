"""The Triton selection in Triton's interpreter: every check is exact, deterministic order included."""

from __future__ import annotations

import pytest
import torch
import triton
import triton.language as tl

from dsabench.kernels.implementation import Config, ConfigValue
from dsabench.kernels.topk_select.contract import DISTRIBUTIONS, OP, Inputs
from dsabench.kernels.topk_select.impl_triton import IMPLEMENTATION, SMS, plan
from dsabench.kernels.topk_select.reference import NAN_KEY, order_keys
from dsabench.kernels.topk_select.triton_keys import BOTTOM, TOP, key_of, score_of
from dsabench.kernels.workload import Workload
from tests.kernels.running import check_all_rows, check_configs, poisoned_outputs, run_poisoned

ONE: dict[str, ConfigValue] = {"PARTS": 1, "BLOCK": 2048, "NUM_WARPS": 8, "SAMPLES": 1024}
BIG = {**ONE, "BLOCK": 8192, "NUM_WARPS": 16}
TWO = {**BIG, "PARTS": 2}


def run_and_check(inputs: Inputs, config: Config) -> torch.Tensor:
    (indices,) = outputs = run_poisoned(OP, IMPLEMENTATION, inputs, config)
    verdict = check_all_rows(OP, inputs, outputs)
    assert verdict.passed, verdict.reason
    return indices


def whole_rows(logits: torch.Tensor, k: int) -> Inputs:
    rows, width = logits.shape
    return Inputs(logits, torch.zeros(rows, dtype=torch.int32), torch.full((rows,), width, dtype=torch.int32), k, True)


def kept_by_filter(inputs: Inputs, config: Config) -> torch.Tensor:
    """How many scores of each row survive the filter, after a checked run of at most as many rows as programs."""
    outputs = poisoned_outputs(OP, inputs)
    launches = plan(inputs, outputs, config)
    counts = launches[0].arguments["kept_counts"].zero_()
    for launch in launches:
        launch.run()
    verdict = check_all_rows(OP, inputs, outputs)
    assert verdict.passed, verdict.reason
    return counts.sum(-1)


@pytest.mark.parametrize("distribution", DISTRIBUTIONS)
def test_every_distribution_in_rows_that_are_not_filtered(distribution):
    axes = {"rows": 2, "s_kv": 1900, "k": 200, "deterministic": 1}
    assert check_configs("topk_select", "triton", axes, distribution, [ONE], seed=3) == 1


@pytest.mark.parametrize("distribution", DISTRIBUTIONS)
def test_every_distribution_in_filtered_rows(distribution):
    axes = {"rows": 2, "s_kv": 5000, "k": 64, "deterministic": 1}
    assert check_configs("topk_select", "triton", axes, distribution, [ONE], seed=4) == 1


@pytest.mark.parametrize("distribution", DISTRIBUTIONS)
def test_every_distribution_in_parts(distribution):
    axes = {"rows": 1, "s_kv": 20000, "k": 256, "deterministic": 0}
    assert check_configs("topk_select", "triton", axes, distribution, [TWO], seed=5) == 1


@pytest.mark.parametrize(
    ("s_kv", "k"), [(1, 1), (1, 3), (40, 64), (64, 64), (65, 64), (300, 1), (5000, 1), (3000, 2900), (5000, 4096)]
)
@pytest.mark.parametrize("distribution", ["ragged_windows", "near_ties"])
def test_widths_and_k(distribution, s_kv, k):
    axes = {"rows": 3, "s_kv": s_kv, "k": k, "deterministic": 1}
    assert check_configs("topk_select", "triton", axes, distribution, [ONE], seed=6) == 1


@pytest.mark.parametrize("name", [t.name for t in IMPLEMENTATION.tunables])
def test_every_choice_of_each_tunable(name):
    axes = {"rows": 1, "s_kv": 66000, "k": 100, "deterministic": 1}
    choices = next(t.choices for t in IMPLEMENTATION.tunables if t.name == name)
    base = {**ONE, "BLOCK": 4096} if name == "NUM_WARPS" else ONE
    configs = [{**base, name: choice} for choice in choices]
    if name == "BLOCK":
        configs = [{**c, "NUM_WARPS": int(c["BLOCK"]) // 512} for c in configs]
    if name == "NUM_WARPS":
        configs = [{**c, "BLOCK": int(c["NUM_WARPS"]) * 512} for c in configs]
    legal = [c for c in configs if IMPLEMENTATION.constraint(c, axes) is None]
    assert len(legal) >= min(2, len(choices))
    # Ascending scores: the search of the sample, which every part repeats, is short.
    assert check_configs("topk_select", "triton", axes, "ascending", legal, seed=7) == len(legal)


@pytest.mark.parametrize("config", [BIG, TWO], ids=["one", "two"])
def test_the_filter_keeps_a_little_more_than_k(config):
    inputs = Workload.of("topk_select", {"rows": 2, "s_kv": 30000, "k": 1500}, "normal", 8).make_inputs()
    kept = kept_by_filter(inputs, config)
    assert (kept >= 1500).all()
    assert (kept < 2.5 * 1500).all()


def sampled(width: int) -> torch.Tensor:
    """Columns that a row's sample of 1024 reads."""
    i = torch.arange(1024)
    stride = width // 1024
    return i * stride + ((i * 40503 % 65536) * stride >> 16)


@pytest.mark.parametrize("config", [BIG, TWO], ids=["one", "two"])
def test_a_sample_that_misleads_costs_time_only(config):
    scores = torch.rand(2, 20000, generator=torch.Generator().manual_seed(9)) + 1.0
    scores[0, sampled(20000)] += 5.0  # the threshold is above all but a few
    scores[1, sampled(20000)] -= 5.0  # all but the sample are above it
    kept = kept_by_filter(whole_rows(scores, 300), config)
    assert kept[0] < 300
    assert kept[1] > 18000


@pytest.mark.parametrize("config", [BIG, TWO], ids=["one", "two"])
@pytest.mark.parametrize("cut_at", ["threshold", "other"])
def test_ties_at_the_cut_are_taken_from_the_lowest_columns(config, cut_at):
    width, k = 20000, 300
    scores = torch.rand(1, width, generator=torch.Generator().manual_seed(10))
    high = torch.randperm(width, generator=torch.Generator().manual_seed(11))
    scores[0, high[:250]] += 3.0
    # Ties in every part: so many that the sample's threshold is the tie, or few, of which not all are survivors' lowest.
    ties = 4000 if cut_at == "threshold" else 120
    scores[0, high[250 : 250 + ties]] = 2.0
    kept = kept_by_filter(whole_rows(scores, k), config)
    assert (kept[0] == 250) == (cut_at == "threshold")
    tied = high[250 : 250 + ties].sort()[0][:50]
    chosen = run_and_check(whole_rows(scores, k), config)[0]
    assert torch.equal(chosen.long(), torch.cat([high[:250], tied]).sort()[0])


@pytest.mark.parametrize("config", [BIG, TWO], ids=["one", "two"])
def test_default_mode_gives_the_deterministic_selection_every_time(config):
    for deterministic in (0, 1):
        axes = {"rows": 1, "s_kv": 20000, "k": 128, "deterministic": deterministic}
        inputs = Workload.of("topk_select", axes, "near_ties", seed=12).make_inputs()
        logits = inputs.logits.clone()
        first = run_and_check(inputs, config)
        assert torch.equal(first, run_poisoned(OP, IMPLEMENTATION, inputs, config)[0])
        assert (first.diff() > 0).all()
        assert torch.equal(logits, inputs.logits)


def test_programs_share_rows():
    """More rows than programs: workspaces are used again, by rows that filter, rows that do not and short windows."""
    rows, width = 2 * SMS + 5, 4200
    generator = torch.Generator().manual_seed(13)
    logits = torch.randn((rows, width), generator=generator)
    starts = torch.randint(0, 30, (rows,), generator=generator, dtype=torch.int32)
    ends = starts + 20
    for row in (0, 2, 2 * SMS, 2 * SMS + 2, 2 * SMS + 4):
        ends[row] = width
    ends[2 * SMS + 1] = 900
    run_and_check(Inputs(logits, starts, ends, 30, True), ONE)


def test_beyond_64k_columns():
    axes = {"rows": 1, "s_kv": 70001, "k": 2048, "deterministic": 1}
    config = {"PARTS": 8, "BLOCK": 8192, "NUM_WARPS": 16, "SAMPLES": 1024}
    assert check_configs("topk_select", "triton", axes, "normal", [config, {**config, "PARTS": 1}], seed=14) == 2


@triton.jit
def _map_keys(scores, keys, back):
    i = tl.program_id(0)
    key = key_of(tl.load(scores + i))
    tl.store(keys + i, key)
    tl.store(back + i, score_of(key))


def test_keys_order_as_the_reference_s():
    edges = [-torch.inf, -3.4028234e38, -1.0, -1.1754944e-38, -1e-45, -0.0, 0.0, 1e-45, 1.1754944e-38, 1.0, torch.inf]
    bits = torch.randint(-(2**31), 2**31 - 1, (300,), generator=torch.Generator().manual_seed(15)).int()
    scores = torch.cat([torch.tensor(edges), bits.view(torch.float32)])
    scores = scores[~scores.isnan()]
    keys, back = torch.empty(len(scores), dtype=torch.int64), torch.empty(len(scores))
    _map_keys[(len(scores),)](scores, keys, back)
    assert torch.equal(keys, order_keys(scores).long())
    assert torch.equal(back, scores)
    assert NAN_KEY < BOTTOM.value < keys.min()
    assert keys.max() < TOP.value


@pytest.mark.parametrize("rows", [1, 3, 8, 64, 200, 4096])
@pytest.mark.parametrize("s_kv", [1, 4096, 8192, 65536, 131072, 1 << 20])
def test_defaults_are_legal_and_the_grid_small(rows, s_kv):
    axes = {"rows": rows, "s_kv": s_kv, "k": 2048, "deterministic": 0}
    assert IMPLEMENTATION.constraint(IMPLEMENTATION.default_config(axes), axes) is None
    assert sum(IMPLEMENTATION.constraint(c, axes) is None for c in IMPLEMENTATION.configs()) <= 48


def test_plans_touch_no_data():
    for axes in ({"rows": 64, "s_kv": 65536, "k": 2048}, {"rows": 4096, "s_kv": 8192, "k": 2048}):
        inputs = OP.empty_inputs(OP.complete_axes(axes), torch.device("meta"))
        config = IMPLEMENTATION.default_config(axes)
        launches = plan(inputs, OP.empty_outputs(inputs), config)
        assert len(launches) == (1 if config["PARTS"] == 1 else 2)
        for launch in launches:
            assert set(launch.kernel.arg_names) <= set(launch.arguments)
