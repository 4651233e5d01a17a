"""The ways to a GPU's ceilings: that they do the work they count (interpreted, small), and how the best of them is found."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest
import torch

from dsabench.bench.gpu import ceilings as ceilings_module
from dsabench.bench.gpu.ceilings import (
    Way,
    best_rate,
    bf16_ways,
    copy_launch,
    copy_ways,
    fp8_ways,
    gather_launch,
    gather_ways,
    measure_gpu_ceilings,
    read_launch,
    read_tile_bytes,
    read_ways,
)

CPU = torch.device("cpu")


def words(*shape, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(-(2**31), 2**31, shape, dtype=torch.int32, generator=generator)


def modulo(total):
    return int(total) % 2**32


@pytest.mark.parametrize(("tile", "tiles"), [(128, 1), (256, 5)])
def test_the_copy_copies_every_word(tile, tiles):
    source = words(tile * tiles)
    target = torch.zeros_like(source)
    copy_launch(source, target, tile, warps=4).run()
    assert torch.equal(target, source)


@pytest.mark.parametrize(("tile", "programs"), [(128, 1), (256, 3)])
def test_the_read_sums_every_word(tile, programs):
    source = words(programs * read_tile_bytes(tile) // 4)
    launch = read_launch(source, tile, warps=4)
    launch.run()
    for part, total in zip(source.long().chunk(programs), launch.arguments["sums_ptr"], strict=True):
        assert modulo(part.sum()) == modulo(total)


@pytest.mark.parametrize("row_bytes", [16, 656, 1152])
def test_the_gather_sums_every_word_of_the_rows_it_is_told(row_bytes):
    table = words(50, row_bytes // 4)
    rows = torch.randint(0, 50, (512,), dtype=torch.int32, generator=torch.Generator().manual_seed(1))
    launch = gather_launch(table, rows, chunks=32, warps=4)
    launch.run()
    # Programs cut the gathered rows, end to end, in equal parts.
    gathered = table[rows.long()].long().flatten().chunk(launch.grid[0])
    assert len(gathered) == 512 * row_bytes // 16 // (8 * 32)
    for part, total in zip(gathered, launch.arguments["sums_ptr"], strict=True):
        assert modulo(part.sum()) == modulo(total)


def test_launches_that_do_not_come_in_whole_tiles_are_refused():
    with pytest.raises(ValueError, match="tiles of 128"):
        copy_launch(words(200), words(200), 128, warps=4)
    with pytest.raises(ValueError, match="4 tiles of 128"):
        read_launch(words(128 * 6), 128, warps=4)
    with pytest.raises(ValueError, match="8 tiles of 32"):
        gather_launch(words(5, 164), words(100), chunks=32, warps=4)
    with pytest.raises(ValueError, match="rows of 163 words"):
        gather_launch(words(5, 163), words(1024), chunks=32, warps=4)


def test_every_way_runs_and_counts_its_bytes():
    size = 2**18
    for way in copy_ways(size - 100, CPU):
        way.call(0)
        assert way.work == 2 * size
    for way in read_ways(size - 100, CPU):
        way.call(0)
        assert way.work == size
    for way in gather_ways(16, 2**14, 1000, CPU):
        way.call(0)
        assert way.work == 2**14 * 16
        assert "16384 rows of 16 bytes" in way.method


@pytest.mark.parametrize("ways", [bf16_ways, fp8_ways])
def test_every_product_is_of_random_data_and_right(ways, monkeypatch):
    drawn = []
    randn = torch.randn
    monkeypatch.setattr(torch, "randn", lambda *a, **k: drawn.append(randn(*a, **k)) or drawn[-1])
    outs = []
    empty, empty_like = torch.empty, torch.empty_like
    monkeypatch.setattr(torch, "empty", lambda *a, **k: outs.append(empty(*a, **k)) or outs[-1])
    monkeypatch.setattr(torch, "empty_like", lambda *a, **k: outs.append(empty_like(*a, **k)) or outs[-1])
    found = ways(32, CPU)
    monkeypatch.undo()
    left, right = drawn
    if ways is fp8_ways:
        left, right = (each.to(torch.float8_e4m3fn) for each in drawn)
    for way, operand in zip(found, (right, right.t()), strict=True):
        if ways is fp8_ways:
            operand = right.t()
        outs[0].fill_(torch.nan)
        way.call(0)
        torch.testing.assert_close(outs[0].float(), left.float() @ operand.float(), rtol=2.0**-7, atol=1e-2)
        assert way.work == 2 * 32**3


@dataclass
class FakeClock:
    """A call takes what it adds to `now`."""

    now: float = 0.0
    stretches: list = field(default_factory=list)
    name: str = "cuda_events"

    def measure(self, call, copies):
        begin = self.now
        for copy in copies:
            call(copy)
        self.stretches.append(len(copies))
        return self.now - begin


def fake_way(clock, name, work, durations, calls=None):
    """Each call takes the next of `durations`, the last for ever."""
    left = list(durations)

    def call(copy):
        if calls is not None:
            calls.append(copy)
        clock.now += left.pop(0) if len(left) > 1 else left[0]

    return Way(name, work, call)


def test_a_rate_is_the_best_sample_of_the_fastest_way():
    clock = FakeClock()
    ways = [fake_way(clock, "slow", 1e9, [2e-3]), fake_way(clock, "fast", 1e9, [1e-3])]
    rate = best_rate(ways, seconds=0.1, clock=clock)
    assert rate.value == pytest.approx(1e12)
    assert rate.median == pytest.approx(1e12)
    assert rate.method == "fast; samples of 5 calls"
    assert rate.n == 10  # half of the seconds, in samples of 5 ms


def test_first_calls_are_no_samples_and_the_median_stands_beside_the_best():
    clock = FakeClock()
    # Compiling; two to see how long it takes; then samples of one call each.
    rate = best_rate([fake_way(clock, "a", 100.0, [9.0, 3.0, 2.0, 2.0, 1.0, 4.0, 2.5, 2.0])], 11.5, clock)
    assert (rate.value, rate.median, rate.n) == (100.0, 50.0, 5)
    assert clock.stretches == [1] * 7


def test_four_samples_at_the_least():
    clock = FakeClock()
    assert best_rate([fake_way(clock, "a", 1.0, [1.0])], 0.0, clock).n == 4


def test_a_way_that_raises_is_named_and_costs_nothing_else():
    clock = FakeClock()

    def broken(copy):
        raise TypeError("unexpected keyword argument\nand so on")

    rate = best_rate([Way("new api", 1.0, broken), fake_way(clock, "old", 3.0, [1.0])], 1.0, clock)
    assert rate.value == 3.0
    assert rate.method == "old; samples of 1 calls; failed: new api: TypeError: unexpected keyword argument"
    with pytest.raises(RuntimeError, match="no way to measure this ceiling works: new api: TypeError"):
        best_rate([Way("new api", 1.0, broken)], 1.0, clock)


def test_all_ceilings_with_the_vendors_figures_beside_them(monkeypatch):
    clock = FakeClock()
    asked = {}

    def fake(name, work):
        def ways(*arguments):
            asked[name, arguments[0]] = arguments[1:]
            return [fake_way(clock, name, work, [1.0])]

        monkeypatch.setattr(ceilings_module, f"{name}_ways", ways)

    for name, work in (("copy", 3e12), ("read", 4e12), ("gather", 5e12), ("bf16", 6e14), ("fp8", 1e15)):
        fake(name, work)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "NVIDIA H100 80GB HBM3")
    found = measure_gpu_ceilings(1.0, 50 * 2**20, clock)
    assert {name: rate.value for name, rate in found.bandwidth.items()} == {"copy": 3e12, "read": 4e12}
    assert {name: rate.value for name, rate in found.product.items()} == {"bf16": 6e14, "fp8": 1e15}
    assert {name: rate.value for name, rate in found.gather.items()} == {"656": 5e12, "1152": 5e12}
    assert found.vendor is not None
    assert found.vendor.chip == "H100 SXM"
    gpu = torch.device("cuda")
    assert asked["copy", 16 * 50 * 2**20] == (gpu,)
    assert asked["gather", 656] == (2**20, 25 * 2**20, gpu)
    assert asked["fp8", 8192] == (gpu,)


@pytest.mark.parametrize("row_bytes", ceilings_module.ROW_BYTES)
@pytest.mark.parametrize(("chunks", "warps"), ceilings_module._GATHER_TILES)
def test_the_rows_of_a_call_come_in_whole_tiles(row_bytes, chunks, warps):
    table = torch.empty((5, row_bytes // 4), dtype=torch.int32, device="meta")
    rows = torch.empty(ceilings_module.GATHERED_ROWS, dtype=torch.int32, device="meta")
    assert gather_launch(table, rows, chunks, warps).grid[0] >= 132
