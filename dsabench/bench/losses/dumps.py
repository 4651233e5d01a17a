"""Real inputs from a safetensors file: queries, latents and indexer tensors of one layer, dumped from a running model."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open

from dsabench.bench.losses.case import LossCase
from dsabench.kernels.attention_inputs import SM_SCALE
from dsabench.kernels.topk_select.contract import MAX_COLUMNS

Shape = tuple[str | int, ...]

TENSORS: dict[str, Shape] = {
    "q": ("n_q", "h_q", 576),
    "kv": ("context", 576),
    "index_q": ("n_q", 64, 128),
    "index_k": ("context", 128),
    "index_weights": ("n_q", 64),
}
"""What a dump must hold, in bf16, f16 or f32."""
POSITIONS = "positions"
"""Optional, int32 or int64 [n_q]: how many keys, from the first on, each query sees; without it all."""
SM_SCALE_KEY = "sm_scale"
"""Optional metadata of the file: a number as text; without it the model's scale."""

_LIMITS = {"n_q": (1, 1 << 20), "h_q": (1, 128), "context": (1, MAX_COLUMNS)}
_FLOATS = ("BF16", "F16", "F32")
_INTEGERS = ("I32", "I64")


class DumpError(ValueError):
    """A dump that cannot be used; one line that names the file, the tensor, what was found and what was expected."""


def check_dump(path: Path) -> None:
    """Raises the DumpError that `load_dump` would; holds one tensor at a time."""
    with _opened(path) as file:
        sizes = _check_header(file)
        _sm_scale(file)
        _visible(file, sizes)
        for name in TENSORS:
            _tensor(file, name)


def load_dump(path: Path) -> LossCase:
    """A case of everything in the file. q and kv are rounded to bf16, which the kernels take, indexer tensors are widened to
    float32. Raises DumpError; names, shapes and dtypes are checked before any data is read."""
    with _opened(path) as file:
        sizes = _check_header(file)
        return LossCase(
            structure=path.name,
            synthetic=False,
            sm_scale=_sm_scale(file),
            visible=_visible(file, sizes),
            q=_tensor(file, "q"),
            kv=_tensor(file, "kv"),
            index_q=_tensor(file, "index_q"),
            index_k=_tensor(file, "index_k"),
            index_weights=_tensor(file, "index_weights"),
        )


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    """Errors of the file and of what is found in it get its name."""
    try:
        with safe_open(path, framework="pt") as file:
            yield file
    except DumpError as error:
        raise DumpError(f"{path}: {error}") from None
    except (OSError, SafetensorError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise DumpError(f"{path}: cannot be read as safetensors: {reason}") from None


def _tensor(file: Any, name: str) -> torch.Tensor:
    held = file.get_tensor(name)
    tensor = held.to(torch.bfloat16 if name in ("q", "kv") else torch.float32)
    finite = torch.isfinite(tensor)
    if not bool(finite.all()):
        place = tuple(int(i) for i in (~finite).nonzero()[0])
        value = float(held[place])
        beyond = ", which is beyond bf16" if math.isfinite(value) else ""
        raise DumpError(f"tensor {name!r}: expected finite values, found {value:g} at {list(place)}{beyond}")
    return tensor


def _visible(file: Any, sizes: dict[str, int]) -> torch.Tensor:
    context = sizes["context"]
    if POSITIONS not in set(file.keys()):
        return torch.full((sizes["n_q"],), context)
    visible = file.get_tensor(POSITIONS).long()
    wrong = (visible < 1) | (visible > context)
    if bool(wrong.any()):
        at = int(wrong.nonzero()[0])
        raise DumpError(f"tensor {POSITIONS!r}: expected values in [1, {context}], found {int(visible[at])} at [{at}]")
    return visible


def _check_header(file: Any) -> dict[str, int]:
    """The named sizes. Reads no data."""
    held = set(file.keys())
    known = {*TENSORS, POSITIONS}
    missing = [name for name in TENSORS if name not in held]
    if missing:
        raise DumpError(
            f"tensor {missing[0]!r} is missing: expected {_spell(TENSORS[missing[0]])}, found {sorted(held)}"
        )
    unknown = sorted(held - known)
    if unknown:
        raise DumpError(f"unknown tensor {unknown[0]!r}: expected {', '.join(TENSORS)} and optionally {POSITIONS}")
    sizes: dict[str, int] = {}
    for name in [*TENSORS, POSITIONS]:
        if name in held:
            _check_tensor(name, file.get_slice(name), sizes)
    return sizes


def _check_tensor(name: str, piece: Any, sizes: dict[str, int]) -> None:
    shape, dtype = tuple(piece.get_shape()), piece.get_dtype()
    expected: Shape = TENSORS.get(name, ("n_q",))
    dtypes = _FLOATS if name in TENSORS else _INTEGERS
    found = f"found {dtype} {list(shape)}"
    if dtype not in dtypes:
        raise DumpError(f"tensor {name!r}: expected {' or '.join(dtypes)}, {found}")
    fits = len(shape) == len(expected) and all(
        size == (sizes.get(dim, size) if isinstance(dim, str) else dim)
        for size, dim in zip(shape, expected, strict=True)
    )
    if not fits:
        agreed = [sizes.get(dim, dim) if isinstance(dim, str) else dim for dim in expected]
        known = "" if agreed == list(expected) else f" = {_spell(agreed)}"
        raise DumpError(f"tensor {name!r}: expected {_spell(expected)}{known}, {found}")
    for dim, size in zip(expected, shape, strict=True):
        if isinstance(dim, str):
            low, high = _LIMITS[dim]
            if not low <= size <= high:
                raise DumpError(f"tensor {name!r}: {dim} must be in [{low}, {high}], {found}")
            sizes[dim] = size


def _spell(shape: Shape | list[str | int]) -> str:
    return f"[{', '.join(map(str, shape))}]"


def _sm_scale(file: Any) -> float:
    text = (file.metadata() or {}).get(SM_SCALE_KEY)
    if text is None:
        return SM_SCALE
    try:
        scale = float(text)
    except ValueError:
        scale = math.nan
    if not (math.isfinite(scale) and scale > 0):
        raise DumpError(f"metadata {SM_SCALE_KEY!r}: expected a finite number above 0, found {text!r}")
    return scale
