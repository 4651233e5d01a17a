"""Machine code as text (SASS): instructions, their families, loops, and the main loop."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass

from dsabench.autotune.inspect.cycles import cycles
from dsabench.autotune.inspect.traffic import loaded_bytes, shared_bytes

NAMED_FAMILIES = ("HGMMA", "QGMMA", "HMMA", "LDGSTS", "UTMALDG", "LDL", "STL")
"""Counted even where there are none: warpgroup products in bf16 and fp8, mma.sync products, copies to shared memory by cp.async
and by TMA, loads and stores of local memory (spills)."""
OTHER_FAMILIES = (
    *("IGMMA", "BGMMA", "QMMA", "IMMA", "DMMA", "FFMA", "FMUL", "FADD", "MUFU", "F2FP", "SHFL", "PRMT"),
    *("LDG", "STG", "RED", "ATOM", "ATOMG", "ATOMS", "LDS", "STS", "LDSM", "STSM", "UTMASTG", "UBLKCP"),
    *("BAR", "SYNCS", "DEPBAR", "LDGDEPBAR", "WARPGROUP", "WARPSYNC", "BSSY", "VOTE", "MATCH", "BRA", "CALL"),
)
"""Counted where there are any."""

_INSTRUCTION = re.compile(r"^\s*/\*([0-9a-f]{4,})\*/\s+(@!?U?P\w+\s+)?([A-Z][A-Z0-9_]*)(\S*)(.*?);")
_TARGET = re.compile(r"0x([0-9a-f]+)")
_MMA = re.compile(r"^[A-Z]+MMA$")
_LEAVES = ("EXIT", "RET", "BRX", "JMX")
_TMA = ("UTMALDG", "UBLKCP")


@dataclass(frozen=True)
class Instruction:
    address: int
    family: str
    """the opcode up to its first dot, e.g. `HGMMA`"""
    opcode: str
    """with its modifiers, e.g. `HGMMA.64x128x16.F32.BF16`"""
    target: int | None
    """of a branch"""
    operands: str = ""
    conditional: bool = False
    """under a predicate, or a branch that tests one"""


@dataclass(frozen=True)
class Span:
    """Counts over a stretch of code. products: number of tensor-core instructions by opcode; loaded_bytes, shared_bytes: of a warp,
    see `traffic`."""

    instructions: int
    families: dict[str, int]
    products: dict[str, int]
    loaded_bytes: int = 0
    shared_bytes: int = 0


@dataclass(frozen=True)
class Code:
    """One kernel's machine code: all of it, its main loop (None without loops), and the loops that other warps may run beside that
    one: all others with products, and of those without the one that copies most."""

    whole: Span
    loop: Span | None
    beside: tuple[Span, ...] = ()


def parse(text: str) -> list[Instruction]:
    """The instructions that `nvdisasm` or `cuobjdump -sass` printed, in order."""
    found = []
    for line in text.splitlines():
        match = _INSTRUCTION.match(line)
        if match is None:
            continue
        address, predicate, family, modifiers, operands = match.groups()
        target = _TARGET.search(operands) if family == "BRA" else None
        goes_to = int(target[1], 16) if target else None
        conditional = predicate is not None or (target is not None and "," in operands)
        opcode = family + modifiers
        found.append(Instruction(int(address, 16), family, opcode, goes_to, operands.strip(), conditional))
    return found


def analyse(instructions: list[Instruction]) -> Code:
    """Counts of the whole code, of its main loop, and of the loops beside it."""
    main = main_loop(instructions)
    if main is None:
        return Code(_span(instructions), None)
    inside = [i for i in instructions if main[0] <= i.address <= main[1]]
    beside = [_span(loop) for loop in _cycles(instructions) if not any(main[0] <= i.address <= main[1] for i in loop)]
    multiplying = [span for span in beside if span.products]
    copying = [span for span in beside if not span.products and any(_copied(span))]
    return Code(_span(instructions), _span(inside), (*multiplying, *sorted(copying, key=_copied)[-1:]))


def _cycles(instructions: list[Instruction]) -> list[list[Instruction]]:
    """The instructions of each loop, loops inside it and waits that stand elsewhere included. Calls come back."""
    places = {i.address: place for place, i in enumerate(instructions)}
    successors = []
    for place, i in enumerate(instructions):
        leaves = not i.conditional and (i.family in _LEAVES or i.target is not None)
        after = [] if leaves or place + 1 == len(instructions) else [place + 1]
        if i.target in places:
            after.append(places[i.target])
        successors.append(after)
    return [[instructions[place] for place in cycle] for cycle in cycles(successors)]


def _copied(span: Span) -> tuple[int, int]:
    """How much a loop loads: boxes of TMA, whose bytes are not in the code, before bytes."""
    return sum(span.families.get(name, 0) for name in _TMA), span.loaded_bytes


def loops(instructions: list[Instruction]) -> list[tuple[int, int]]:
    """Address ranges, first to last instruction, from each backward branch; branches to one head are one loop. A branch to
    itself, with which every kernel ends, is none."""
    ends: dict[int, int] = {}
    for instruction in instructions:
        if instruction.target is not None and instruction.target < instruction.address:
            ends[instruction.target] = max(instruction.address, ends.get(instruction.target, 0))
    return sorted(ends.items())


def main_loop(instructions: list[Instruction]) -> tuple[int, int] | None:
    """The loop with most tensor-core instructions of its own (not in a loop inside it); without any, the longest loop that
    holds no other. None without loops."""
    found = loops(instructions)
    if not found:
        return None
    own: Counter[tuple[int, int]] = Counter()
    for instruction in instructions:
        if _MMA.match(instruction.family):
            around = [loop for loop in found if loop[0] <= instruction.address <= loop[1]]
            if around:
                own[min(around, key=lambda loop: loop[1] - loop[0])] += 1
    if own:
        return max(own, key=lambda loop: own[loop])
    innermost = [a for a in found if not any(b != a and a[0] <= b[0] and b[1] <= a[1] for b in found)]
    return max(innermost, key=lambda loop: loop[1] - loop[0])


def _span(instructions: list[Instruction]) -> Span:
    counts = Counter(i.family for i in instructions)
    products = Counter(i.opcode for i in instructions if _MMA.match(i.family))
    families = {name: counts[name] for name in NAMED_FAMILIES}
    families |= {name: counts[name] for name in OTHER_FAMILIES if counts[name]}
    loaded = sum(loaded_bytes(i.family, i.opcode) for i in instructions)
    shared = sum(shared_bytes(i.family, i.opcode, i.operands) for i in instructions)
    return Span(len(instructions), families, dict(products), loaded, shared)
