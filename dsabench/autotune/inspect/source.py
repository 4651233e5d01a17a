"""A planned launch as what Triton's compiler takes: signature, constants and attributes, specialized as a launch would be."""

from __future__ import annotations

from typing import Any

import torch

from dsabench.kernels.triton.launch import Launch

_DTYPES = {
    torch.bfloat16: "bf16",
    torch.float16: "fp16",
    torch.float32: "fp32",
    torch.float8_e4m3fn: "fp8e4nv",
    torch.int8: "i8",
    torch.uint8: "u8",
    torch.int32: "i32",
    torch.uint32: "u32",
    torch.int64: "i64",
}
_ALIGNMENT = 16


def ast_source(launch: Launch) -> Any:
    """A triton.compiler.ASTSource. Storage counts as aligned to 16 bytes, so that a tensor is when it begins at such an offset;
    integers are specialized on 1 and on multiples of 16, as Triton's launcher does. Raises TypeError for an argument that no
    signature has a type for."""
    from triton.compiler import ASTSource

    kernel = launch.kernel
    signature: dict[str, str] = {}
    constants: dict[str, Any] = {}
    attributes: dict[tuple[int, ...], list[list[Any]]] = {}
    for number, parameter in enumerate(kernel.params):
        value = launch.arguments[parameter.name]
        specialized = not parameter.do_not_specialize
        if parameter.is_constexpr or value is None or (specialized and type(value) is int and value == 1):
            signature[parameter.name] = "constexpr"
            constants[parameter.name] = value
            continue
        signature[parameter.name] = _type_name(parameter.name, value)
        if specialized and not parameter.do_not_specialize_on_alignment and _aligned(value):
            attributes[(number,)] = [["tt.divisibility", _ALIGNMENT]]
    return ASTSource(kernel, signature=signature, constexprs=constants, attrs=attributes)


def _aligned(value: Any) -> bool:
    if isinstance(value, torch.Tensor):
        return value.storage_offset() * value.element_size() % _ALIGNMENT == 0
    return type(value) is int and value % _ALIGNMENT == 0


def _type_name(name: str, value: Any) -> str:
    if isinstance(value, torch.Tensor):
        return "*" + _DTYPES[value.dtype]
    if isinstance(value, bool):
        return "u1"
    if isinstance(value, int):
        return "i32" if -(2**31) <= value < 2**31 else "i64"
    if isinstance(value, float):
        return "fp32"
    if hasattr(value, "block_shape") and hasattr(value, "base"):  # a host-side TensorDescriptor
        shape = ", ".join(str(n) for n in value.block_shape)
        return f"tensordesc<{_DTYPES[value.base.dtype]}[{shape}]>"
    raise TypeError(f"argument {name} = {value!r} of a launch has no Triton type")
