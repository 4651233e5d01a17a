"""What each launch of an inspected config has to do, in the numbers that the model takes. Read once, predicted from often."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from math import prod

from dsabench.autotune.inspect.products import issued_flops
from dsabench.autotune.predict.tiling import TILINGS, partial_bytes
from dsabench.bench.inspection_records import Inspection, LaunchRecord, RoleRecord, SpanRecord
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

    products: Mapping[str, float]
    instructions: float
    pipe_clocks: float
    shared_bytes: float
    syncs: float


@dataclass(frozen=True)
class Bytes:
    """What a whole launch moves. l2: asked of L2; memory: that L2 cannot keep away from memory; again: of rows that are gathered
    more than once, the second time on; rows: bytes of the different rows. row: size of one, 0 where nothing is gathered. keys: what
    the trips of the main loop ask of L2."""

    l2: float
    memory: float
    again: float = 0.0
    rows: float = 0.0
    row: int = 0
    keys: float = 0.0


@dataclass(frozen=True)
class Role:
    """What `warps` of a block do in a loop of their own during one trip of the main loop. fetches: they bring the block's data."""

    body: Body
    warps: int
    fetches: bool


@dataclass(frozen=True)
class LaunchWork:
    """One launch. blocks: in all; resident: on an SM at once; warps: of a block; trip, once: the main loop's body and everything
    else; trips: of the loop in one block on average, None: `Constants.search_passes`; dependent_loads: of a trip, one waiting for
    another, 0 where it loads nothing; ahead: trips that loads are asked for in advance, 0: when they are needed; beside: the roles
    of warps that do not run the main loop."""

    blocks: int
    resident: int
    warps: int
    trip: Body
    once: Body
    trips: float | None
    bytes: Bytes
    dependent_loads: int
    ahead: int
    beside: tuple[Role, ...] = ()


def launch_works(inspection: Inspection, cost: Cost) -> tuple[LaunchWork, ...] | None:
    """cost: of the call that the config was compiled for. None for what does not compile or cannot launch."""
    if not inspection.launches or inspection.cannot_launch:
        return None
    asked = sum(_useful_flops(launch) * prod(launch.grid) for launch in inspection.launches)
    multiplies = bool(asked and cost.flops)
    main = next(launch for launch in inspection.launches if not multiplies or _useful_flops(launch))
    partials = partial_bytes(inspection.op, inspection.axes, inspection.config)
    rows = _tile_rows(inspection, main)
    works = []
    for launch in inspection.launches:
        moved = _bytes(inspection, cost, rows, partials) if launch is main else Bytes(partials, 0.0)
        if multiplies and _useful_flops(launch):
            trips: float | None = cost.flops * _padding(inspection, rows) / asked
        else:
            trips = _trips(launch, moved, launch is main)
        works.append(_work(inspection, launch, trips, moved))
    return tuple(works)


def _useful_flops(launch: LaunchRecord) -> int:
    """Of one trip of the main loop in one block, with what other warps multiply meanwhile."""
    products = launch.code.products
    if not products or not products.in_loop or not launch.code.loop:
        return 0
    return products.tile_flops or products.useful_flops


def _tile_rows(inspection: Inspection, launch: LaunchRecord) -> int | None:
    tiling, products = TILINGS.get(inspection.op), launch.code.products
    return tiling.size(inspection.config, products.rows if products else None) if tiling else None


def _padding(inspection: Inspection, rows: int | None) -> float:
    tiling = TILINGS.get(inspection.op)
    return tiling.padding(inspection.axes, rows) if tiling else 1.0


def _bytes(inspection: Inspection, cost: Cost, rows: int | None, partials: int) -> Bytes:
    """Of the launch that does the op's work: with tiles of rows the keys are loaded once for each tile."""
    again = max(cost.gather_bytes - cost.compulsory_bytes, 0)
    tiling = TILINGS.get(inspection.op)
    if tiling is None:
        memory = cost.compulsory_bytes
        return Bytes(cost.gather_bytes + partials, memory, again, memory, keys=cost.gather_bytes)
    read = tiling.read_bytes(inspection.axes, cost)
    others = cost.gather_bytes - read
    keys = read * tiling.tiles(inspection.axes, rows)
    return Bytes(
        l2=others + keys + partials,
        memory=cost.compulsory_bytes,
        again=again,
        rows=max(cost.compulsory_bytes - others, 0.0),
        row=tiling.key_bytes if tiling.dependent_loads > 1 else 0,
        keys=keys,
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
    issuing = (code.products.warps if code.products else None) or code.num_warps
    warps = issuing if code.roles else code.num_warps
    whole = _body(code.whole, warps, issuing)
    trip = _body(code.loop, warps, issuing) if code.loop else whole
    producer = next((role.loop for role in code.roles if not role.loop.products), None)
    sass = (producer or code.loop or code.whole).sass
    once = _rest(whole, trip)
    for role in code.roles:
        once = _rest(once, _scaled(_body(role.loop, role.warps, role.warps), warps / role.warps))
    if sass.get("UTMALDG") and trips:  # what TMA brings is written to shared memory too, and stands in no instruction
        brought = round(moved.l2 / (prod(launch.grid) * trips))
        trip = replace(trip, shared_bytes=trip.shared_bytes + brought)
    tiling = TILINGS.get(inspection.op)
    loads = any(sass.get(name) for name in _LOADS)
    return LaunchWork(
        blocks=prod(launch.grid),
        resident=launch.blocks_per_sm,
        warps=code.num_warps,
        trip=trip,
        once=once,
        trips=trips,
        bytes=moved,
        dependent_loads=(tiling.dependent_loads if tiling and moved.memory else 1) if loads else 0,
        ahead=code.num_stages - 1 if producer or any(sass.get(name) for name in _ASYNCHRONOUS) else 0,
        beside=tuple(_role(role, launch, trips, moved) for role in code.roles),
    )


def _role(role: RoleRecord, launch: LaunchRecord, trips: float | None, moved: Bytes) -> Role:
    """A machine loop may make several trips for one of the main loop, or be unrolled over several: consumers multiply what the
    author's FLOPs of a tile leave to them, producers fetch a tile's keys."""
    body = _body(role.loop, role.warps, role.warps)
    products = launch.code.products
    if role.loop.products and products:
        issued = sum(_issued(other) for other in launch.code.roles)
        left = (products.tile_flops or products.useful_flops) - products.useful_flops
        number = left / issued if issued else 1.0
    else:
        loaded, keys = role.loop.loaded_bytes, moved.keys / (prod(launch.grid) * (trips or 1.0))
        number = _whole_or_unit_fraction(keys / loaded) if loaded and keys else 1.0
    return Role(_scaled(body, number), role.warps, fetches=not role.loop.products)


def _whole_or_unit_fraction(ratio: float) -> float:
    """The code's bytes count lanes that are masked off, so that the bytes' ratio comes out somewhat low."""
    return float(round(ratio)) if ratio >= 1 else 1 / round(1 / ratio)


def _issued(role: RoleRecord) -> int:
    return sum(number * issued_flops(opcode, role.warps) for opcode, number in role.loop.products.items())


def _body(span: SpanRecord, warps: int, issuing: int) -> Body:
    """issuing: of the warps, those that issue its products."""
    products: dict[str, float] = {}
    for opcode, number in span.products.items():
        rate = _RATES.get(opcode[0], "bf16") if opcode[1:].startswith("GMMA") else "mma.sync"
        products[rate] = products.get(rate, 0) + number * issued_flops(opcode, issuing)
    return Body(
        products=products,
        instructions=span.instructions * warps,
        pipe_clocks=max(span.sass.get(name, 0) * warps * _LANES / rate for name, rate in _PIPES.items()),
        shared_bytes=span.shared_bytes or 0,
        syncs=sum(span.sass.get(name, 0) for name in _SYNCS),
    )


def _scaled(body: Body, factor: float) -> Body:
    return Body(
        products={rate: flops * factor for rate, flops in body.products.items()},
        instructions=body.instructions * factor,
        pipe_clocks=body.pipe_clocks * factor,
        shared_bytes=body.shared_bytes * factor,
        syncs=body.syncs * factor,
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
