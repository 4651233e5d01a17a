from __future__ import annotations

import struct

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from dsabench.kernels.fp8 import decode_e4m3
from dsabench.kernels.index_cache import (
    BLOCK_BYTES,
    fill_unused,
    key_codes,
    key_scales,
    pack_index_cache,
    quantize_to_index_cache,
    unpack_index_cache,
)


def random_tokens(n: int, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    codes = torch.randint(0, 256, (n, 128), generator=generator, dtype=torch.uint8)
    return codes.view(torch.float8_e4m3fn), torch.randn(n, generator=generator)


@given(st.integers(0, 200), st.integers(0, 5))
@settings(max_examples=40, deadline=None)
def test_unpack_returns_what_was_packed_and_nan_after_it(n, seed):
    codes, scales = random_tokens(n, seed)
    cache = pack_index_cache(codes, scales)
    assert cache.shape == (-(-n // 64), 64, 1, 132)
    assert cache.dtype == torch.uint8
    got_codes, got_scales = unpack_index_cache(cache)
    assert torch.equal(got_codes.view(torch.uint8)[:n], codes.view(torch.uint8))
    assert torch.equal(got_scales[:n], scales)
    assert decode_e4m3(got_codes[n:]).isnan().all()
    assert got_scales[n:].isnan().all()


def test_every_byte_stands_where_the_layout_says():
    codes, scales = random_tokens(130)
    raw = pack_index_cache(codes, scales).numpy().tobytes()
    assert BLOCK_BYTES == 64 * 132
    for token in range(130):
        block, slot = divmod(token, 64)
        start = block * 64 * 132
        # All 64×128 key bytes of the block come first, then its 64 scales.
        key = raw[start + slot * 128 : start + (slot + 1) * 128]
        assert key == codes[token].view(torch.uint8).numpy().tobytes()
        (scale,) = struct.unpack_from("<f", raw, start + 64 * 128 + 4 * slot)
        assert scale == float(scales[token])


def test_views_write_through_to_the_cache():
    cache = torch.zeros((3, 64, 1, 132), dtype=torch.uint8)
    key_codes(cache).view(torch.uint8)[1, 2, 3] = 0x55
    key_scales(cache)[2, 63] = 1.0
    flat = cache.flatten().numpy()
    assert flat[8448 + 2 * 128 + 3] == 0x55
    assert flat[3 * 8448 - 4 :].tobytes() == np.float32(1.0).tobytes()
    assert np.count_nonzero(flat) == 3  # one code, and two bytes of 1.0f


def test_unused_slots_hold_nan_codes_and_nan_scales():
    cache = torch.zeros((2, 64, 1, 132), dtype=torch.uint8)
    fill_unused(cache[1:])
    assert (cache[0] == 0).all()
    assert decode_e4m3(key_codes(cache)[1]).isnan().all()
    assert key_scales(cache)[1].isnan().all()


@pytest.mark.parametrize("ue8m0", [False, True])
def test_quantized_keys_come_back_within_a_sixteenth(ue8m0):
    keys = torch.randn(100, 128, generator=torch.Generator().manual_seed(1))
    codes, scales = unpack_index_cache(quantize_to_index_cache(keys, ue8m0))
    back = decode_e4m3(codes[:100]) * scales[:100, None]
    assert ((back - keys).abs() <= torch.maximum(keys.abs() / 16, scales[:100, None] * 2.0**-10) * 1.0001).all()
    if ue8m0:
        assert (torch.frexp(scales[:100]).mantissa == 0.5).all()


@pytest.mark.parametrize(("codes", "scales"), [((64, 127), (64,)), ((64, 128), (63,)), ((2, 64, 128), (2, 64))])
def test_shapes_that_do_not_fit_are_named(codes, scales):
    with pytest.raises(ValueError, match=r"codes must be \[n, 128\] and scales \[n\]"):
        pack_index_cache(torch.zeros(codes, dtype=torch.uint8).view(torch.float8_e4m3fn), torch.zeros(scales))
