"""The emulation's bf16 and fp8 are torch's, bit for bit; torch saturates no fp8, so its input is clamped."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from dsabench.kernels.cuda.source import CudaLaunch, CudaSource
from tests.kernels.emulated_cuda import emulate, needs_compiler

pytestmark = needs_compiler
SOURCE = CudaSource(Path(__file__).with_name("emulated_numbers.cu"), "convert")


def floats() -> torch.Tensor:
    """Random bits, numbers of fp8's size, halves between neighbours of both formats, and the ends of both."""
    generator = torch.Generator().manual_seed(7)
    bits = torch.randint(-(2**31), 2**31, (4096,), generator=generator).to(torch.int32).view(torch.float32)
    near = torch.randn(2048, generator=generator) * torch.tensor(2.0) ** torch.randint(
        -12, 9, (2048,), generator=generator
    )
    codes = torch.arange(0x7E, dtype=torch.uint8)
    values = codes.view(torch.float8_e4m3fn).float()
    between = (values[1:] + values[:-1]) / 2
    bf16_between = (near.bfloat16().view(torch.int16).int() << 16 | 0x8000).view(torch.float32)
    ends = torch.tensor(
        [0.0, -0.0, 448, 449, 464, 465, 1e9, -1e9, float("inf"), -float("inf"), 2**-10, 2**-9, 1e-40, -1e-45]
    )
    found = torch.cat([bits, near, between, -between, bf16_between, ends])
    return found[~found.isnan()][: found.numel() // 128 * 128 - 128].contiguous()


def test_conversions_are_bit_exact() -> None:
    given = floats()
    pairs = given.numel() // 2
    codes = torch.arange(256, dtype=torch.uint8)
    bf16, codes_bf16 = torch.zeros(2 * pairs, dtype=torch.bfloat16), torch.zeros(256, dtype=torch.bfloat16)
    products, sums = torch.zeros_like(bf16), torch.zeros_like(bf16)
    e4m3, from_codes = torch.zeros(2 * pairs, dtype=torch.uint8), torch.zeros(256)
    arguments = (given, np.int32(pairs), codes, bf16, e4m3, from_codes, codes_bf16, products, sums)
    emulate([CudaLaunch(SOURCE, (1,), (128,), arguments)])

    assert torch.equal(bf16.view(torch.int16), given.bfloat16().view(torch.int16))
    clamped = given.clamp(-448, 448).to(torch.float8_e4m3fn).view(torch.uint8)
    assert torch.equal(e4m3, clamped)
    expected = codes.view(torch.float8_e4m3fn).float()
    assert torch.equal(from_codes.isnan(), expected.isnan())
    assert torch.equal(from_codes.nan_to_num(), expected.nan_to_num())
    assert torch.equal(codes_bf16.float().nan_to_num(), expected.nan_to_num())

    other = bf16.view(pairs, 2).flip(0).flatten()
    # Of two bf16, exact in float64 and, but for underflow, in float32; of the sum float64 holds all but rare ends of its tail.
    whole = (bf16.double() * other.double()).float().bfloat16()
    assert torch.equal(products.nan_to_num(), whole.nan_to_num())
    total = bf16.double() * other.double() + products.double()
    finite = total.isfinite() & (total.abs() < 3e38) & (total.abs() > 1e-30)
    near = (sums.double() - total).abs() <= total.abs() * 2.0**-8
    assert finite.sum() > 1000
    assert near[finite].all()
