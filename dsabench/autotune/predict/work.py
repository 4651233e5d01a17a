"""What each launch of an inspected config has to do, in the numbers that the model takes. Read once, predicted from often."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from math import prod

from dsabench.autotune.inspect.products import issued_flops
from dsabench.autotune.predict.tiling import TILINGS, partial_bytes
from dsabench.bench.inspection_records import Inspection, LaunchRecord, SpanRecord
from dsabench.kernels.op import Cost

_SYNCS = ("BAR", "DEPBAR", "SYNCS", "WARPGROUP")
_PIPES = {"MUFU": 16, "SHFL": 32, "F2FP": 64}
"""Results a clock and SM of the units that are slower than issue (CUDA C++ Programming Guide, throughput of arithmetic
instructions, compute capability 9.0)."""
_LOADS = ("LDG", "LDGSTS", "UTMALDG")
_ASYNCHRONOUS = ("LDGSTS", "UTMALDG")
_RATES = {"Q": "fp8", "H": "bf16"}
_LANES = 32


@dataclass(frozen=True)
class Body:
    """A stretch of a block's code, run once. products: FLOPs issued by rate (`fp8`, `bf16`, `mma.sync`); instructions: of all
    warps; pipe_clocks: of the SM's busiest slow unit; shared_bytes: through shared and local memory; syncs: barriers and waits of
    one warp."""

    products: Mapping[str, int]
    instructions: int
    pipe_clocks: float
    shared_bytes: int
    syncs: int


@dataclass(frozen=True)
class Bytes:
    """What a whole launch moves. l2: asked of L2; memory: that L2 cannot keep away from memory; again: of rows that are gathered
    more than once, the second time on; rows: bytes of the different rows. row: size of one, 0 where nothing is gathered."""

    l2: float
    memory: float
    again: float = 0.0
    rows: float = 0.0
    row: int = 0


@dataclass(frozen=True)
class LaunchWork:
    """One launch. blocks: in all; resident: on an SM at once; warps: of a block; trip, once: the main loop's body and everything
    else; trips: of the loop in one block on average, None: `Constants.search_passes`; dependent_loads: of a trip, one waiting for
    another, 0 where it loads nothing; ahead: trips that loads are asked for in advance, 0: when they are needed."""

    blocks: int
    resident: int
    warps: int
    trip: Body
    once: Body
    trips: float | None
    bytes: Bytes
    dependent_loads: int
    ahead: int


def launch_works(inspection: Inspection, cost: Cost) -> tuple[LaunchWork, ...] | None:
    """cost: of the call that the config was compiled for. None for what does not compile or cannot launch."""
    if not inspection.launches or inspection.cannot_launch:
        return None
    asked = sum(_useful_flops(launch) * prod(launch.grid) for launch in inspection.launches)
    multiplies = bool(asked and cost.flops)
    main = next(launch for launch in inspection.launches if not multiplies or _useful_flops(launch))
    partials = partial_bytes(inspection.op, inspection.axes, inspection.config)
    works = []
    for launch in inspection.launches:
        moved = _bytes(inspection, cost, partials) if launch is main else Bytes(partials, 0.0)
        if multiplies and _useful_flops(launch):
            trips: float | None = cost.flops * _padding(inspection) / asked
        else:
            trips = _trips(launch, moved, launch is main)
        works.append(_work(inspection, launch, trips, moved))
    return tuple(works)


def _useful_flops(launch: LaunchRecord) -> int:
    """Of one trip of the main loop in one block."""
    products = launch.code.products
    return products.useful_flops if products and products.in_loop and launch.code.loop else 0


def _padding(inspection: Inspection) -> float:
    tiling = TILINGS.get(inspection.op)
    return tiling.padding(inspection.axes, inspection.config) if tiling else 1.0


def _bytes(inspection: Inspection, cost: Cost, partials: int) -> Bytes:
    """Of the launch that does the op's work: with tiles of rows the keys are loaded once for each tile."""
    again = max(cost.gather_bytes - cost.compulsory_bytes, 0)
    tiling = TILINGS.get(inspection.op)
    if tiling is None:
        return Bytes(cost.gather_bytes + partials, cost.compulsory_bytes, again, cost.compulsory_bytes)
    read = tiling.read_bytes(inspection.axes, cost)
    others = cost.gather_bytes - read
    return Bytes(
        l2=others + read * tiling.tiles(inspection.axes, inspection.config) + partials,
        memory=cost.compulsory_bytes,
        again=again,
        rows=max(cost.compulsory_bytes - others, 0.0),
        row=tiling.key_bytes if tiling.dependent_loads > 1 else 0,
    )


def _trips(launch: LaunchRecord, moved: Bytes, is_main: bool) -> float | None:
    """Of a launch whose products do not tell: as many as read its bytes once, at least one."""
    loop = launch.code.loop
    if loop is None:
        return 1.0
    if moved.l2 and loop.loaded_bytes:
        return max(1.0, moved.l2 / (prod(launch.grid) * loop.loaded_bytes))
    return 1.0 if is_main else None


def _work(inspection: Inspection, launch: LaunchRecord, trips: float | None, moved: Bytes) -> LaunchWork:
    code = launch.code
    whole = _body(code.whole, code.num_warps)
    trip = _body(code.loop, code.num_warps) if code.loop else whole
    sass = (code.loop or code.whole).sass
    if sass.get("UTMALDG") and trips:  # what TMA brings is written to shared memory too, and stands in no instruction
        brought = round(moved.l2 / (prod(launch.grid) * trips))
        trip, whole = (replace(body, shared_bytes=body.shared_bytes + brought) for body in (trip, whole))
    tiling = TILINGS.get(inspection.op)
    loads = any(sass.get(name) for name in _LOADS)
    return LaunchWork(
        blocks=prod(launch.grid),
        resident=launch.blocks_per_sm,
        warps=code.num_warps,
        trip=trip,
        once=_rest(whole, trip),
        trips=trips,
        bytes=moved,
        dependent_loads=(tiling.dependent_loads if tiling and moved.memory else 1) if loads else 0,
        ahead=code.num_stages - 1 if any(sass.get(name) for name in _ASYNCHRONOUS) else 0,
    )


def _body(span: SpanRecord, warps: int) -> Body:
    products: dict[str, int] = {}
    for opcode, number in span.products.items():
        rate = _RATES.get(opcode[0], "bf16") if opcode[1:].startswith("GMMA") else "mma.sync"
        products[rate] = products.get(rate, 0) + number * issued_flops(opcode, warps)
    return Body(
        products=products,
        instructions=span.instructions * warps,
        pipe_clocks=max(span.sass.get(name, 0) * warps * _LANES / rate for name, rate in _PIPES.items()),
        shared_bytes=span.shared_bytes or 0,
        syncs=sum(span.sass.get(name, 0) for name in _SYNCS),
    )


def _rest(whole: Body, trip: Body) -> Body:
    """`whole` without `trip`; products outside of the loop included, each once."""
    return Body(
        products={rate: flops - trip.products.get(rate, 0) for rate, flops in whole.products.items()},
        instructions=whole.instructions - trip.instructions,
        pipe_clocks=max(whole.pipe_clocks - trip.pipe_clocks, 0.0),
        shared_bytes=max(whole.shared_bytes - trip.shared_bytes, 0),
        syncs=whole.syncs - trip.syncs,
    )
