"""The model on kernels made by hand: small cases computed in one's head, and what must hold of any prediction."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from dsabench.autotune.predict.constants import Constants
from dsabench.autotune.predict.machine import Machine, vendor_machine
from dsabench.autotune.predict.model import LOSSES, UNITS, Prediction, Predictor
from dsabench.bench.gpu.vendor import CHIPS, get_chip
from dsabench.bench.inspection_records import Inspection
from dsabench.bench.records import Ceilings, Rate
from dsabench.bench.roofline import roofline
from dsabench.kernels.op import Cost
from tests.autotune.predict.made import GHZ, MACHINE, PRODUCT_FLOPS, inspection, launch, span, specialized

IDEAL = Constants(
    tensor_efficiency=1.0, issue_efficiency=1.0, memory_efficiency=1.0, l2_efficiency=1.0, overlap=1.0, load_latency_s=1e-6,
    sync_s=0.0, launch_s=0.0, search_passes=5.0,
)  # fmt: skip
NOTHING = Cost(0, 0, 0, None)


def cost(trips: int, bytes_moved: int = 0) -> Cost:
    """Of so many trips of a loop with one product."""
    return Cost(trips * PRODUCT_FLOPS, bytes_moved, bytes_moved, "bf16")


def predict(found: Inspection, work: Cost, constants: Constants = IDEAL, machine: Machine = MACHINE) -> Prediction:
    prediction = Predictor(machine, constants).seconds(found, work)
    assert prediction is not None
    return prediction


class TestByHand:
    def test_products(self) -> None:
        """1000 trips, ten in each of 100 blocks; 524288 FLOPs at 1000 a clock are 524.288 clocks."""
        found = inspection(launch(span(0, products=1)))
        prediction = predict(found, cost(1000))
        assert prediction.parts["tensor"] == pytest.approx(10 * 524.288 / GHZ)
        assert prediction.seconds == pytest.approx(10 * 524.288 / GHZ + 1e-6)  # one latency before the first trip
        assert prediction.parts["exposed latency"] == pytest.approx(1e-6)

    def test_instructions(self) -> None:
        """8 warps · 400 instructions on 4 schedulers are 800 clocks a trip; 40 % overlap hides as much of the products."""
        found = inspection(launch(span(400, products=1), warps=8, useful=PRODUCT_FLOPS))
        constants = replace(IDEAL, overlap=0.4, load_latency_s=0.0)
        prediction = predict(found, cost(1000), constants)
        tensor = 2 * 524.288  # both warpgroups issue, half of it repeated
        assert prediction.parts["issue"] == pytest.approx(10 * 800 / GHZ)
        assert prediction.seconds == pytest.approx(10 * (tensor + 0.6 * 800) / GHZ)

    def test_issue_efficiency_and_few_warps(self) -> None:
        two = inspection(launch(span(100), warps=2))
        constants = replace(IDEAL, load_latency_s=0.0, issue_efficiency=0.5)
        assert predict(two, NOTHING, constants).seconds == pytest.approx(
            100 / 0.5 / GHZ
        )  # a warp on each of two schedulers

    def test_slow_units(self) -> None:
        """16 results a clock: 10 MUFU of 4 warps are 80 clocks, more than their issue."""
        found = inspection(launch(span(10, MUFU=10)))
        assert predict(found, NOTHING, replace(IDEAL, load_latency_s=0.0)).parts["issue"] == pytest.approx(80 / GHZ)

    def test_shared_memory(self) -> None:
        found = inspection(launch(span(0, products=1, shared=128 * 1000)))
        assert predict(found, cost(1000)).parts["shared memory"] == pytest.approx(10 * 1000 / GHZ)

    def test_what_tma_brings_is_written_to_shared_memory(self) -> None:
        found = inspection(launch(span(0, products=1, shared=0, UTMALDG=1), stages=2))
        assert predict(found, cost(1000, 128_000_000)).parts["shared memory"] == pytest.approx(10_000 / GHZ)

    def test_memory_and_l2(self) -> None:
        found = inspection(launch(span(0, products=1)))
        work = Cost(PRODUCT_FLOPS * 100, 10_000_000, 40_000_000, "bf16")
        parts = predict(found, work).parts
        assert parts["HBM"] == pytest.approx(1e-5)  # all 10 MB of rows fit L2
        assert parts["L2"] == pytest.approx(1e-5)
        small = replace(MACHINE, l2_bytes=5_000_000)
        assert predict(found, work, machine=small).parts["HBM"] == pytest.approx(2.5e-5)  # half of 30 MB misses

    def test_a_block_reads_no_faster_than_its_port(self) -> None:
        found = inspection(launch(span(0), grid=(1,)))
        work = Cost(0, 6400, 6400, None)
        assert predict(found, work, replace(IDEAL, load_latency_s=0.0)).seconds == pytest.approx(100 / GHZ)

    def test_latency_with_loads_ahead(self) -> None:
        """Ten trips of 1 µs latency each: exposed when loaded at need, one a trip with one ahead, a third of it with three."""
        constants = replace(IDEAL, load_latency_s=1e-6)
        work = cost(1000)

        def seconds(stages: int, **sass: int) -> float:
            return predict(inspection(launch(span(0, products=1, **sass), stages=stages)), work, constants).seconds

        tensor = 10 * 524.288e-9
        assert seconds(1, LDG=1) == pytest.approx(tensor + 10e-6 + 2e-6)
        assert seconds(4, LDG=1) == pytest.approx(tensor + 10e-6 + 2e-6)  # nothing is copied ahead
        assert seconds(2, LDGSTS=1) == pytest.approx(10e-6 + 2e-6)
        assert seconds(4, LDGSTS=1) == pytest.approx(tensor + 2e-6)

    def test_merge_of_splits(self) -> None:
        """A second launch reads what the splits wrote, at the rate of L2; 8 warps' worth of code once a block."""
        axes = {"b": 1, "s_q": 1, "s_kv": 8192, "h_q": 64, "page": 64, "causal": 0}
        main = launch(span(0, products=1), grid=(4,))
        merge = launch(span(10, loaded=4096), grid=(64,))
        found = inspection(main, merge, op="dense_mla_decode", axes=axes, config={"BLOCK_H": 64, "NUM_SPLITS": 4})
        both = predict(found, cost(100))
        alone = predict(
            inspection(main, op="dense_mla_decode", axes=axes, config={"BLOCK_H": 64, "NUM_SPLITS": 1}), cost(100)
        )
        partials = 4 * 64 * 513 * 4
        assert both.parts["L2"] - alone.parts["L2"] == pytest.approx(2 * partials / 4e12)
        assert both.seconds > alone.seconds

    def test_rows_of_padding_are_computed(self) -> None:
        axes = {"b": 100, "s_q": 1, "s_kv": 8192, "h_q": 16, "topk": 2048, "page": 64}
        found = inspection(launch(span(0, products=1)), op="sparse_mla_decode", axes=axes, config={"BLOCK_H": 64})
        exact = inspection(launch(span(0, products=1)), op="sparse_mla_decode", axes=axes, config={"BLOCK_H": 16})
        assert predict(found, cost(1000)).parts["tensor"] == pytest.approx(
            4 * predict(exact, cost(1000)).parts["tensor"]
        )

    def test_keys_are_loaded_once_for_each_tile_of_heads(self) -> None:
        axes = {"s_q": 64, "s_kv": 8192, "h_q": 128, "topk": 2048}
        entries = 64 * 2048
        work = Cost(entries * 128 * 2176, 10_000_000, entries * 1152 + 1_000_000, "bf16")

        def l2_bytes(block_h: int) -> float:
            found = inspection(
                launch(span(0, products=1)), op="sparse_mla_prefill", axes=axes, config={"BLOCK_H": block_h}
            )
            return predict(found, work).parts["L2"] * 4e12

        assert l2_bytes(64) == pytest.approx(2 * entries * 1152 + 1_000_000)
        assert l2_bytes(32) == pytest.approx(4 * entries * 1152 + 1_000_000)

    def test_a_kernel_without_products_goes_over_its_bytes_once(self) -> None:
        """100 blocks, 8 KB a trip, 81.92 MB: 100 trips a block of 200 clocks."""
        found = inspection(launch(span(200, loaded=8192, LDG=8)))
        work = Cost(0, 81_920_000, 81_920_000, None)
        prediction = predict(found, work, replace(IDEAL, load_latency_s=0.0))
        assert prediction.parts["issue"] == pytest.approx(100 * 200 / GHZ)
        assert prediction.seconds == pytest.approx(81.92e-6)  # HBM

    def test_a_search_goes_over_what_was_left_a_few_times(self) -> None:
        first = launch(span(10, loaded=8192))
        found = inspection(first, launch(span(1000, loaded=8192)))
        constants = replace(IDEAL, load_latency_s=0.0)
        longer = replace(constants, search_passes=6.0)
        work = Cost(0, 819_200, 819_200, None)
        assert predict(found, work, longer).seconds - predict(found, work, constants).seconds == pytest.approx(
            1000 / GHZ
        )


class TestRoles:
    """A trip multiplies three products, two of them in the main loop; 1000 trips, ten in each of 100 blocks."""

    def seconds(self, constants: Constants, bytes_moved: int = 0, **made: Any) -> float:
        return predict(inspection(specialized(**made)), cost(3000, bytes_moved), constants).seconds

    def test_each_loop_is_charged_to_its_own_warps(self) -> None:
        parts = predict(inspection(specialized()), cost(3000), replace(IDEAL, load_latency_s=0.0)).parts
        assert parts["tensor"] == pytest.approx(10 * 3 * 524.288 / GHZ)
        assert parts["issue"] == pytest.approx(10 * (400 + 100 + 200) / GHZ)

    def test_the_longest_role_is_the_blocks_chain(self) -> None:
        alone = replace(IDEAL, overlap=0.0, load_latency_s=0.0)
        all_products = 10 * 3 * 524.288 / GHZ
        assert self.seconds(alone) == pytest.approx(all_products)  # the main loop's 1049 + 400 clocks are fewer
        assert self.seconds(alone, scores=800) == pytest.approx(10 * (2 * 524.288 + 800) / GHZ)
        assert self.seconds(alone, fetches=1500) == pytest.approx(10 * 2000 / GHZ)  # as they issue beside 400 and 100

    def test_latency_stands_with_the_producers(self) -> None:
        """One load a trip: hidden behind the products, unless ten of them one after the other take longer."""
        for stages, latency_s, loop_s in ((2, 1e-6, 15.72864e-6), (1, 1e-6, 15.72864e-6), (1, 2e-6, 22e-6)):
            constants = replace(IDEAL, load_latency_s=latency_s)
            found = self.seconds(constants, stages=stages, LDG=1)
            assert found == pytest.approx(loop_s + 2 * latency_s)

    @pytest.mark.parametrize(("bytes_a_trip", "trips"), [(980, 1), (1820, 2), (840, 1), (420, 0.5)])
    def test_a_producers_trips_follow_from_its_bytes(self, bytes_a_trip: int, trips: float) -> None:
        """1000 bytes in its loop, of which some belong to lanes that are masked off."""
        found = predict(inspection(specialized(loaded=1000)), cost(3000, 1000 * bytes_a_trip))
        assert found.parts["issue"] == pytest.approx(10 * (500 + trips * 200) / GHZ)

    def test_rows_that_the_author_states_are_padded(self) -> None:
        axes = {"b": 100, "s_q": 1, "s_kv": 8192, "h_q": 16, "topk": 2048, "page": 64}
        stated = inspection(specialized(rows=64), op="sparse_mla_decode", axes=axes)
        silent = inspection(specialized(), op="sparse_mla_decode", axes=axes)
        assert predict(stated, cost(3000)).parts["tensor"] == pytest.approx(
            4 * predict(silent, cost(3000)).parts["tensor"]
        )


class TestLimits:
    def test_never_below_the_roofline_of_the_same_ceilings(self) -> None:
        rates = {name: Rate(value=value, median=value, n=1, method="made") for name, value in MACHINE.product.items()}
        read = Rate(value=MACHINE.bandwidth, median=MACHINE.bandwidth, n=1, method="made")
        ceilings = Ceilings(bandwidth={"read": read}, product=rates)
        found = inspection(launch(span(0, products=1), grid=(10_000,), blocks_per_sm=8))
        free = replace(IDEAL, load_latency_s=0.0)
        for work in (
            Cost(10**12, 10**6, 10**6, "bf16"),
            Cost(10**12, 10**6, 10**6, "fp8"),
            Cost(10**6, 10**9, 10**9, "bf16"),
            Cost(0, 10**9, 10**9, None),
        ):
            bound = roofline(work, ceilings).bound_s
            assert MACHINE.bound_s(work) == pytest.approx(bound)
            for constants in (free, Constants()):
                assert predict(found, work, constants).seconds >= bound

    @pytest.mark.parametrize("resident", [1, 2, 5])
    def test_one_more_wave_costs(self, resident: int) -> None:
        def seconds(blocks: int) -> float:
            loop = span(500, products=1, LDGSTS=1)
            found = inspection(launch(loop, grid=(blocks,), blocks_per_sm=resident, stages=2))
            return predict(found, cost(10 * blocks), Constants()).seconds  # ten trips in every block

        full = 4 * 100 * resident
        assert seconds(full + 1) > 1.04 * seconds(full)
        assert seconds(full + 1) == pytest.approx(seconds(full + 2))
        parts = predict(inspection(launch(span(500, products=1), grid=(401,))), cost(4010), Constants()).parts
        assert parts["waves and tail"] > 0

    @pytest.mark.parametrize("loads", ["LDGSTS", "UTMALDG", "LDG"])
    @pytest.mark.parametrize("op", ["made", "sparse_mla_decode"])
    @pytest.mark.parametrize("instructions", [10, 3000])
    def test_more_stages_are_never_slower(self, loads: str, op: str, instructions: int) -> None:
        axes = {"b": 100, "s_q": 1, "s_kv": 8192, "h_q": 64, "topk": 2048, "page": 64}
        times = [
            predict(
                inspection(
                    launch(span(instructions, products=1, shared=1000, **{loads: 4}), stages=stages), op=op, axes=axes,
                    config={"BLOCK_H": 64},
                ),
                cost(1000), Constants(),
            ).seconds
            for stages in range(1, 8)
        ]  # fmt: skip
        assert times == sorted(times, reverse=True)
        assert (times[0] > times[1]) == (loads != "LDG")

    @pytest.mark.parametrize(
        "worse",
        [
            {"instructions": 1100},
            {"shared": 500_000},
            {"BAR": 20},
            {"MUFU": 400},
        ],
    )
    def test_what_a_spilling_loop_has_more_of_costs(self, worse: dict[str, Any]) -> None:
        """Spills are instructions and bytes of the unit that shared memory lies in."""
        better = {"instructions": 1000, "products": 1, "shared": 1000}
        slower = predict(inspection(launch(span(**better | worse))), cost(1000), Constants())
        assert slower.seconds > predict(inspection(launch(span(**better))), cost(1000), Constants()).seconds

    def test_mma_sync_is_slower_than_wgmma(self) -> None:
        wgmma = launch(span(0, products=2), useful=PRODUCT_FLOPS)
        loop = wgmma.code.loop
        assert loop is not None
        # 64 products of 16 × 8 × 16 by each of 4 warps are two of 64 × 256 × 16
        hmma = loop.model_copy(update={"products": {"HMMA.16816.F32.BF16": 64}})
        code = wgmma.code.model_copy(update={"loop": hmma, "whole": hmma})
        by_warps = wgmma.model_copy(update={"code": code})
        fast, slow = predict(inspection(wgmma), cost(1000)), predict(inspection(by_warps), cost(1000))
        assert fast.parts["tensor"] / 0.62 == pytest.approx(slow.parts["tensor"])

    def test_parts_make_up_the_time_of_one_launch(self) -> None:
        found = inspection(
            launch(span(700, products=1, shared=9000, BAR=3, LDGSTS=2), grid=(330,), blocks_per_sm=2, stages=3)
        )
        prediction = predict(found, cost(33_000, 10**8), Constants())
        assert set(prediction.parts) == {*UNITS, *LOSSES}
        assert min(prediction.parts.values()) >= 0
        total = max(prediction.parts[name] for name in UNITS) + sum(prediction.parts[name] for name in LOSSES)
        assert prediction.seconds == pytest.approx(total)
        assert prediction.limit in prediction.parts

    def test_what_cannot_run_has_no_prediction(self) -> None:
        predictor = Predictor(MACHINE)
        assert predictor.seconds(inspection(), cost(1)) is None
        refused = inspection(launch(span(1)), cannot_launch="made: needs 300 KB", can_launch=False)
        assert predictor.seconds(refused, cost(1)) is None

    def test_facts_of_older_files_are_enough(self) -> None:
        """Without bytes in the spans: no shared memory, and trips that no product tells are one."""
        assert predict(inspection(launch(span(100, LDG=8))), Cost(0, 1000, 1000, None)).seconds > 0


@pytest.mark.parametrize("name", list(CHIPS))
def test_vendor_figures(name: str) -> None:
    machine = vendor_machine(get_chip(name))
    assert machine.clock_hz == pytest.approx(1.83e9, rel=1e-3)
    assert machine.bound_s(Cost(989 * 10**12, 0, 0, "bf16")) == pytest.approx(1.0)
