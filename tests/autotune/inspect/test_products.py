"""Useful against issued tensor-core work, from the compiler's texts and the machine code."""

from __future__ import annotations

from dataclasses import replace

import pytest

from dsabench.autotune.inspect.facts import roles_of
from dsabench.autotune.inspect.products import Dot, TritonProducts, count_products, dots, issued_flops
from dsabench.autotune.inspect.sass import Code, Span
from dsabench.kernels.cuda.source import Products

TTIR = """
module {
  tt.func public @attend(%q: !tt.ptr<bf16> loc("q")) attributes {noinline = false} {
    %first = tt.dot %a, %b, %c, inputPrecision = tf32 : tensor<16x16xbf16> * tensor<16x16xbf16> -> tensor<16x16xf32> loc(#loc)
    %acc:3 = scf.for %i = %c0 to %c2048 step %c64 iter_args(%m = %x) -> (tensor<64xf32>)  : i32 {
      %inner = scf.for %j = %c0 to %c4 step %c1 iter_args(%n = %y) -> (tensor<8x8xf32>)  : i32 {
        %z = tt.dot %a, %b, %c, inputPrecision = tf32 : tensor<8x16xbf16> * tensor<16x8xbf16> -> tensor<8x8xf32> loc(#loc)
        scf.yield %z : tensor<8x8xf32> loc(#loc)
      } loc(#loc)
      %s = tt.dot %q, %k, %c, inputPrecision = tf32 : tensor<64x576xbf16> * tensor<576x64xbf16> -> tensor<64x64xf32> loc(#loc)
      %w = scf.if %ok -> (i32) {
        scf.yield %c0 : i32 loc(#loc)
      } else {
        scf.yield %c1 : i32 loc(#loc)
      } loc(#loc)
      %o = tt.dot %p, %v, %acc, inputPrecision = tf32 : tensor<64x64xbf16> * tensor<64x512xbf16> -> tensor<64x512xf32> loc(#loc)
      scf.yield %o : tensor<64x512xf32> loc(#loc)
    } loc(#loc)
    %last = tt.dot %a, %b, %c {max = 1 : i32} : tensor<4x64x32xf8E4M3FN> * tensor<4x32x64xf8E4M3FN> -> tensor<4x64x64xf32> loc(#loc)
  }
}
"""
TTGIR = """
#mma = #ttg.nvidia_mma<{versionMajor = 3, versionMinor = 0, warpsPerCTA = [8, 1], instrShape = [16, 32, 16]}>
#mma1 = #ttg.nvidia_mma<{versionMajor = 3, versionMinor = 0, warpsPerCTA = [4, 2], instrShape = [16, 256, 16]}>
    %acc:9 = scf.for %i = %c0 to %c2048 step %c64 iter_args(%m = %x) -> (tensor<64xf32, #mma>, !ttg.async.token)  : i32 {
      %s = ttng.warp_group_dot %q, %k, %c {inputPrecision = 0 : i32, isAsync = true} : !ttg.memdesc<64x576xbf16, #shared, #smem> * !ttg.memdesc<576x64xbf16, #shared2, #smem, mutable> -> tensor<64x64xf32, #mma> loc(#loc)
      %w:2 = ttng.warp_group_dot_wait %s, %q {pendings = 0 : i32} : tensor<64x64xf32, #mma>, !ttg.memdesc<64x512xbf16, #shared, #smem> loc(#loc)
      %o = ttng.warp_group_dot %p, %v, %a {isAsync = true} : tensor<64x64xbf16, #ttg.dot_op<{opIdx = 0, parent = #mma1, kWidth = 2}>> * !ttg.memdesc<64x512xbf16, #shared, #smem> -> tensor<64x512xf32, #mma1> loc(#loc)
      scf.yield %o : tensor<64x512xf32, #mma1> loc(#loc)
    } loc(#loc)
"""  # noqa: E501
QK, PV = 2 * 64 * 64 * 576, 2 * 64 * 512 * 64


def triton(source: list[Dot], laid_out: list[Dot]) -> TritonProducts:
    return TritonProducts(tuple(source), tuple(laid_out))


def code(loop: dict[str, int] | None, whole: dict[str, int] | None = None) -> Code:
    def span(products: dict[str, int]) -> Span:
        return Span(sum(products.values()), {}, products)

    return Code(span(whole or loop or {}), None if loop is None else span(loop))


def test_dots_know_their_loop() -> None:
    found = dots(TTIR)
    assert [d.loop for d in found] == [-1, 1, 0, 0, -1]
    assert [d.flops for d in found] == [2 * 16**3, 2 * 8 * 8 * 16, QK, PV, 2 * 4 * 64 * 64 * 32]
    assert [d.fp8 for d in found] == [False] * 4 + [True]
    assert all(d.issued_flops == d.flops for d in found)


def test_layouts_tell_repeated_work() -> None:
    found = dots(TTGIR)
    assert [(d.flops, d.issued_flops) for d in found] == [(QK, 2 * QK), (PV, PV)]


@pytest.mark.parametrize(
    ("opcode", "warps", "flops"),
    [
        ("HGMMA.64x128x16.F32.BF16", 4, 2 * 64 * 128 * 16),
        ("HGMMA.64x128x16.F32.BF16", 8, 2 * 2 * 64 * 128 * 16),
        ("QGMMA.64x256x32.F32.E4M3.E4M3", 4, 2 * 64 * 256 * 32),
        ("HMMA.16816.F32.BF16", 4, 4 * 2 * 16 * 8 * 16),
        ("HMMA.1688.F32.TF32", 1, 2 * 16 * 8 * 8),
        ("FFMA", 4, 0),
    ],
)
def test_issued_flops(opcode: str, warps: int, flops: int) -> None:
    assert issued_flops(opcode, warps) == flops


def test_both_warpgroups_computing_one_tile_is_seen() -> None:
    repeated = code({"HGMMA.64x32x16.F32.BF16": 72, "HGMMA.64x256x16.F32.BF16": 4})
    counts = count_products(triton(dots(TTIR), dots(TTGIR)), repeated, warps=8)
    assert counts is not None
    assert counts.in_loop
    assert counts.useful_flops == QK + PV
    assert counts.issued_flops == 2 * QK + PV
    assert counts.trips == 1


def test_an_unrolled_loop_is_not_repeated_work() -> None:
    source = [d for d in dots(TTIR) if d.loop == 0]
    twice = code({"HGMMA.64x64x16.F32.BF16": 72, "HGMMA.64x256x16.F32.BF16": 16})
    counts = count_products(triton(source, source), twice, warps=4)
    assert counts is not None
    assert counts.trips == 2
    assert counts.useful_flops == counts.issued_flops == 2 * (QK + PV)


def test_products_outside_of_loops_count_as_a_whole() -> None:
    outside = [d for d in dots(TTIR) if d.loop < 0][1:]
    counts = count_products(triton(outside, outside), code(None, {"QGMMA.64x64x32.F32.E4M3.E4M3": 4}), warps=4)
    assert counts is not None
    assert not counts.in_loop
    assert counts.useful_flops == counts.issued_flops == counts.fp8_useful_flops == counts.fp8_issued_flops


def test_no_products_no_counts() -> None:
    assert count_products(triton([], []), code({"HGMMA.64x64x16.F32.BF16": 1}), warps=4) is None


def test_a_product_without_tensor_cores() -> None:
    counts = count_products(triton(dots(TTIR), dots(TTIR)), code({}), warps=4)
    assert counts is not None
    assert counts.issued_flops == 0


def test_what_an_author_states_is_held_against_the_machine_code() -> None:
    """Of two consumer warpgroups and a producer, the consumers' 8 warps issue."""
    halves = code({"HGMMA.64x128x16.F32.BF16": 4})
    counts = count_products(Products(useful_flops=4 * 2 * 64 * 128 * 16, warps=8), halves, warps=12)
    assert counts is not None
    assert counts.in_loop
    assert counts.issued_flops == 2 * counts.useful_flops
    assert counts.fp8_issued_flops == counts.fp8_useful_flops == 0


def test_stated_fp8_products_that_fell_back_show() -> None:
    stated = Products(useful_flops=100, warps=4, fp8_useful_flops=100)
    counts = count_products(stated, code(None, {"HMMA.16816.F32.BF16": 1, "QGMMA.64x8x32.F32.E4M3.E4M3": 0}), warps=4)
    assert counts is not None
    assert not counts.in_loop
    assert counts.fp8_issued_flops == 0 < counts.fp8_useful_flops


def test_nothing_stated_nothing_counted() -> None:
    assert count_products(None, code({"HGMMA.64x64x16.F32.BF16": 1}), warps=4) is None


SCORES, VALUES = 4 * 2 * 64 * 64 * 16, 2 * 64 * 256 * 16


def roles(stated: Products | None, warps: int = 12) -> list[tuple[int, bool]]:
    """Of a kernel with loops of scores, of values and of a producer: the warps of the two beside the main loop, and who multiplies."""
    values = Span(9, {}, {"HGMMA.64x256x16.F32.BF16": 1}, 0, 100)
    fetches = Span(5, {}, {}, 512, 300)
    kernel = replace(code({"HGMMA.64x64x16.F32.BF16": 4}), beside=(values, fetches))
    return [(role.warps, bool(role.loop.products)) for role in roles_of(stated, kernel, warps)]


def test_an_author_says_which_warps_have_roles() -> None:
    assert roles(Products(SCORES, 4, tile_flops=SCORES + VALUES, producers=4)) == [(4, True), (4, False)]
    assert roles(Products(SCORES, 4, tile_flops=SCORES + VALUES, producers=4), warps=16) == [(8, True), (4, False)]
    assert roles(Products(SCORES, 8, producers=4)) == [(4, False)]


def test_without_such_word_all_warps_run_the_main_loop() -> None:
    assert roles(Products(SCORES, 12)) == roles(Products(SCORES, 4)) == roles(None) == []
