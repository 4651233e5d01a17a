"""Families, loops and the main loop of machine code, from its text."""

from __future__ import annotations

from dsabench.autotune.inspect.sass import analyse, loops, main_loop, parse

# An outer loop (0x10 to 0x80) with products of its own, around an inner one (0x30 to 0x50); then a long loop without any.
NESTED = """
	.headerflags	@"EF_CUDA_SM90"
        /*0000*/                   LDC R1, c[0x0][0x28] ;
        /*0010*/                   HGMMA.64x64x16.F32.BF16 R24, gdesc[UR4], R24 ;
        /*0020*/                   LDGSTS.E.BYPASS.128 [R4], desc[UR16][R6.64] ;
        /*0030*/                   HGMMA.64x128x16.F32.BF16 R24, gdesc[UR8], R24, gsb0 ;   /* 0x00e00000081879f0 */
                                                                                       /* 0x000fe20008000818 */
        /*0040*/                   HGMMA.64x128x16.F32.BF16 R24, gdesc[UR8], R24 ;
        /*0050*/              @!P0 BRA 0x30 ;
        /*0060*/                   STL.64 [R1+0x8], R2 ;
        /*0070*/              @!UP1 UTMALDG.2D [UR8], [UR4] ;
        /*0080*/               @P1 BRA 0x10 ;
        /*0090*/                   LDG.E R2, desc[UR4][R2.64] ;
        /*00a0*/                   FADD R2, R2, R3 ;
        /*00b0*/                   FADD R2, R2, R3 ;
        /*00c0*/                   FADD R2, R2, R3 ;
        /*00d0*/                   FADD R2, R2, R3 ;
        /*00e0*/                   FADD R2, R2, R3 ;
        /*00f0*/              @!P2 BRA 0x90 ;
        /*0100*/                   EXIT ;
        /*0110*/                   BRA 0x110;
        /*0120*/                   NOP;
"""


def test_every_line_of_code_is_an_instruction() -> None:
    instructions = parse(NESTED)
    assert [i.address for i in instructions] == list(range(0, 0x130, 16))
    assert instructions[3].opcode == "HGMMA.64x128x16.F32.BF16"
    assert instructions[7].family == "UTMALDG"
    assert instructions[5].target == 0x30


def test_loops_are_backward_branches() -> None:
    assert loops(parse(NESTED)) == [(0x10, 0x80), (0x30, 0x50), (0x90, 0xF0)]


def test_main_loop_has_most_products_of_its_own() -> None:
    assert main_loop(parse(NESTED)) == (0x30, 0x50)
    outer_heavy = NESTED.replace("LDGSTS.E.BYPASS.128 [R4], desc[UR16][R6.64]", "HGMMA.64x64x16.F32.BF16 R24, R24")
    outer_heavy = outer_heavy.replace("STL.64 [R1+0x8], R2", "HGMMA.64x64x16.F32.BF16 R24, R24")
    assert main_loop(parse(outer_heavy)) == (0x10, 0x80)


def test_main_loop_without_products_is_the_longest_innermost() -> None:
    assert main_loop(parse(NESTED.replace("HGMMA", "FFMA"))) == (0x90, 0xF0)


def test_counts() -> None:
    code = analyse(parse(NESTED))
    assert code.whole.instructions == 19
    assert code.whole.families["HGMMA"] == 3
    assert code.whole.families["STL"] == code.whole.families["LDGSTS"] == code.whole.families["UTMALDG"] == 1
    assert code.whole.families["QGMMA"] == code.whole.families["LDL"] == 0
    assert code.whole.products == {"HGMMA.64x64x16.F32.BF16": 1, "HGMMA.64x128x16.F32.BF16": 2}
    assert code.loop is not None
    assert code.loop.instructions == 3
    assert code.loop.families["STL"] == 0


def test_straight_code_has_no_loop() -> None:
    assert analyse(parse("        /*0000*/   EXIT ;\n        /*0010*/   BRA 0x10;\n")).loop is None


# Loops of producers (0x10 to 0x40), of consumers that make the output (0x60 to 0x80), of a prologue (0xa0 to 0xb0) and of consumers
# that make scores (0xc0 to 0xe0). A wait is tried again behind the end (0x100), from where it goes back.
ROLES = """
        /*0000*/              @!P3 BRA 0x60 ;
        /*0010*/              @!P0 BRA 0x100 ;
        /*0020*/                   LDGSTS.E.BYPASS.128 [R4], desc[UR16][R6.64] ;
        /*0030*/                   LDGSTS.E.BYPASS.128 [R4], desc[UR16][R6.64] ;
        /*0040*/              @!P1 BRA 0x10 ;
        /*0050*/                   EXIT ;
        /*0060*/              @!P4 BRA 0xa0 ;
        /*0070*/                   HGMMA.64x256x16.F32.BF16 R24, gdesc[UR4], R24 ;
        /*0080*/               @P5 BRA 0x60 ;
        /*0090*/                   EXIT ;
        /*00a0*/                   LDG.E.128 R2, desc[UR4][R2.64] ;
        /*00b0*/              @!P2 BRA 0xa0 ;
        /*00c0*/                   HGMMA.64x64x16.F32.BF16 R24, gdesc[UR4], R24 ;
        /*00d0*/                   HGMMA.64x64x16.F32.BF16 R24, gdesc[UR4], R24 ;
        /*00e0*/              @!P1 BRA 0xc0 ;
        /*00f0*/                   EXIT ;
        /*0100*/                   SYNCS.PHASECHK.TRANS64.TRYWAIT P0, [UR4], R3 ;
        /*0110*/              @!P0 BRA 0x100 ;
        /*0120*/                   BRA 0x20 ;
        /*0130*/                   BRA 0x130;
"""


def test_loops_of_other_roles() -> None:
    code = analyse(parse(ROLES))
    assert code.loop is not None
    assert code.loop.products == {"HGMMA.64x64x16.F32.BF16": 2}
    values, fetches = code.beside
    assert (values.instructions, values.products) == (3, {"HGMMA.64x256x16.F32.BF16": 1})
    assert (fetches.instructions, fetches.loaded_bytes) == (7, 2 * 512)  # with the wait that stands elsewhere
    assert fetches.families["SYNCS"] == 1


def test_a_loop_around_the_main_loop_is_no_other_role() -> None:
    (after,) = analyse(parse(NESTED)).beside
    assert after.families["FADD"] == 5
