"""The reference's formulas against definitions written out in exact rationals, and against `kernels.fp8`."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
import torch

from dsabench.kernels.cache_rows.exact import exact_codes, exact_dequantized, exact_quantized
from dsabench.kernels.cache_rows.values import VALUE_DISTRIBUTIONS, draw_rows
from dsabench.kernels.fp8 import E4M3_VALUES, dequantize_e4m3, quantize_e4m3


def rational_code(value: float) -> int:
    """The e4m3 nearest to a finite float32, of two as near the even one."""
    size = min(Fraction(abs(value)), Fraction(448))
    code = min(range(127), key=lambda c: (abs(Fraction(float(E4M3_VALUES[c])) - size), c % 2))
    return code | (128 if math.copysign(1, value) < 0 else 0)


def test_codes_are_the_nearest_and_ties_go_to_even() -> None:
    codes = E4M3_VALUES[:127].astype(np.float32)
    middles = ((codes[1:].astype(np.float64) + codes[:-1]) / 2).astype(np.float32)
    beside = [np.nextafter(middles, np.float32(side)) for side in (0, 1000)]
    values = np.concatenate([codes, middles, *beside, np.float32([448.00003, 464, 1e30, 1e-30, 2**-10, 2**-149])])
    values = np.concatenate([values, -values])
    assert exact_codes(values).tolist() == [rational_code(float(v)) for v in values]
    assert exact_codes(np.float32([np.nan, np.inf, -np.inf])).tolist() == [0x7F, 0x7E, 0xFE]


def nearest_float32(value: Fraction) -> float:
    """By comparing the neighbours of a first guess."""
    guess = np.float32(float(value))
    near = [guess, np.nextafter(guess, np.float32(0)), np.nextafter(guess, np.float32(np.inf))]
    return float(min(near, key=lambda f: (abs(Fraction(float(f)) - value), int(f.view(np.uint32)) % 2)))


@pytest.mark.parametrize("amax", [0.0, 1e-5, 1.0, 448.0, 450.0, 446.0, 3.3895e38, 2.0**-133, 7.0])
@pytest.mark.parametrize("ue8m0", [False, True])
def test_the_scale_is_the_float32_nearest_to_the_quotient_or_the_power_of_two_above(amax: float, ue8m0: bool) -> None:
    rows = torch.zeros((1, 128), dtype=torch.bfloat16)
    rows[0, 77] = -amax
    floored = max(Fraction(float(rows[0, 77].abs())), Fraction(float(np.float32(1e-4))))
    expected = nearest_float32(floored / 448)
    if ue8m0:
        expected = 2.0 ** math.ceil(math.log2(expected))
    assert exact_quantized(rows, 128, ue8m0)[1].tolist() == [[expected]]


@pytest.mark.parametrize("distribution", ["normal", *VALUE_DISTRIBUTIONS])
@pytest.mark.parametrize("ue8m0", [False, True])
def test_the_librarys_quantizer_is_exact(distribution: str, ue8m0: bool) -> None:
    rows = draw_rows(distribution, 60, 512, 128, torch.Generator().manual_seed(4))
    codes, scales = quantize_e4m3(rows, 128, ue8m0)
    expected_codes, expected_scales = (torch.from_numpy(part) for part in exact_quantized(rows, 128, ue8m0))
    torch.testing.assert_close(scales, expected_scales, rtol=0, atol=0, equal_nan=True)
    got = codes.view(torch.uint8)
    nan = (got & 0x7F) == 0x7F
    assert torch.equal(nan, expected_codes == 0x7F)
    assert torch.equal(got[~nan], expected_codes[~nan])


def test_what_is_not_finite_stays_in_its_group() -> None:
    rows = torch.ones((1, 384), dtype=torch.bfloat16)
    rows[0, 3], rows[0, 130], rows[0, 131] = torch.nan, -torch.inf, -1.0
    codes, scales = exact_quantized(rows, 128, False)
    assert np.isnan(scales[0, 0])
    assert scales[0, 1] == np.inf
    assert scales[0, 2] == np.float32(1) / np.float32(448)
    assert (codes[0, :128] == 0x7F).all()
    assert codes[0, 128:132].tolist() == [0, 0, 0x7F, 0x80]
    assert (codes[0, 256:] == 0x7E).all()


def test_products_are_rounded_once_to_float32_and_once_to_bf16() -> None:
    generator = torch.Generator().manual_seed(1)
    codes = torch.randint(0, 256, (200, 512), generator=generator, dtype=torch.uint8)
    scales = torch.randn((200, 4), generator=generator).exp()
    expected = dequantize_e4m3(codes, scales).bfloat16()
    torch.testing.assert_close(exact_dequantized(codes, scales), expected, rtol=0, atol=0, equal_nan=True)
    # Ties of bf16 go to even: 1.00390625 is between 1 and 1.0078125.
    tie = exact_dequantized(torch.tensor([[0x38]], dtype=torch.uint8), torch.tensor([[1.00390625]]))
    assert tie.item() == 1.0
    assert exact_dequantized(torch.tensor([[0x38]], dtype=torch.uint8), torch.tensor([[1.01171875]])).item() == 1.015625
