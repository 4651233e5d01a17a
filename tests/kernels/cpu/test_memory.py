"""Scratch memory: alignment, and what is kept between calls."""

from __future__ import annotations

import numpy as np
import pytest

from dsabench.kernels.cpu.memory import KEPT_KINDS, LINE, aligned_empty, borrowed, release_scratch


@pytest.fixture(autouse=True)
def nothing_kept():
    release_scratch()
    yield
    release_scratch()


def make(size: int) -> np.ndarray:
    return aligned_empty(size, np.float32)


@pytest.mark.parametrize("shape", [1, 7, (3, 5), (0,), (129, 17)])
def test_arrays_start_at_a_cache_line(shape) -> None:
    array = aligned_empty(shape, np.uint32)
    assert array.shape == (shape if isinstance(shape, tuple) else (shape,))
    assert array.dtype == np.uint32
    assert array.ctypes.data % LINE == 0 or array.size == 0


def test_a_later_call_gets_what_an_earlier_one_gave_back() -> None:
    with borrowed(2, make, 100) as first:
        pass
    with borrowed(3, make, 100) as second:
        assert {id(a) for a in first} <= {id(a) for a in second}
        assert len({id(a) for a in second}) == 3
    with borrowed(1, make, 101) as other:
        assert other[0].size == 101


def test_two_calls_at_once_share_nothing() -> None:
    with borrowed(2, make, 100) as first, borrowed(2, make, 100) as second:
        assert not {id(a) for a in first} & {id(a) for a in second}


def test_scratch_of_a_failed_call_is_not_handed_out_again() -> None:
    with pytest.raises(RuntimeError, match="interrupted"), borrowed(1, make, 100) as first:
        raise RuntimeError("interrupted")
    with borrowed(1, make, 100) as second:
        assert second[0] is not first[0]


def test_only_the_kinds_used_last_are_kept() -> None:
    with borrowed(1, make, 1) as oldest:
        pass
    for size in range(2, KEPT_KINDS + 2):
        with borrowed(1, make, size):
            pass
    with borrowed(1, make, 1) as again:
        assert again[0] is not oldest[0]


def test_release() -> None:
    with borrowed(1, make, 100) as first:
        pass
    release_scratch()
    with borrowed(1, make, 100) as second:
        assert second[0] is not first[0]
