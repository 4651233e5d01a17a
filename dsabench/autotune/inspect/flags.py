"""What a config's machine code gets wrong."""

from __future__ import annotations

from collections.abc import Sequence

from dsabench.bench.inspection_records import CodeRecord, Flag, LaunchRecord

USEFUL_FRACTION = 0.99
"""Below this, work is repeated: rounding in the counts is no more than a few instructions in thousands."""


def flags(launches: Sequence[LaunchRecord]) -> list[Flag]:
    """What holds for any of a config's launches, in the order of `Flag`."""
    found: set[Flag] = set()
    for launch in launches:
        found |= _code_flags(launch.code)
        if launch.cannot_launch:
            found.add(Flag.CANNOT_LAUNCH)
        elif launch.blocks_per_sm == 1:
            found.add(Flag.ONE_BLOCK)
    return [flag for flag in Flag if flag in found]


def _code_flags(code: CodeRecord) -> set[Flag]:
    found: set[Flag] = set()
    if code.loop is not None and code.loop.sass["LDL"] + code.loop.sass["STL"]:
        found.add(Flag.SPILLS_IN_LOOP)
    elif code.spill_store_bytes + code.spill_load_bytes:
        found.add(Flag.SPILLS)
    if code.serialized:
        found.add(Flag.SERIALIZED)
    products = code.products
    if products is None:
        return found
    if products.fp8_issued_flops < products.fp8_useful_flops:
        found.add(Flag.FP8_FELL_BACK)
    if not products.issued_flops:
        found.add(Flag.NO_TENSOR_CORE)
    span = code.loop if products.in_loop and code.loop is not None else code.whole
    if span.sass["HMMA"] and Flag.FP8_FELL_BACK not in found:
        found.add(Flag.MMA_SYNC)
    fraction = products.useful_fraction
    if fraction is not None and fraction < USEFUL_FRACTION:
        found.add(Flag.REPEATED)
    return found
