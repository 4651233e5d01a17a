"""The emulation shows what a pipeline of asynchronous copies and products does wrong: a right one is right under every seed, and each
fault is seen under one of a few."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
import torch

from dsabench.kernels.cuda.source import CudaLaunch, CudaSource
from tests.kernels.emulated_cuda import emulate, needs_compiler

pytestmark = needs_compiler
SOURCE = CudaSource(Path(__file__).with_name("emulated_pipeline.cu"), "pipeline")
TILES = 5
NAMES = re.search(r"enum Fault {(.*?)}", SOURCE.file.read_text(), re.DOTALL)[1].replace(",", " ").split()
# None: wrong numbers, else a word of what is reported.
FAULTS = {
    "READY_BEFORE_DATA": None,
    "FREE_BEFORE_WAIT": None,
    "WRONG_PARITY": "deadlock",
    "NO_WAIT": None,
    "TOO_FEW_ARRIVALS": "deadlock",
    "BYTES_NOT_EXPECTED": "deadlock",
    "NO_FENCE": "wgmma.fence",
    "LATE_RESCALE": "accumulators are written",
    "RAISED_TO_LESS": "setmaxnreg raises to 232 from 256",
}
# What no order of turns shows, or few: only with an eye on races, but then under any.
RACES = {
    "READY_BEFORE_DATA": "a copy to it is not waited for",
    "FREE_BEFORE_WAIT": "race",
    "NO_PROXY_FENCE": "no fence.proxy.async",
    "NO_BARRIER": "is not ordered after the (read|write) of",
}


def swizzled(tiles: torch.Tensor) -> torch.Tensor:
    """[..., 64 rows, 64] bf16 -> the same, as it stands in shared memory: chunk c of row r at c xor r."""
    rows, chunks = torch.arange(64)[:, None], torch.arange(8)[None, :]
    return tiles.unflatten(-1, (8, 8))[..., rows, chunks ^ rows % 8, :].flatten(-2)


def run(fault: str, seed: int, races: bool = False) -> bool:
    """Whether the numbers are right. Fails as `emulate` does."""
    generator = torch.Generator().manual_seed(seed)
    a, b = (torch.randn(n, TILES, 64, 64, generator=generator).bfloat16() for n in (2, 1))
    out = torch.zeros(2 * 64 * 64 + 2 * 64)
    code = NAMES.index(fault)
    arguments = (a, swizzled(b).contiguous(), out, np.int32(TILES), np.int32(code))
    launch = CudaLaunch(SOURCE, (2,), (192,), arguments, cluster=2, shared_bytes=4 * 64 * 128 + 48 + 256)
    emulate([launch], seed, races)
    products = torch.einsum("rtmk,tnk->rmn", a.double(), b[0].double())
    expected = torch.cat([products.flatten(), products.sum(2).flip(1).flatten()])
    return bool(torch.isclose(out.double(), expected, rtol=1e-5, atol=1e-2).all())


def test_a_right_pipeline() -> None:
    assert all(run("NONE", seed) for seed in range(16))
    assert all(run("NONE", seed, races=True) for seed in range(8))


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_seen(fault: str) -> None:
    seen = []
    for seed in range(16):
        try:
            seen.append("right" if run(fault, seed) else "wrong numbers")
        except AssertionError as error:
            seen.append(str(error))
    words = FAULTS[fault] or "wrong numbers"
    assert any(words in what for what in seen), seen


@pytest.mark.parametrize("fault", RACES)
@pytest.mark.parametrize("seed", range(4))
def test_a_race_is_seen_whatever_the_order(fault: str, seed: int) -> None:
    with pytest.raises(AssertionError, match=RACES[fault]):
        run(fault, seed, races=True)
