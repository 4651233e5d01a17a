"""Tensor-core work: what a kernel's products ask for against what its machine code issues.

Both are counted for one trip of the main loop of one block. *Useful* is 2·M·N·K of every `tl.dot` in the loop, as the kernel's
author wrote it (Triton's TTIR), padding of a tile included: it is the kernel's demand, not the op's. *Issued* is the shape of
each tensor-core instruction in the machine loop, times the warpgroups (HGMMA, QGMMA) or warps (HMMA) that execute it. They differ
when a layout makes several warpgroups compute the same tile, which no other figure shows: such a kernel runs at full
tensor-core rate and at half its speed.

A machine loop may hold several trips of the source's (LLVM or ptxas unrolled it). The layouts that Triton chose (TTGIR) say what
one trip issues, repeats included, so the number of trips is the quotient, rounded.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from dsabench.autotune.inspect.sass import Code
from dsabench.kernels.cuda.source import Products

_TYPE = r"(?:tensor|!ttg\.memdesc)<((?:\d+x)+)(\w+)"
_DOT = re.compile(rf"\b(?:tt\.dot|ttng\.warp_group_dot) .*? : {_TYPE}.*? \* {_TYPE}.*? -> {_TYPE}(?:, (#\w+))?")
_LAYOUT = re.compile(r"^(#\w+) = #ttg\.nvidia_mma<\{.*?warpsPerCTA = \[([\d, ]+)\].*?instrShape = \[([\d, ]+)\]")
_WARPGROUP_SHAPE = re.compile(r"^(\w)GMMA\.(\d+)x(\d+)x(\d+)")
_WARP_SHAPE = re.compile(r"^[HIQ]MMA\.(?:SP\.)?(\d+)")
_WARP_SHAPES = {"1688": (16, 8, 8), "16816": (16, 8, 16), "16832": (16, 8, 32), "16864": (16, 8, 64)}
_WARPS_IN_GROUP = 4


@dataclass(frozen=True)
class Dot:
    """One product in a compiler's text. flops: 2·M·N·K; issued_flops: with the repeats of its layout (equal without one);
    fp8: both operands are; loop: number of the innermost loop around it in the order of the text, -1 outside of loops."""

    flops: int
    issued_flops: int
    fp8: bool
    loop: int


@dataclass(frozen=True)
class TritonProducts:
    """source: dots of the TTIR; laid_out: dots of the TTGIR."""

    source: tuple[Dot, ...]
    laid_out: tuple[Dot, ...]


SourceProducts = TritonProducts | Products
"""What is known of a kernel's products before its machine code: read by the compiler, or stated by the author."""


@dataclass(frozen=True)
class ProductCounts:
    """Of one trip of the main loop, or of the whole kernel when no loop holds its products. `trips`: source trips that one trip
    of the machine loop makes; the FLOPs are those of all of them. The last three are what an author states (`Products`), None:
    all warps, useful_flops, and nothing stated."""

    in_loop: bool
    trips: int
    useful_flops: int
    issued_flops: int
    fp8_useful_flops: int
    fp8_issued_flops: int
    warps: int | None = None
    tile_flops: int | None = None
    rows: int | None = None


def dots(text: str) -> list[Dot]:
    """The products in a TTIR or TTGIR module."""
    layouts = {}
    found = []
    open_loops: list[tuple[int, int]] = []  # (indentation, number)
    number = -1
    for line in text.splitlines():
        layout = _LAYOUT.match(line)
        if layout:
            layouts[layout[1]] = ([int(n) for n in layout[2].split(",")], [int(n) for n in layout[3].split(",")])
            continue
        indentation = len(line) - len(line.lstrip())
        stripped = line.lstrip()
        if open_loops and indentation == open_loops[-1][0] and stripped.startswith("}") and "do {" not in stripped:
            open_loops.pop()
        elif re.search(r"\bscf\.(for|while) ", stripped) and stripped.split(" loc(")[0].rstrip().endswith("{"):
            number += 1
            open_loops.append((indentation, number))
        match = _DOT.search(stripped)
        if match:
            found.append(_dot(match, layouts, open_loops[-1][1] if open_loops else -1))
    return found


def _dot(match: re.Match[str], layouts: dict[str, tuple[list[int], list[int]]], loop: int) -> Dot:
    a, a_type, _, b_type, result, _, layout = match.groups()
    inner = _sizes(a)[-1]
    *batch, rows, columns = _sizes(result)
    flops = 2 * math.prod(batch) * rows * columns * inner
    issued = flops
    if layout in layouts:
        warps, shape = layouts[layout]
        tall, wide = shape[0] * warps[-2], shape[1] * warps[-1]
        issued = 2 * math.prod(batch) * _up(rows, tall) * _up(columns, wide) * inner
    return Dot(flops, issued, a_type.startswith("f8") and b_type.startswith("f8"), loop)


def _sizes(text: str) -> list[int]:
    return [int(n) for n in text.rstrip("x").split("x")]


def _up(value: int, unit: int) -> int:
    return -(-value // unit) * unit


def issued_flops(opcode: str, warps: int) -> int:
    """FLOPs of one tensor-core instruction over the block's warps that execute it; 0 for what is none or of unknown shape."""
    group = _WARPGROUP_SHAPE.match(opcode)
    if group:
        return 2 * int(group[2]) * int(group[3]) * int(group[4]) * (warps // _WARPS_IN_GROUP)
    warp = _WARP_SHAPE.match(opcode)
    return 2 * math.prod(_WARP_SHAPES[warp[1]]) * warps if warp and warp[1] in _WARP_SHAPES else 0


def count_products(known: SourceProducts | None, code: Code, warps: int) -> ProductCounts | None:
    """warps: of a block. None for a kernel without products, or of which nothing is known."""
    match known:
        case Products():
            return _stated(known, code)
        case TritonProducts() if known.source:
            return _counted(known, code, warps)
        case _:
            return None


def _counted(known: TritonProducts, code: Code, warps: int) -> ProductCounts:
    in_loop = any(d.loop >= 0 for d in known.source) and code.loop is not None and bool(code.loop.products)
    asked = _main(known.source) if in_loop else list(known.source)
    planned = sum(d.issued_flops for d in (_main(known.laid_out) if in_loop else known.laid_out))
    issued, fp8_issued = _issued(code, in_loop, warps)
    trips = max(1, round(issued / planned)) if planned and in_loop else 1
    return ProductCounts(
        in_loop=in_loop,
        trips=trips,
        useful_flops=trips * sum(d.flops for d in asked),
        issued_flops=issued,
        fp8_useful_flops=trips * sum(d.flops for d in asked if d.fp8),
        fp8_issued_flops=fp8_issued,
    )


def _stated(known: Products, code: Code) -> ProductCounts:
    in_loop = code.loop is not None and bool(code.loop.products)
    issued, fp8_issued = _issued(code, in_loop, known.warps)
    return ProductCounts(
        in_loop=in_loop,
        trips=1,
        useful_flops=known.useful_flops,
        issued_flops=issued,
        fp8_useful_flops=known.fp8_useful_flops,
        fp8_issued_flops=fp8_issued,
        warps=known.warps,
        tile_flops=known.tile_flops or None,
        rows=known.rows or None,
    )


def _issued(code: Code, in_loop: bool, warps: int) -> tuple[int, int]:
    """FLOPs of all tensor-core instructions, and of the fp8 ones."""
    span = code.loop if in_loop and code.loop is not None else code.whole
    each = {opcode: issued_flops(opcode, warps) * n for opcode, n in span.products.items()}
    return sum(each.values()), sum(n for opcode, n in each.items() if opcode.startswith(("QGMMA", "QMMA")))


def _main(all_dots: Iterable[Dot]) -> list[Dot]:
    """The dots of the loop that asks for most."""
    listed = [d for d in all_dots if d.loop >= 0]
    flops: Counter[int] = Counter()
    for d in listed:
        flops[d.loop] += d.flops
    main = max(flops, key=lambda loop: flops[loop], default=-1)
    return [d for d in listed if d.loop == main]
