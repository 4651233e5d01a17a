"""Conversions on the way into and out of the products: e4m3 → bf16/f32, row interleaving, rounding, exp2.

Every function picks its code by the dtype of its arguments: uint32 arrays hold bf16 pairs, float32 arrays f32; an e4m3
table of uint8 selects the byte permute (`vpermi2b`, needs AVX-512 VBMI), one of float32 the table look-up.
"""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
from llvmlite import ir
from numba import njit
from numba.core import cgutils, types
from numba.extending import intrinsic as numba_intrinsic
from numba.extending import overload

from dsabench.kernels.cpu import llvm
from dsabench.kernels.cpu.jit import kernel
from dsabench.kernels.fp8 import E4M3_VALUES

DEQUANTIZATIONS = ("permute", "table")


@functools.cache
def e4m3_table(dequantization: str) -> np.ndarray:
    """Not to be written to. `table`: the 256 values, float32. `permute`: uint8 [256], the high then the low bytes of the bf16
    of codes 0…127."""
    if dequantization == "table":
        return E4M3_VALUES
    bits = (E4M3_VALUES.view(np.uint32)[:128] >> 16).astype(np.uint16)  # exact: e4m3 has 3 mantissa bits, bf16 has 7
    return np.concatenate([bits >> 8, bits & 0xFF]).astype(np.uint8)


# --- exp2 and rounding ---------------------------------------------------------------------------------------------


_EXP2_COEFFICIENTS = (
    1.535336188319500e-4,
    1.339887440266574e-3,
    9.618437357674640e-3,
    5.550332471162809e-2,
    2.402264791363012e-1,
    6.931472028550421e-1,
    1.0,
)
"""Minimax polynomial of 2^f on [-1/2, 1/2], degree 6 (Cephes exp2f)."""


def emit_exp2(builder: ir.IRBuilder, x: ir.Value) -> ir.Value:
    """2^x of float32 x ≤ 0, scalar or vector: relative error < 3e-7; 0 below -126 (also for -inf), NaN for NaN."""
    is_vector = isinstance(x.type, ir.VectorType)
    integer: ir.Type = llvm.v16i32 if is_vector else llvm.i32
    suffix = "v16f32" if is_vector else "f32"

    def constant(kind: ir.Type, value: float) -> ir.Constant:
        return ir.Constant(kind, [value] * llvm.LANES) if is_vector else ir.Constant(kind, value)

    underflow = builder.fcmp_ordered("<", x, constant(x.type, -126.0))  # ordered: a NaN goes on to the polynomial
    clamped = builder.select(underflow, constant(x.type, -126.0), x)
    # Round by truncating x - 1/2 (x ≤ 0). Not by adding 1.5·2²³: numba's fast-math flags reach this code too, and
    # `reassoc` folds that addition away (seen: relative error 0.4).
    whole = builder.fptosi(builder.fsub(clamped, constant(x.type, 0.5)), integer)
    fraction = builder.fsub(clamped, builder.sitofp(whole, x.type))
    first, *rest = (float(np.float32(c)) for c in _EXP2_COEFFICIENTS)
    poly: ir.Value = constant(x.type, first)
    for coefficient in rest:
        poly = llvm.intrinsic(
            builder, f"llvm.fmuladd.{suffix}", x.type, [poly, fraction, constant(x.type, coefficient)]
        )
    exponent = builder.shl(whole, constant(integer, 23))
    scaled = builder.bitcast(builder.add(builder.bitcast(poly, integer), exponent), x.type)
    return builder.select(underflow, constant(x.type, 0.0), scaled)


@numba_intrinsic
def exp2(typing_context, x):
    """`emit_exp2` of a scalar; LLVM vectorises it in a loop over lanes."""

    def generate(context, builder, signature, arguments):
        return emit_exp2(builder, arguments[0])

    return types.float32(types.float32), generate


@njit(inline="always")
def bf16_bits(x):
    """The bf16 of a float32, rounded to nearest even, in the low half of a uint32; a NaN stays a NaN."""
    bits = np.float32(x).view(np.uint32)
    rounded = (bits + np.uint32(0x7FFF) + ((bits >> np.uint32(16)) & np.uint32(1))) >> np.uint32(16)
    is_nan = (bits & np.uint32(0x7FFFFFFF)) > np.uint32(0x7F800000)
    return np.uint32(0x7FC0) if is_nan else rounded


# --- e4m3 --------------------------------------------------------------------------------------------------------------


def _emit_decode_64(context: Any, builder: ir.IRBuilder, table: ir.Value, source: ir.Value) -> list[ir.Value]:
    """The 64 codes at `source` as two vectors of 32 bf16 (i16 lanes), in order."""
    codes = llvm.load(builder, llvm.v64i8, source, 1)
    quarters = [llvm.load(builder, llvm.v64i8, builder.add(table, llvm.int64(64 * i)), 1) for i in range(4)]
    sign = builder.and_(codes, llvm.vector_constant(llvm.i8, [-128] * 64))
    permute = "llvm.x86.avx512.vpermi2var.qi.512"
    high = builder.or_(llvm.intrinsic(builder, permute, llvm.v64i8, [quarters[0], codes, quarters[1]]), sign)
    low = llvm.intrinsic(builder, permute, llvm.v64i8, [quarters[2], codes, quarters[3]])
    halves = []
    for start in (0, 32):
        order = [start + i // 2 + (64 if i % 2 else 0) for i in range(64)]
        halves.append(builder.bitcast(llvm.shuffle(builder, low, high, order), llvm.v32i16))
    return halves


def _emit_widen(builder: ir.IRBuilder, half: ir.Value) -> list[ir.Value]:
    """32 bf16 (i16 lanes) as two vectors of 16 f32."""
    undefined = ir.Constant(llvm.v32i16, ir.Undefined)
    wide = []
    for start in (0, 16):
        words = builder.zext(llvm.shuffle(builder, half, undefined, list(range(start, start + 16))), llvm.v16i32)
        wide.append(builder.bitcast(builder.shl(words, llvm.vector_constant(llvm.i32, [16] * 16)), llvm.v16f32))
    return wide


@numba_intrinsic
def _permute_64(typing_context, codes, first, table, scale, out, out_first):
    """64 codes from codes[first] on, times `scale` (None: exact codes), into 32-bit words of `out` from out_first on."""
    bf16 = llvm.is_bf16_words(out)
    scaled = scale is not types.none
    signature = types.void(codes, types.int64, table, types.float32 if scaled else types.none, out, types.int64)

    def generate(context, builder, signature, arguments):
        codes, first, table, scale, out, out_first = arguments
        codes_type, _, table_type, _, out_type, _ = signature.args
        source = builder.add(llvm.array_data(context, builder, codes_type, codes), first)
        halves = _emit_decode_64(context, builder, llvm.array_data(context, builder, table_type, table), source)
        target = llvm.element_address(builder, llvm.array_data(context, builder, out_type, out), out_first, 4)
        factor = llvm.splat(builder, scale, 16) if scaled else None
        for index, half in enumerate(halves):
            first_byte = index * (64 if bf16 else 128)
            places = [builder.add(target, llvm.int64(first_byte + 64 * part)) for part in (0, 1)]
            if bf16 and factor is None:
                llvm.store(builder, half, places[0], 1)
                continue
            wide = _emit_widen(builder, half)
            if factor is not None:
                wide = [builder.fmul(x, factor) for x in wide]
            if bf16:
                name = "llvm.x86.avx512bf16.cvtne2ps2bf16.512"
                packed = llvm.intrinsic(builder, name, llvm.v32bf16, [wide[1], wide[0]])
                llvm.store(builder, builder.bitcast(packed, llvm.v32i16), places[0], 1)
            else:
                for x, place in zip(wide, places, strict=True):
                    llvm.store(builder, x, place, 1)
        return context.get_dummy_value()

    return signature, generate


def decode_codes(codes, first, count, table, scale, out, out_first):
    """codes[first : first+count] (uint8, count % 64 == 0) times `scale` into the words of `out` from out_first on.

    Products with a scale are rounded to nearest-even when `out` holds bf16 pairs; without one (None) they are exact.
    """
    raise NotImplementedError("compiled code only")


@overload(decode_codes)
def _decode_codes(codes, first, count, table, scale, out, out_first):
    bf16 = llvm.is_bf16_words(out)
    per_word = 2 if bf16 else 1
    if table.dtype == types.uint8:

        def permute(codes, first, count, table, scale, out, out_first):
            for i in range(0, count, 64):
                _permute_64(codes, first + i, table, scale, out, out_first + i // per_word)

        return permute
    if bf16:

        def look_up_pairs(codes, first, count, table, scale, out, out_first):
            factor = np.float32(1.0) if scale is None else scale
            for i in range(count // 2):
                low = bf16_bits(table[codes[first + 2 * i]] * factor)
                high = bf16_bits(table[codes[first + 2 * i + 1]] * factor)
                out[out_first + i] = low | (high << np.uint32(16))

        return look_up_pairs

    def look_up(codes, first, count, table, scale, out, out_first):
        factor = np.float32(1.0) if scale is None else scale
        for i in range(count):
            out[out_first + i] = table[codes[first + i]] * factor

    return look_up


# --- bf16 rows -----------------------------------------------------------------------------------------------------------


def elements_per_word(words):
    """2 for bf16 pairs (uint32), 1 for float32: elements a word."""
    raise NotImplementedError("compiled code only")


@overload(elements_per_word, inline="always")
def _elements_per_word(words):
    if llvm.is_bf16_words(words):
        return lambda words: 2
    return lambda words: 1


@numba_intrinsic
def _prefetch_line(typing_context, array, byte):
    """Asks for the cache line of the array's byte `byte`, into the second-level cache."""
    signature = types.void(array, types.int64)

    def generate(context, builder, signature, arguments):
        array, byte = arguments
        pointer = ir.PointerType()
        kind = ir.FunctionType(ir.VoidType(), [pointer, llvm.i32, llvm.i32, llvm.i32])
        function = cgutils.get_or_insert_function(builder.module, kind, "llvm.prefetch.p0")
        address = builder.add(llvm.array_data(context, builder, signature.args[0], array), byte)
        read, second_level, data = (ir.Constant(llvm.i32, v) for v in (0, 2, 1))
        builder.call(function, [builder.inttoptr(address, pointer), read, second_level, data])
        return context.get_dummy_value()

    return signature, generate


@kernel
def prefetch_bytes(array, first, count):
    """Asks for the cache lines of the array's bytes [first, first + count).

    Gathered rows are random: without this each waits for memory (0.4-0.6 µs a row, a quarter of sparse prefill).
    """
    for byte in range(first, first + count, 64):
        _prefetch_line(array, byte)
    _prefetch_line(array, first + count - 1)  # rows are not aligned to lines


@numba_intrinsic
def _copy_16(typing_context, source, first, out, out_first):
    """16 words of bf16 pairs from source[first] on: as they are into a uint32 `out`, widened to 32 f32 into a float32 one."""
    bf16 = llvm.is_bf16_words(out)
    signature = types.void(source, types.int64, out, types.int64)

    def generate(context, builder, signature, arguments):
        source, first, out, out_first = arguments
        base = llvm.array_data(context, builder, signature.args[0], source)
        words = llvm.load(builder, llvm.v16i32, llvm.element_address(builder, base, first, 4))
        target = llvm.element_address(builder, llvm.array_data(context, builder, signature.args[2], out), out_first, 4)
        if bf16:
            llvm.store(builder, words, target)
            return context.get_dummy_value()
        even = builder.shl(words, llvm.vector_constant(llvm.i32, [16] * 16))
        odd = builder.and_(words, llvm.vector_constant(llvm.i32, [-65536] * 16))
        for part in (0, 1):
            order = [8 * part + i // 2 + (16 if i % 2 else 0) for i in range(16)]
            llvm.store(builder, llvm.shuffle(builder, even, odd, order), builder.add(target, llvm.int64(64 * part)))
        return context.get_dummy_value()

    return signature, generate


@kernel
def copy_bf16(source, first, count, out, out_first):
    """`count` words of bf16 pairs (uint32, count % 16 == 0) from source[first] on into `out`: as they are, or widened to
    2·count f32.

    Vector by vector, with a prefetch 512 bytes ahead. As a plain loop LLVM makes it a call of memcpy, which copied rows at
    3.6 GB/s out of the cache where this reaches 33, and made dense decode a quarter slower; the prefetch also keeps LLVM
    from doing so here.
    """
    per_word = 2 // elements_per_word(out)
    for i in range(0, count, 16):
        _copy_16(source, first + i, out, out_first + per_word * i)
        _prefetch_line(source, 4 * (first + i) + 512)


@numba_intrinsic
def _interleave_32(typing_context, rows, first, second, out, out_first):
    """32 bf16 of two rows (16 words from rows[first] and from rows[second]) as 32 words (a_i, b_i) from out[out_first]."""
    signature = types.void(rows, types.int64, types.int64, out, types.int64)

    def generate(context, builder, signature, arguments):
        rows, first, second, out, out_first = arguments
        base = llvm.array_data(context, builder, signature.args[0], rows)
        a, b = (
            llvm.load(builder, llvm.v32i16, llvm.element_address(builder, base, at, 4), 4) for at in (first, second)
        )
        target = llvm.element_address(builder, llvm.array_data(context, builder, signature.args[3], out), out_first, 4)
        for part in (0, 1):
            order = [16 * part + i // 2 + (32 if i % 2 else 0) for i in range(32)]
            llvm.store(builder, llvm.shuffle(builder, a, b, order), builder.add(target, llvm.int64(64 * part)), 4)
        return context.get_dummy_value()

    return signature, generate


@numba_intrinsic
def store_bf16_16(typing_context, source, first, factor, out, out_first):
    """out[out_first + i] = bf16 bits of source[first + i] · factor for i < 16, as `bf16_bits` rounds. source: f32, flat;
    out: uint16, flat."""
    word = types.int64
    signature = types.void(source, word, types.float32, out, word)

    def generate(context, builder, signature, arguments):
        _, first, factor, _, out_first = arguments
        data = [llvm.array_data(context, builder, signature.args[i], arguments[i]) for i in (0, 3)]
        values = llvm.load(builder, llvm.v16f32, llvm.element_address(builder, data[0], first, 4))
        bits = builder.bitcast(builder.fmul(values, llvm.splat(builder, factor, llvm.LANES)), llvm.v16i32)

        def constant(value: int) -> ir.Constant:
            return llvm.vector_constant(llvm.i32, [value] * llvm.LANES)

        odd = builder.and_(builder.lshr(bits, constant(16)), constant(1))
        rounded = builder.lshr(builder.add(builder.add(bits, constant(0x7FFF)), odd), constant(16))
        is_nan = builder.icmp_unsigned(">", builder.and_(bits, constant(0x7FFFFFFF)), constant(0x7F800000))
        words = builder.trunc(builder.select(is_nan, constant(0x7FC0), rounded), llvm.v16i16)
        llvm.store(builder, words, llvm.element_address(builder, data[1], out_first, 2), 2)
        return context.get_dummy_value()

    return signature, generate


@kernel
def interleave_rows(rows, row_words, count, width, out):
    """Pairs row 2i with row 2i+1: out[i·width + d] = (row 2i)[d] | (row 2i+1)[d] << 16 for d < width (width % 32 == 0).

    rows: bf16 pairs, `row_words` words a row, `count` rows (even). This is the B… A operand of P·V for `vdpbf16ps`, whose
    two products a lane must be two keys.
    """
    for i in range(count // 2):
        for d in range(0, width, 32):
            _interleave_32(rows, 2 * i * row_words + d // 2, (2 * i + 1) * row_words + d // 2, out, i * width + d)


@numba_intrinsic
def exponentials_16(typing_context, s, even, odd, scale, m, l, lane, p, out):
    """16 lanes of two keys: p[out + j] = (2^(s[even+j]·scale − m[j]), 2^(s[odd+j]·scale − m[j])) as a pair of bf16 when p is
    uint32; with p float32, p[out + j] is the first alone (odd is ignored). l[j] grows by what was computed, in f32.

    s, p: flat; m, l: f32, from `lane` on.
    """
    bf16 = llvm.is_bf16_words(p)
    word = types.int64
    signature = types.void(s, word, word, types.float32, m, l, word, p, word)

    def generate(context, builder, signature, arguments):
        s, even, odd, scale, m, l, lane, p, out = arguments
        data = lambda index, value: llvm.array_data(context, builder, signature.args[index], value)
        s_base, l_place = data(0, s), llvm.element_address(builder, data(5, l), lane, 4)
        reference = llvm.load(builder, llvm.v16f32, llvm.element_address(builder, data(4, m), lane, 4))
        factor = llvm.splat(builder, scale, llvm.LANES)

        def exponential(at: ir.Value) -> ir.Value:
            score = llvm.load(builder, llvm.v16f32, llvm.element_address(builder, s_base, at, 4))
            return emit_exp2(builder, builder.fsub(builder.fmul(score, factor), reference))

        first = exponential(even)
        total = first
        target = llvm.element_address(builder, data(7, p), out, 4)
        if bf16:
            second = exponential(odd)
            total = builder.fadd(first, second)
            low, high = (builder.zext(llvm.round_to_bf16(builder, x), llvm.v16i32) for x in (first, second))
            shifted = builder.shl(high, llvm.vector_constant(llvm.i32, [16] * 16))
            llvm.store(builder, builder.or_(low, shifted), target)
        else:
            llvm.store(builder, first, target)
        llvm.store(builder, builder.fadd(llvm.load(builder, llvm.v16f32, l_place), total), l_place)
        return context.get_dummy_value()

    return signature, generate


@numba_intrinsic
def transpose_16(typing_context, source, first, stride, out, out_first, out_stride):
    """out[out_first + j·out_stride + i] = source[first + i·stride + j] for i, j < 16; 32-bit words of one kind, flat arrays.

    Four stages of sixteen two-operand shuffles. Packing 128 queries fell from 41 to 6 µs with it.
    """
    if source.dtype != out.dtype or source.dtype.bitwidth != 32:
        raise TypeError(f"transpose_16 of {source} into {out}: both must be of one 32-bit dtype")
    word = types.int64
    signature = types.void(source, word, word, out, word, word)

    def generate(context, builder, signature, arguments):
        source, first, stride, out, out_first, out_stride = arguments
        base = llvm.element_address(builder, llvm.array_data(context, builder, signature.args[0], source), first, 4)
        target = llvm.element_address(builder, llvm.array_data(context, builder, signature.args[3], out), out_first, 4)
        row_bytes = [builder.mul(s, llvm.int64(4)) for s in (stride, out_stride)]
        rows = [
            llvm.load(builder, llvm.v16i32, builder.add(base, builder.mul(row_bytes[0], llvm.int64(i))))
            for i in range(16)
        ]
        for half in (8, 4, 2, 1):
            # Swaps the off-diagonal blocks of every 2·half × 2·half square.
            upper = [i if not i & half else 16 + i - half for i in range(16)]
            lower = [i + half if not i & half else 16 + i for i in range(16)]
            swapped = list(rows)
            for i in range(16):
                if not i & half:
                    swapped[i] = llvm.shuffle(builder, rows[i], rows[i + half], upper)
                    swapped[i + half] = llvm.shuffle(builder, rows[i], rows[i + half], lower)
            rows = swapped
        for j, row in enumerate(rows):
            llvm.store(builder, row, builder.add(target, builder.mul(row_bytes[1], llvm.int64(j))))
        return context.get_dummy_value()

    return signature, generate
