"""TileLang's generated CUDA C++ on the CPU gives what the program says, in float64."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from dsabench.kernels.tilelang.launch import TileLangLaunch, TileLangSource
from tests.kernels.emulated_cuda import needs_compiler
from tests.kernels.emulated_tilelang import emulate

pytest.importorskip("tilelang")
pytestmark = needs_compiler
SOURCE = TileLangSource(Path(__file__).with_name("emulated_program.py"), "attend")
M, N, D, TILES = 64, 64, 128, 3


def test_attention_over_fp8_keys() -> None:
    generator = torch.Generator().manual_seed(3)
    q, v = (torch.randn(rows, D, generator=generator).bfloat16() for rows in (M, TILES * N))
    q8, k8 = (torch.randn(rows, D, generator=generator).to(torch.float8_e4m3fn) for rows in (M, TILES * N))
    scale = torch.rand(TILES * N, generator=generator) + 0.5
    constants = {"M": M, "N": N, "D": D, "TILES": TILES, "STAGES": 2}
    keys = (k8.float() * scale[:, None]).bfloat16().double()
    scores = q.double() @ keys.T
    expected = scores.bfloat16().double() @ v.double()
    for seed in range(4):
        out, peak, codes = torch.zeros(M, D), torch.zeros(M), torch.zeros(M, N)
        rounded = torch.zeros(M, D, dtype=torch.bfloat16)
        arguments = {"q": q, "q8": q8, "k8": k8, "scale": scale, "v": v, "out": out, "rounded": rounded, "peak": peak}
        emulate([TileLangLaunch(SOURCE, (1,), {**arguments, "codes": codes}, constants)], seed)
        # A score that float32 and float64 round to different bf16 moves a sum by 2⁻⁸ of one of its 192 terms, of up to 50.
        torch.testing.assert_close(out.double(), expected, rtol=1e-3, atol=0.5)
        torch.testing.assert_close(rounded, out.bfloat16(), rtol=0, atol=0)
        torch.testing.assert_close(peak.double(), scores.amax(1), rtol=1e-5, atol=1e-4)
        torch.testing.assert_close(codes.double(), q8.double() @ k8[-N:].double().T, rtol=1e-5, atol=1e-4)
