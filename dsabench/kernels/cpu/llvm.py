"""Small helpers that emit LLVM vector instructions; used only inside numba intrinsics."""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba.core import cgutils, types


class _BFloat(ir.Type):
    """LLVM's `bfloat`, which llvmlite does not wrap."""

    def _to_string(self) -> str:
        return "bfloat"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _BFloat)

    def __hash__(self) -> int:
        return hash("bfloat")


LANES = 16
"""f32 lanes of one vector: a zmm register; the backend splits it on narrower machines."""

i1, i8, i16, i32, i64 = (ir.IntType(bits) for bits in (1, 8, 16, 32, 64))
f32 = ir.FloatType()
v16f32 = ir.VectorType(f32, 16)
v16i32 = ir.VectorType(i32, 16)
v32i16 = ir.VectorType(i16, 32)
v64i8 = ir.VectorType(i8, 64)
v16i16 = ir.VectorType(i16, 16)
v16bf16 = ir.VectorType(_BFloat(), 16)
v32bf16 = ir.VectorType(_BFloat(), 32)


def int64(value: int) -> ir.Constant:
    return ir.Constant(i64, value)


def vector_constant(element: ir.Type, values: list[int] | list[float]) -> ir.Constant:
    return ir.Constant(ir.VectorType(element, len(values)), [ir.Constant(element, v) for v in values])


def array_data(context: Any, builder: ir.IRBuilder, array_type: types.Array, value: ir.Value) -> ir.Value:
    """The address of a numba array's first element, as i64."""
    return builder.ptrtoint(context.make_array(array_type)(context, builder, value).data, i64)


def element_address(builder: ir.IRBuilder, base: ir.Value, index: ir.Value, size: int) -> ir.Value:
    return builder.add(base, builder.mul(index, int64(size)))


def load(builder: ir.IRBuilder, kind: ir.Type, address: ir.Value, align: int = 4) -> ir.Value:
    value = builder.load(builder.inttoptr(address, ir.PointerType(kind)))
    value.align = align
    return value


def store(builder: ir.IRBuilder, value: ir.Value, address: ir.Value, align: int = 4) -> None:
    builder.store(value, builder.inttoptr(address, ir.PointerType(value.type))).align = align


def splat(builder: ir.IRBuilder, scalar: ir.Value, count: int) -> ir.Value:
    kind = ir.VectorType(scalar.type, count)
    undefined = ir.Constant(kind, ir.Undefined)
    first = builder.insert_element(undefined, scalar, ir.Constant(i32, 0))
    return builder.shuffle_vector(first, undefined, vector_constant(i32, [0] * count))


def intrinsic(builder: ir.IRBuilder, name: str, result: ir.Type, arguments: list[ir.Value]) -> ir.Value:
    kind = ir.FunctionType(result, [a.type for a in arguments])
    return builder.call(cgutils.get_or_insert_function(builder.module, kind, name), arguments)


def shuffle(builder: ir.IRBuilder, a: ir.Value, b: ir.Value, indices: list[int]) -> ir.Value:
    return builder.shuffle_vector(a, b, vector_constant(i32, indices))


def is_bf16_words(array_type: types.Array) -> bool:
    """uint32 arrays hold pairs of bf16; float32 arrays hold f32. Raises TypeError on anything else."""
    if array_type.dtype == types.uint32:
        return True
    if array_type.dtype == types.float32:
        return False
    raise TypeError(f"expected an array of uint32 (bf16 pairs) or float32, got {array_type}")


def round_to_bf16(builder: ir.IRBuilder, x: ir.Value) -> ir.Value:
    """16 f32 as bf16 bits (i16 lanes), nearest even; AVX-512 BF16 only."""
    return builder.bitcast(intrinsic(builder, "llvm.x86.avx512bf16.cvtneps2bf16.512", v16bf16, [x]), v16i16)
