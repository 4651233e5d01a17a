"""The CPU's conversions of groups against exact arithmetic: every bf16, every code."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from dsabench.kernels.cache_rows.exact import exact_codes, exact_dequantized, exact_quantized
from dsabench.kernels.cpu.fp8_groups import dequantize_group, group_scale, quantize_group

EVERY_BF16 = np.arange(1 << 16, dtype=np.uint16)


def floats(words: np.ndarray) -> np.ndarray:
    return (words.astype(np.uint32) << 16).view(np.float32)


@pytest.mark.parametrize("scale", [1.0, 1e-4 / 448, 2.0**-22, 0.37, 1 / 448, 7.5e35, 2.0**119, np.inf, np.nan])
def test_every_bf16_is_divided_and_rounded_as_ieee_says(scale: float) -> None:
    codes = np.zeros(len(EVERY_BF16) + 2, np.uint8)
    quantize_group(EVERY_BF16, 0, len(EVERY_BF16), np.float32(scale), codes, 1)
    with np.errstate(invalid="ignore", over="ignore"):
        quotients = floats(EVERY_BF16) / np.float32(scale)
    expected = exact_codes(quotients)
    got = codes[1:-1]
    nan = np.isnan(quotients)
    assert np.array_equal(got[~nan], expected[~nan])
    assert ((got[nan] & 0x7F) == 0x7F).all()
    assert codes[0] == codes[-1] == 0


@pytest.mark.parametrize("ue8m0", [False, True])
def test_the_scale_of_every_amax(ue8m0: bool) -> None:
    rows = torch.zeros((0x7FC1, 128), dtype=torch.bfloat16)
    rows[:, 90] = torch.arange(0x7FC1, dtype=torch.int32).to(torch.int16).view(torch.bfloat16)
    rows[1::2] *= -1
    words = rows.view(torch.int16).numpy().view(np.uint16).reshape(-1)
    got = np.array([group_scale(words, 128 * row, 128, ue8m0) for row in range(len(rows))], np.float32)
    np.testing.assert_array_equal(got, exact_quantized(rows, 128, ue8m0)[1][:, 0])


@pytest.mark.parametrize("scale", [1.0, 0.3, 2.0**-149, 1e-40, 3e38, -1.7, 0.0, np.inf, np.nan])
def test_every_code_is_scaled_and_rounded_once(scale: float) -> None:
    codes = np.arange(256, dtype=np.uint8)
    words = np.full(258, 0xABCD, np.uint16)
    dequantize_group(codes, 0, 256, np.float32(scale), words, 1)
    got = torch.from_numpy(words[1:-1].copy().view(np.int16)).view(torch.bfloat16)
    expected = exact_dequantized(torch.from_numpy(codes)[None], torch.tensor([[scale]], dtype=torch.float32))[0]
    nan = expected.isnan()
    assert torch.equal(got.isnan(), nan)
    assert torch.equal(got.view(torch.int16)[~nan], expected.view(torch.int16)[~nan])
    assert words[0] == words[-1] == 0xABCD
