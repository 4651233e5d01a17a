"""Bytes that instructions move, by their modifiers; the opcodes are ptxas's for sm_90a."""

from __future__ import annotations

import pytest

from dsabench.autotune.inspect.sass import analyse, parse
from dsabench.autotune.inspect.traffic import loaded_bytes, shared_bytes


@pytest.mark.parametrize(
    ("opcode", "bytes_of_a_thread"),
    [
        ("LDG.E", 4),
        ("LDG.E.128", 16),
        ("LDG.E.64.CONSTANT", 8),
        ("LDG.E.U8", 1),
        ("LDG.E.S16", 2),
        ("LDGSTS.E.BYPASS.128", 16),
        ("LDGSTS.E", 4),
        ("STG.E.128", 0),
        ("LDS.128", 0),
    ],
)
def test_loaded_from_global_memory(opcode: str, bytes_of_a_thread: int) -> None:
    assert loaded_bytes(opcode.split(".")[0], opcode) == 32 * bytes_of_a_thread


@pytest.mark.parametrize(
    ("opcode", "operands", "bytes_of_a_warp"),
    [
        ("LDS", "R4, [R8]", 128),
        ("STS.128", "[R8], R4", 512),
        ("LDS.U16", "R4, [R8]", 64),
        ("STAS.128", "[R8], R4, [R12]", 512),
        ("STL.64", "[R1], R4", 256),
        ("LDGSTS.E.BYPASS.128", "[R8], desc[UR4][R2.64]", 512),
        ("LDSM.16.M88.4", "R4, [R8]", 512),
        ("STSM.16.MT88.2", "[R8], R4", 256),
        ("LDSM.16.M88", "R4, [R8]", 128),
        ("LDG.E.128", "R4, [R8]", 0),
        ("FFMA", "R4, R5, R6, R7", 0),
        # A of 64 × 16 and B of 32 × 16 in bf16, a quarter for each warp of the group
        ("HGMMA.64x32x16.F32.BF16", "R24, gdesc[UR8], R24, gsb0", (2048 + 1024) // 4),
        ("HGMMA.64x256x16.F32.BF16", "R24, R4, gdesc[UR8].tnspB, R24", 8192 // 4),
        ("QGMMA.64x256x32.F32.E4M3.E4M3", "R24, gdesc[UR8], RZ, !UPT", (2048 + 8192) // 4),
        ("HMMA.16816.F32.BF16", "R4, R8, R12, R4", 0),
    ],
)
def test_through_shared_memory(opcode: str, operands: str, bytes_of_a_warp: int) -> None:
    assert shared_bytes(opcode.split(".")[0], opcode, operands) == bytes_of_a_warp


def test_spans_add_them_up() -> None:
    text = """
        /*0000*/                   LDG.E.128 R4, desc[UR4][R2.64] ;
        /*0010*/              @!P0 LDS.64 R8, [R3+0x100] ;
        /*0020*/                   HGMMA.64x32x16.F32.BF16 R24, gdesc[UR8], R24, gsb0 ;
        /*0030*/               @P1 BRA 0x10 ;
    """
    code = analyse(parse(text))
    assert code.loop is not None
    assert (code.whole.loaded_bytes, code.whole.shared_bytes) == (512, 256 + 768)
    assert (code.loop.loaded_bytes, code.loop.shared_bytes) == (0, 256 + 768)
