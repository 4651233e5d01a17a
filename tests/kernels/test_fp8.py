from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from dsabench.kernels.fp8 import AMAX_FLOOR, E4M3_MAX, E4M3_VALUES, decode_e4m3, dequantize_e4m3, quantize_e4m3
from tests.kernels.naive_index import e4m3_value

finite_vectors = npst.arrays(
    np.float32, (3, 16), elements=st.floats(-(2.0**60), 2.0**60, width=32, allow_nan=False, allow_subnormal=True)
)


def test_table_is_the_e4m3_format_code_by_code():
    expected = np.array([e4m3_value(code) for code in range(256)])
    np.testing.assert_array_equal(E4M3_VALUES, expected)
    assert np.isnan(E4M3_VALUES[[0x7F, 0xFF]]).all()
    assert np.isfinite(np.delete(E4M3_VALUES, [0x7F, 0xFF])).all()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_decode_keeps_shape_and_takes_bytes_or_float8(dtype):
    codes = torch.arange(256, dtype=torch.uint8).view(4, 2, 32)
    from_bytes, from_float8 = decode_e4m3(codes, dtype), decode_e4m3(codes.view(torch.float8_e4m3fn), dtype)
    assert from_bytes.shape == (4, 2, 32)
    assert from_bytes.dtype == dtype
    torch.testing.assert_close(from_bytes, from_float8, rtol=0, atol=0, equal_nan=True)
    torch.testing.assert_close(
        from_bytes.float(), codes.view(torch.float8_e4m3fn).float(), rtol=0, atol=0, equal_nan=True
    )


@given(finite_vectors, st.booleans())
@settings(max_examples=80, deadline=None)
def test_quantization_error_is_at_most_half_a_step(x, ue8m0):
    x = torch.from_numpy(x)
    codes, scales = quantize_e4m3(x, 8, ue8m0)
    assert codes.shape == (3, 16)
    assert scales.shape == (3, 2)
    assert (scales > 0).all()
    back = dequantize_e4m3(codes, scales, torch.float64)
    assert torch.isfinite(back).all()
    # Three mantissa bits: half a step is 1/16 of the value; below the normals it is half of 2^-9 of the scale.
    step = scales.double().repeat_interleave(8, -1) * 2.0**-10
    limit = torch.maximum(x.double().abs() / 16, step) * (1 + 1e-5)
    assert ((back - x.double()).abs() <= limit).all()


@given(finite_vectors)
@settings(max_examples=80, deadline=None)
def test_ue8m0_scales_are_the_next_power_of_two(x):
    x = torch.from_numpy(x)
    _, plain = quantize_e4m3(x, 16)
    _, rounded = quantize_e4m3(x, 16, ue8m0=True)
    assert (torch.frexp(rounded).mantissa == 0.5).all()
    assert (rounded >= plain).all()
    assert (rounded < 2 * plain).all()


def test_ue8m0_rounds_up_a_scale_one_ulp_above_a_power_of_two():
    # float32's log2 of 2^-20·(1 + 2^-23) is exactly -20: rounding by log2 alone would round it down.
    exponents = torch.arange(-12, 60, dtype=torch.float32)
    above = torch.nextafter(torch.exp2(exponents), torch.tensor(torch.inf))
    x = (above * E4M3_MAX).unsqueeze(-1)
    _, plain = quantize_e4m3(x, 1)
    _, rounded = quantize_e4m3(x, 1, ue8m0=True)
    assert (plain > torch.exp2(exponents)[:, None]).any()
    assert (rounded >= plain).all()
    assert (torch.frexp(rounded).mantissa == 0.5).all()


@pytest.mark.parametrize("ue8m0", [False, True])
def test_amax_zero_has_the_floor_scale_and_zero_codes(ue8m0):
    codes, scales = quantize_e4m3(torch.zeros(2, 128), 128, ue8m0)
    assert (codes.view(torch.uint8) & 0x7F == 0).all()
    assert (scales >= torch.tensor(AMAX_FLOOR) / E4M3_MAX).all()
    assert (dequantize_e4m3(codes, scales) == 0).all()


def test_largest_element_takes_the_largest_code_and_never_nan():
    x = torch.randn(64, 128, generator=torch.Generator().manual_seed(0)) * 1e3
    codes, scales = quantize_e4m3(x, 128)
    largest = codes.view(torch.uint8).gather(1, x.abs().argmax(-1, keepdim=True)) & 0x7F
    assert (largest == 0x7E).all()
    assert not decode_e4m3(codes).isnan().any()
    torch.testing.assert_close(scales, x.abs().amax(-1, keepdim=True) / 448.0, rtol=1e-6, atol=0)


def test_clamp_holds_the_largest_code_for_tiny_scales():
    # amax below the floor: the scale stays at the floor, so codes stay small instead of being blown up.
    codes, scales = quantize_e4m3(torch.full((1, 128), 1e-6), 128)
    assert float(scales) == pytest.approx(AMAX_FLOOR / E4M3_MAX)
    assert float(dequantize_e4m3(codes, scales)[0, 0]) == pytest.approx(1e-6, rel=0.07)


def test_a_group_that_does_not_divide_the_last_dim_is_named():
    with pytest.raises(ValueError, match=r"multiple of group = 48, got 128"):
        quantize_e4m3(torch.zeros(1, 128), 48)
