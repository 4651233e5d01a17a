"""Bytes that one instruction of a warp moves, read from its modifiers: `LDG.E.128` is 16 bytes for each of 32 threads."""

from __future__ import annotations

import re

_LOADS = ("LDG", "LDGSTS")
_SHARED = ("LDS", "STS", "STAS", "LDGSTS", "LDL", "STL")
_MATRICES = ("LDSM", "STSM")
_WIDTH = re.compile(r"\.(?:[US])?(8|16|64|128)\b")
_NUMBER_OF_MATRICES = re.compile(r"\.MT?88\.(\d)")
_MATRIX_BYTES = 8 * 8 * 2
_PRODUCT = re.compile(r"^([HQIB])GMMA\.(\d+)x(\d+)x(\d+)")
_ELEMENT_BYTES = {"H": 2, "Q": 1, "I": 1}
_THREADS = 32
_WARPS_IN_GROUP = 4


def loaded_bytes(family: str, opcode: str) -> int:
    """From global memory by a warp; TMA's boxes stand in descriptors, not in the code, and are not counted."""
    return _THREADS * _width(opcode) if family in _LOADS else 0


def shared_bytes(family: str, opcode: str, operands: str) -> int:
    """Through the SM's shared memory by a warp: loads, stores, those to another block of the cluster (it stores as much here),
    asynchronous copies into it, spills (local memory lies in the same unit) and the operands of products.

    A wgmma of M × N × K reads B once, and A where it is not in registers, so a narrow one reads more than it computes: M 64, N 32,
    K 16 in bf16 takes 24 cycles at 128 bytes a cycle for 16 cycles of products. A warp is charged a quarter of its group's.
    """
    if family in _SHARED:
        return _THREADS * _width(opcode)
    if family in _MATRICES:
        number = _NUMBER_OF_MATRICES.search(opcode)
        return _MATRIX_BYTES * int(number[1]) if number else _MATRIX_BYTES
    product = _PRODUCT.match(opcode)
    if product and product[1] in _ELEMENT_BYTES:
        rows, columns, depth = (int(n) for n in product.groups()[1:])
        elements = columns * depth + (rows * depth if _a_in_shared_memory(operands) else 0)
        return elements * _ELEMENT_BYTES[product[1]] // _WARPS_IN_GROUP
    return 0


def _width(opcode: str) -> int:
    width = _WIDTH.search(opcode)
    return int(width[1]) // 8 if width else 4


def _a_in_shared_memory(operands: str) -> bool:
    """`R24, gdesc[UR8], …` against `R24, R4, gdesc[UR8], …`: what stands after the destination."""
    return operands.partition(",")[2].lstrip().startswith("gdesc")
