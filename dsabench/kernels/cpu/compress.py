"""Columns whose value reaches a threshold: the one pass over a row of scores that top-k selection needs."""

from __future__ import annotations

from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic as numba_intrinsic
from numba.extending import overload

from dsabench.kernels.cpu import llvm


@numba_intrinsic
def _mask_64(typing_context, x, first, threshold):
    """Bit j of the result: x[first + j] >= threshold (false for NaN)."""
    signature = types.uint64(x, types.int64, types.float32)

    def generate(context, builder, signature, arguments):
        x, first, threshold = arguments
        base = llvm.element_address(builder, llvm.array_data(context, builder, signature.args[0], x), first, 4)
        limit = llvm.splat(builder, threshold, llvm.LANES)
        mask: ir.Value = llvm.int64(0)
        for part in range(4):
            value = llvm.load(builder, llvm.v16f32, builder.add(base, llvm.int64(64 * part)))
            bits = builder.bitcast(builder.fcmp_ordered(">=", value, limit), llvm.i16)
            mask = builder.or_(mask, builder.shl(builder.zext(bits, llvm.i64), llvm.int64(16 * part)))
        return mask

    return signature, generate


@numba_intrinsic
def _compress_64(typing_context, mask, first, columns, count):
    """Stores first + j for every set bit j of `mask` from columns[count] on (int32; up to 15 entries past the last one are
    overwritten) and returns how many. `vpcompressd` to a register and a full store: compressing to memory is microcoded."""
    signature = types.int64(types.uint64, types.int64, columns, types.int64)

    def generate(context, builder, signature, arguments):
        mask, first, columns, count = arguments
        base = llvm.array_data(context, builder, signature.args[2], columns)
        iota = llvm.vector_constant(llvm.i32, list(range(16)))
        zeros = llvm.vector_constant(llvm.i32, [0] * 16)
        stored: ir.Value = llvm.int64(0)
        for part in range(4):
            bits = builder.trunc(builder.lshr(mask, llvm.int64(16 * part)), llvm.i16)
            lanes = builder.bitcast(bits, ir.VectorType(llvm.i1, 16))
            start = builder.trunc(builder.add(first, llvm.int64(16 * part)), llvm.i32)
            column = builder.add(llvm.splat(builder, start, 16), iota)
            packed = llvm.intrinsic(
                builder, "llvm.x86.avx512.mask.compress.v16i32", llvm.v16i32, [column, zeros, lanes]
            )
            llvm.store(builder, packed, llvm.element_address(builder, base, builder.add(count, stored), 4))
            ones = builder.zext(llvm.intrinsic(builder, "llvm.ctpop.i16", llvm.i16, [bits]), llvm.i64)
            stored = builder.add(stored, ones)
        return stored

    return signature, generate


def columns_at_least(x, start, end, threshold, columns, vector):
    """Writes the columns in [start, end) with x[column] >= threshold, ascending, and returns their count.

    columns: int32, at least end − start + 64 long; NaN never counts. vector: 1 compiles the AVX-512 form, None the one that
    runs on any CPU.
    """
    raise NotImplementedError("compiled code only")


@overload(columns_at_least)
def _columns_at_least(x, start, end, threshold, columns, vector):
    if vector is types.none:

        def scalar(x, start, end, threshold, columns, vector):
            count = 0
            for i in range(start, end):
                columns[count] = i  # always written, kept or not: no branch to mispredict
                count += x[i] >= threshold
            return count

        return scalar

    def compressed(x, start, end, threshold, columns, vector):
        count = 0
        i = start
        while i + 64 <= end:
            mask = _mask_64(x, i, threshold)
            if mask != 0:
                count += _compress_64(mask, i, columns, count)
            i += 64
        while i < end:
            columns[count] = i
            count += x[i] >= threshold
            i += 1
        return count

    return compressed
