"""Argument checks shared by the contracts: one clear error that names the argument, its value and what was expected.

Only shapes, dtypes, devices and scalars are looked at, never the data of a cache: unused slots may hold NaN.
"""

from __future__ import annotations

import math

import torch

Dim = int | str


def check_tensor(name: str, value: object, dtype: torch.dtype, shape: tuple[Dim, ...], sizes: dict[str, int]) -> None:
    """Checks that `value` is a tensor of `dtype` and `shape` with its last dim contiguous.

    A dim given as an int must match; one given as a name is bound in `sizes` at its first use and must match after.
    Raises TypeError (not a tensor, wrong dtype) or ValueError (shape, stride).
    """
    if not isinstance(value, torch.Tensor):
        raise TypeError(f"{name} must be a torch.Tensor, got {type(value).__name__}")
    if value.dtype != dtype:
        raise TypeError(f"{name} must have dtype {_short(dtype)}, got {_short(value.dtype)}")
    expected = f"[{', '.join(str(d) for d in shape)}]"
    if value.dim() != len(shape):
        raise ValueError(f"{name} must have shape {expected}, got {list(value.shape)}")
    for index, (dim, size) in enumerate(zip(shape, value.shape, strict=True)):
        want = dim if isinstance(dim, int) else sizes.setdefault(dim, size)
        if size != want:
            bound = "" if isinstance(dim, int) else f" ({dim} = {want} from an earlier argument)"
            raise ValueError(
                f"{name} must have shape {expected}{bound}, got {list(value.shape)}: dim {index} is {size}"
            )
    if not value.is_contiguous():
        raise ValueError(
            f"{name} must be contiguous (row-major), got strides {value.stride()} for shape {list(value.shape)}"
        )


def check_same_device(**tensors: torch.Tensor | None) -> torch.device:
    """Raises ValueError when the tensors are not all on one device; returns it."""
    present = {name: t for name, t in tensors.items() if t is not None}
    first_name, first = next(iter(present.items()))
    for name, tensor in present.items():
        if tensor.device != first.device:
            raise ValueError(
                f"{name} is on {tensor.device} but {first_name} is on {first.device}; put all on one device"
            )
    return first.device


def check_scalar(name: str, value: object) -> None:
    """Raises TypeError when `value` is not a real number, ValueError when it is not finite."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"{name} must be a number, got {type(value).__name__}")
    if not math.isfinite(value):
        raise ValueError(f"{name} must be finite, got {value}")


def check_integer(name: str, value: object, minimum: int, maximum: int) -> None:
    """Raises TypeError when `value` is not an int, ValueError when it is outside [minimum, maximum]."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"{name} must be an int, got {type(value).__name__}")
    if not minimum <= value <= maximum:
        raise ValueError(f"{name} must be in [{minimum}, {maximum}], got {value}")


def check_size(name: str, value: int, minimum: int, maximum: int) -> None:
    """A dim bound by `check_tensor` against the contract's limits; raises ValueError."""
    if not minimum <= value <= maximum:
        raise ValueError(f"{name} must be in [{minimum}, {maximum}], got {value}")


def _short(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")
