"""Scratch memory for vector code: aligned, and kept between calls."""

from __future__ import annotations

import math
import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import numpy as np

LINE = 64
"""Bytes of a cache line and of a zmm register."""
KEPT_KINDS = 4
"""Kinds of scratch (maker and arguments) kept, the least recently used given up first: an op or two in turn, 2-4 MB."""

_Scratch = TypeVar("_Scratch")
_kept: OrderedDict[Hashable, list[Any]] = OrderedDict()
_lock = threading.Lock()


def aligned_empty(shape: tuple[int, ...] | int, dtype: type[np.generic]) -> np.ndarray:
    """`np.empty` at a multiple of 64 bytes. NumPy promises 16: every 64-byte load then touches two cache lines, and which
    call is hit by it is luck of the allocator."""
    sizes = (shape,) if isinstance(shape, int) else shape
    count = math.prod(sizes)
    size = np.dtype(dtype).itemsize
    raw = np.empty(count * size + LINE, np.uint8)
    start = -raw.ctypes.data % LINE
    return raw[start : start + count * size].view(dtype).reshape(sizes)


@contextmanager
def borrowed(count: int, make: Callable[..., _Scratch], *arguments: Hashable) -> Iterator[list[_Scratch]]:
    """`count` objects that make(*arguments) made, now or for an earlier call, for this call alone. Making the scratch of a
    sparse decode costs 70 µs a call, a third of what the call needs besides its kernel."""
    key = (make, arguments)
    with _lock:
        shelf = _kept.get(key, [])
        taken: list[Any] = [shelf.pop() for _ in range(min(count, len(shelf)))]
    while len(taken) < count:
        taken.append(make(*arguments))
    yield taken
    # Not in a `finally`: after an interrupt another thread may still be writing into them.
    with _lock:
        _kept.setdefault(key, []).extend(taken)
        _kept.move_to_end(key)
        while len(_kept) > KEPT_KINDS:
            _kept.popitem(last=False)


def release_scratch() -> None:
    """Gives up all that is kept, so that what a call needs can be measured."""
    with _lock:
        _kept.clear()
