"""Conversions on the way into the products."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from dsabench.kernels.cpu import convert
from dsabench.kernels.cpu.jit import kernel
from dsabench.kernels.fp8 import E4M3_VALUES
from dsabench.kernels.machine import cpu_isa

ALL_CODES = np.tile(np.arange(256, dtype=np.uint8), 2)
TABLES = [d for d in convert.DEQUANTIZATIONS if d == "table" or "avx512_vbmi" in cpu_isa()]


@kernel
def _decode(codes, table, scale, out):
    convert.decode_codes(codes, 0, codes.size, table, scale, out, 0)


@kernel
def _exp2(x, out):
    for i in range(x.size):
        out[i] = convert.exp2(x[i])


@kernel
def _copy(source, out):
    convert.copy_bf16(source, 2, 32, out, 1)


def _bf16_values(words: np.ndarray) -> np.ndarray:
    return torch.from_numpy(words.view(np.int16)).view(torch.bfloat16).float().numpy()


@pytest.mark.parametrize("dequantization", TABLES)
@pytest.mark.parametrize("scale", [None, np.float32(1.0), np.float32(0.37), np.float32(2.0**-9)])
def test_every_code_to_f32(dequantization: str, scale: np.float32 | None) -> None:
    out = np.zeros(ALL_CODES.size, np.float32)
    _decode(ALL_CODES, convert.e4m3_table(dequantization), scale, out)
    expected = E4M3_VALUES[ALL_CODES] * (np.float32(1) if scale is None else scale)
    np.testing.assert_array_equal(out, expected)
    assert np.isnan(out).sum() == 4  # codes 0x7f and 0xff, twice


@pytest.mark.parametrize("dequantization", TABLES)
@pytest.mark.parametrize("scale", [None, np.float32(0.37)])
def test_every_code_to_bf16(dequantization: str, scale: np.float32 | None) -> None:
    if dequantization == "permute" and "avx512_bf16" not in cpu_isa():
        pytest.skip("the byte permute rounds with AVX-512 BF16")
    out = np.zeros(ALL_CODES.size // 2, np.uint32)
    _decode(ALL_CODES, convert.e4m3_table(dequantization), scale, out)
    exact = torch.from_numpy(E4M3_VALUES[ALL_CODES] * (np.float32(1) if scale is None else scale))
    np.testing.assert_array_equal(_bf16_values(out), exact.bfloat16().float().numpy())


def test_exp2_against_float64() -> None:
    x = -np.abs(np.random.default_rng(0).standard_normal(100_000).astype(np.float32)) * 40
    x = x[x > -126]
    out = np.empty_like(x)
    _exp2(x, out)
    exact = np.exp2(x.astype(np.float64))
    assert np.max(np.abs(out - exact) / exact) < 3e-7


def test_exp2_at_the_edges() -> None:
    x = np.array([0.0, -0.0, -0.5, -126.0, -126.5, -1e30, -np.inf, np.nan], np.float32)
    out = np.empty_like(x)
    _exp2(x, out)
    assert out[0] == out[1] == 1.0
    assert out[2] == np.float32(np.sqrt(0.5))
    assert out[3] == np.float32(2.0**-126)
    assert list(out[4:7]) == [0.0, 0.0, 0.0]
    assert np.isnan(out[7])


def test_copy_pairs_and_widened() -> None:
    values = torch.arange(80).bfloat16()
    words = values.view(torch.int16).numpy().view(np.uint32)
    pairs, wide = np.zeros(34, np.uint32), np.zeros(66, np.float32)
    _copy(words, pairs)
    _copy(words, wide)
    np.testing.assert_array_equal(pairs[1:33], words[2:34])
    np.testing.assert_array_equal(wide[1:65], np.arange(4, 68))
    assert pairs[0] == pairs[33] == 0  # nothing written outside
    assert wide[0] == wide[65] == 0


@pytest.mark.skipif("avx512_bf16" not in cpu_isa(), reason="interleaving serves the bf16 products")
def test_rows_are_interleaved_in_pairs() -> None:
    rows = np.arange(4 * 576, dtype=np.uint16)
    out = np.zeros(2 * 512, np.uint32)
    convert.interleave_rows(rows.view(np.uint32), 288, 4, 512, out)
    halves = rows.reshape(4, 576)[:, :512].astype(np.uint32)
    np.testing.assert_array_equal(out.reshape(2, 512), halves[0::2] | halves[1::2] << 16)


@kernel
def _transpose(source, out):
    convert.transpose_16(source, 3, 20, out, 5, 17)


@pytest.mark.parametrize("dtype", [np.uint32, np.float32])
def test_transpose_16(dtype: type[np.generic]) -> None:
    source = np.arange(16 * 20 + 3).astype(dtype)
    out = np.zeros(5 + 16 * 17, dtype)
    _transpose(source, out)
    expected = source[3:].reshape(16, 20)[:, :16].T
    written = out[5:].reshape(16, 17)
    np.testing.assert_array_equal(written[:, :16], expected)
    assert (written[:, 16] == 0).all()
    assert (out[:5] == 0).all()


@kernel
def _round(source, factor, out):
    for i in range(0, source.size, 16):
        convert.store_bf16_16(source, i, factor, out, i)


@pytest.mark.parametrize("factor", [1.0, 0.1, -3.0, 0.0])
def test_rows_are_rounded_to_bf16_as_torch_does(factor: float) -> None:
    values = np.random.default_rng(5).normal(0, 1, 4096).astype(np.float32)
    values[:8] = [np.nan, np.inf, -np.inf, 0.0, -0.0, 1e-40, 3.39e38, 1.00390625]  # the last lies between two bf16
    out = np.zeros(4096, np.uint16)
    _round(values, np.float32(factor), out)
    expected = (torch.from_numpy(values) * np.float32(factor)).to(torch.bfloat16)
    found = torch.from_numpy(out.view(np.int16)).view(torch.bfloat16)
    assert torch.equal(found.isnan(), expected.isnan())
    assert torch.equal(found[~found.isnan()], expected[~expected.isnan()])
