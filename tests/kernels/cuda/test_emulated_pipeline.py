"""The emulation shows what a pipeline of asynchronous copies and products does wrong: a right one is right under every seed, and each
fault is seen under one of a few."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from dsabench.kernels.cuda.source import CudaLaunch, CudaSource
from tests.kernels.emulated_cuda import emulate, needs_compiler

pytestmark = needs_compiler
SOURCE = CudaSource(Path(__file__).with_name("emulated_pipeline.cu"), "pipeline")
TILES = 5
# In the order of the source's `enum Fault`; None: wrong numbers, else a word of what is reported.
FAULTS = {
    "READY_BEFORE_DATA": None,
    "FREE_BEFORE_WAIT": None,
    "WRONG_PARITY": "deadlock",
    "NO_WAIT": None,
    "TOO_FEW_ARRIVALS": "deadlock",
    "BYTES_NOT_EXPECTED": "deadlock",
    "NO_FENCE": "wgmma.fence",
    "LATE_RESCALE": "accumulators are written",
}


def swizzled(tiles: torch.Tensor) -> torch.Tensor:
    """[..., 64 rows, 64] bf16 -> the same, as it stands in shared memory: chunk c of row r at c xor r."""
    rows, chunks = torch.arange(64)[:, None], torch.arange(8)[None, :]
    return tiles.unflatten(-1, (8, 8))[..., rows, chunks ^ rows % 8, :].flatten(-2)


def run(fault: int, seed: int) -> bool:
    """Whether the numbers are right. Fails as `emulate` does."""
    generator = torch.Generator().manual_seed(seed)
    a, b = (torch.randn(n, TILES, 64, 64, generator=generator).bfloat16() for n in (2, 1))
    out = torch.zeros(2, 64, 64)
    arguments = (a, swizzled(b).contiguous(), out, np.int32(TILES), np.int32(fault))
    launch = CudaLaunch(SOURCE, (2,), (192,), arguments, cluster=2, shared_bytes=4 * 64 * 128 + 64)
    emulate([launch], seed)
    expected = torch.einsum("rtmk,tnk->rmn", a.double(), b[0].double())
    return bool(torch.isclose(out.double(), expected, rtol=1e-5, atol=1e-3).all())


def test_a_right_pipeline() -> None:
    assert all(run(0, seed) for seed in range(16))


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_seen(fault: str) -> None:
    code = 1 + list(FAULTS).index(fault)
    seen = []
    for seed in range(16):
        try:
            seen.append("right" if run(code, seed) else "wrong numbers")
        except AssertionError as error:
            seen.append(str(error))
    words = FAULTS[fault] or "wrong numbers"
    assert any(words in what for what in seen), seen
