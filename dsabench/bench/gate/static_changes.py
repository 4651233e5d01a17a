"""What became worse or better in one config's machine code.

Judged is only what means the same before and after an honest change of the source:

- whether it compiles and launches;
- spills: more than SPILL_SLACK bytes of a thread in the whole code, any more instructions in the main loop;
- tensor cores, as shares of the FLOPs that the source's products ask for: how much runs on them, how much of what they do is of use,
  how much runs in fp8, and on which family of instructions. Counts of instructions say nothing: a larger shape needs fewer, and a
  loop unrolled twice holds twice as many;
- wgmma that ptxas serialized;
- warps an SM holds. Fewer blocks with as many warps are larger blocks, no loss.

Registers, shared memory, blocks an SM and kernels that came or went are told and not judged.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from dsabench.bench.gate.records import Change
from dsabench.bench.gate.static_baseline import StaticLaunch, StaticProducts

SPILL_SLACK = 16
"""Bytes of a thread: two registers stored and loaded once, outside the loop."""
SHARE_SLACK = 0.02
_WARPGROUP = ("HGMMA", "QGMMA", "IGMMA", "BGMMA")
_NONE, _WARP, _WARPGROUPS = 0, 1, 2
Value = bool | int | float | str | None


@dataclass(frozen=True)
class Judged:
    """better: it alone would make the row FASTER."""

    change: Change
    better: bool


def changes(before: Sequence[StaticLaunch], after: Sequence[StaticLaunch], same_config: bool) -> list[Judged]:
    """Of launches matched by kernel; what is alone on its side with one other is the same kernel renamed. same_config: the warps an SM
    holds are judged, too: those of another config are its choice."""
    pairs = _matched(before, after)
    found = []
    for old, new in pairs:
        kernel = new.kernel if new else old.kernel if old else ""
        for judged in _of_launch(old, new, same_config):
            name = judged.change.name if len(pairs) == 1 else f"{judged.change.name} of {kernel}"
            found.append(Judged(judged.change.model_copy(update={"name": name}), judged.better))
    return found


def is_pointless(launches: Sequence[StaticLaunch]) -> bool:
    """A tuner prunes such a config: its main loop spills, serializes its wgmma or falls back from fp8."""
    return any(
        launch.loop_spills
        or launch.serialized
        or (launch.products is not None and launch.products.fp8_issued < launch.products.fp8_useful)
        for launch in launches
    )


def _matched(
    before: Sequence[StaticLaunch], after: Sequence[StaticLaunch]
) -> list[tuple[StaticLaunch | None, StaticLaunch | None]]:
    pairs: list[tuple[StaticLaunch | None, StaticLaunch | None]] = []
    left = list(before)
    come = []
    for launch in after:
        old = next((each for each in left if each.kernel == launch.kernel), None)
        if old is None:
            come.append(launch)
        else:
            left.remove(old)
            pairs.append((old, launch))
    if len(left) == len(come):
        return [*pairs, *zip(left, come, strict=True)]
    return [*pairs, *((None, launch) for launch in come), *((launch, None) for launch in left)]


def _of_launch(old: StaticLaunch | None, new: StaticLaunch | None, same_config: bool) -> Iterator[Judged]:
    if old is None or new is None or old.kernel != new.kernel:
        yield _told("kernel", old.kernel if old else None, new.kernel if new else None)
    if new is None:
        return
    spilt, looped = (old.spill_bytes, old.loop_spills) if old else (0, 0)
    if new.spill_bytes != spilt:
        yield _judged("spilled bytes", spilt, new.spill_bytes, (spilt - new.spill_bytes) / (SPILL_SLACK + 1))
    if new.loop_spills != looped:
        yield _judged("spills in the main loop", looped, new.loop_spills, looped - new.loop_spills)
    serialized = old is not None and old.serialized
    if new.serialized != serialized:
        yield _judged("wgmma serialized", serialized, new.serialized, serialized - new.serialized)
    if old is None:
        return
    yield from _of_products(old.products, new.products)
    if new.warps_per_sm != old.warps_per_sm:
        more = new.warps_per_sm - old.warps_per_sm if same_config else 0
        yield _judged("warps an SM", old.warps_per_sm, new.warps_per_sm, more)
    for name, was, now in (
        ("blocks an SM", old.blocks_per_sm, new.blocks_per_sm),
        ("registers", old.registers, new.registers),
        ("shared bytes", old.shared_bytes, new.shared_bytes),
    ):
        if was != now:
            yield _told(name, was, now)


def _of_products(old: StaticProducts | None, new: StaticProducts | None) -> Iterator[Judged]:
    ranks = _rank(old), _rank(new)
    if _families(old) != _families(new):
        yield _judged("tensor-core instructions", _families(old), _families(new), ranks[1] - ranks[0])
    if old is None or new is None or _NONE in ranks or not (old.useful and new.useful):
        return
    shares = (
        ("products on tensor cores", min(1.0, old.issued / old.useful), min(1.0, new.issued / new.useful)),
        ("useful tensor-core work", min(1.0, old.useful / old.issued), min(1.0, new.useful / new.issued)),
        ("products in fp8", _fp8(old), _fp8(new)),
    )
    for name, was, now in shares:
        if round(was, 3) != round(now, 3):
            # Just past the slack counts as one step.
            yield _judged(name, round(was, 3), round(now, 3), (now - was) / SHARE_SLACK)


def _fp8(products: StaticProducts) -> float:
    return min(products.fp8_useful, products.fp8_issued) / products.useful


def _families(products: StaticProducts | None) -> str:
    return "+".join(products.families) if products and products.families else "none"


def _rank(products: StaticProducts | None) -> int:
    """By the slowest of its instructions: mma.sync beside wgmma is what takes the time."""
    if products is None or not products.issued:
        return _NONE
    return _WARPGROUPS if all(family in _WARPGROUP for family in products.families) else _WARP


def _judged(name: str, was: Value, now: Value, better_by: float) -> Judged:
    """better_by: in steps; a whole one counts, down or up."""
    return Judged(Change(name=name, baseline=was, candidate=now, worse=better_by <= -1), better_by >= 1)


def _told(name: str, was: Value, now: Value) -> Judged:
    return _judged(name, was, now, 0.0)
