"""What launching a lowered kernel takes beside its cubin, and whether a launch fits it. Plain data: kept as JSON beside the cubin, so
that a process that finds both imports no TileLang."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch

from dsabench.kernels.cuda.source import Argument
from dsabench.kernels.tilelang.launch import TileLangLaunch

Expression = int | str | list[Any]
"""A number, a dynamic dimension by name, or [operator, left, right] with an operator of OPERATORS."""
OPERATORS: dict[str, Callable[[int, int], int]] = {
    "+": lambda a, b: a + b,
    "-": lambda a, b: a - b,
    "*": lambda a, b: a * b,
    "//": lambda a, b: a // b,
    "%": lambda a, b: a % b,
    "min": lambda a, b: min(a, b),
    "max": lambda a, b: max(a, b),
}
ALIGNMENT = 16
"""Bytes: TileLang vectorizes to 16-byte loads by strides and indices, taking pointers for aligned."""


class LaunchMismatchError(ValueError):
    """A launch does not fit its program; one line."""


@dataclass(frozen=True)
class BufferFacts:
    """A tensor that the PrimFunc declares: shape and strides in elements, of numbers and dynamic dimensions."""

    dtype: str
    shape: list[Expression]
    strides: list[Expression]


@dataclass(frozen=True)
class KernelFacts:
    """entry: the `extern "C"` function; parameters: of it, in its order, each a buffer's, a scalar's or a dimension's name; block:
    threads; shared_bytes: dynamic; cluster: blocks along x; grid: what the program launches, three dimensions; buffers: by
    parameter; scalars: types of the others, dimensions included."""

    entry: str
    parameters: list[str]
    block: list[int]
    shared_bytes: int
    cluster: int | None
    grid: list[Expression]
    buffers: dict[str, BufferFacts]
    scalars: dict[str, str]


def to_json(facts: KernelFacts) -> dict[str, Any]:
    return asdict(facts)


def from_json(document: Any) -> KernelFacts:
    """Raises KeyError or TypeError where `document` is no kernel's facts."""
    buffers = {name: BufferFacts(**each) for name, each in document["buffers"].items()}
    return KernelFacts(**{**document, "buffers": buffers})


def evaluate(expression: Expression, dimensions: Mapping[str, int]) -> int:
    """Raises KeyError for a dimension that is not given."""
    if isinstance(expression, int):
        return expression
    if isinstance(expression, str):
        return dimensions[expression]
    operator, left, right = expression
    return OPERATORS[operator](evaluate(left, dimensions), evaluate(right, dimensions))


def check_launch(launch: TileLangLaunch, facts: KernelFacts) -> None:
    """Names and types of the arguments, dimensions, shapes, strides and alignment of the tensors, and the grid. Raises
    LaunchMismatchError."""
    who = f"{launch.source.file.name}, {launch.source.entry}"
    known = [*facts.buffers, *facts.scalars]
    for name in launch.arguments:
        if name not in known:
            raise LaunchMismatchError(f"{who}: no parameter {name}; it has {', '.join(known)}")
    for name in dict.fromkeys([*facts.buffers, *facts.parameters]):
        if name not in launch.arguments:
            raise LaunchMismatchError(f"{who}: the launch does not give {name}")
    dimensions = {}
    for name, type_ in facts.scalars.items():
        value = launch.arguments.get(name)
        if value is None and name not in launch.arguments:
            continue  # a dimension that the kernel does not read: the tensors tell it
        if not isinstance(value, np.number) or value.dtype.name != type_:
            raise LaunchMismatchError(f"{who}: {name} is {type_}, the launch gives {_type_of(value)}")
        if isinstance(value, np.integer):
            dimensions[name] = int(value)
    for name, buffer in facts.buffers.items():
        _check_tensor(f"{who}: {name}", launch.arguments[name], buffer, dimensions)
    grid = _evaluated(who, facts.grid, dimensions)
    if [*launch.grid, 1, 1][:3] != grid:
        raise LaunchMismatchError(f"{who}: the program launches {_text(grid)} blocks, the plan {_text(launch.grid)}")


def _check_tensor(who: str, tensor: Argument, buffer: BufferFacts, dimensions: dict[str, int]) -> None:
    if tensor is None:
        return
    dtype = _type_of(tensor)
    if not isinstance(tensor, torch.Tensor) or dtype != buffer.dtype:
        raise LaunchMismatchError(f"{who} is a tensor of {buffer.dtype}, the launch gives {dtype}")
    if tensor.dim() == len(buffer.shape):
        for expression, size in zip(buffer.shape, tensor.shape, strict=True):
            if isinstance(expression, str):
                dimensions.setdefault(expression, size)
    shape = _evaluated(who, buffer.shape, dimensions)
    if list(tensor.shape) != shape:
        raise LaunchMismatchError(f"{who} has shape {_text(shape)}, the launch gives {_text(tensor.shape)}")
    strides = _evaluated(who, buffer.strides, dimensions)
    if any(n > 1 and a != b for n, a, b in zip(shape, tensor.stride(), strides, strict=True)):
        raise LaunchMismatchError(f"{who} has strides {_text(strides)}, the launch gives {_text(tensor.stride())}")
    offset = tensor.storage_offset() * tensor.itemsize
    if offset % ALIGNMENT:
        raise LaunchMismatchError(f"{who} begins {offset} bytes into its storage, no multiple of {ALIGNMENT}")


def _evaluated(who: str, expressions: Sequence[Expression], dimensions: Mapping[str, int]) -> list[int]:
    try:
        return [evaluate(expression, dimensions) for expression in expressions]
    except KeyError as error:
        raise LaunchMismatchError(f"{who}: neither a tensor's shape nor an argument tells {error.args[0]}") from None


def argument_type(argument: Argument) -> str:
    """`*bfloat16` of a tensor, `*` of a null pointer, `int32` of a NumPy scalar. Raises TypeError for what has no C type, a Python
    int or float among them."""
    if isinstance(argument, torch.Tensor):
        return f"*{_type_of(argument)}"
    if argument is None:
        return "*"
    if isinstance(argument, np.number):
        return str(argument.dtype.name)
    raise TypeError(
        f"a kernel's argument is a tensor, None or a NumPy scalar of the parameter's type, got {argument!r}"
    )


def _type_of(value: object) -> str:
    if isinstance(value, torch.Tensor):
        return str(value.dtype).removeprefix("torch.")
    return value.dtype.name if isinstance(value, np.number) else repr(value)


def _text(sizes: Any) -> str:
    return "(" + ", ".join(map(str, sizes)) + ")"
