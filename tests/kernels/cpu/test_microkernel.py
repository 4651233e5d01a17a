"""The register-tiled products against float64."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from dsabench.kernels.cpu.microkernel import REGISTER_TILES, accumulate_products
from dsabench.kernels.machine import cpu_isa

DTYPES = [np.float32] + ([np.uint32] if "avx512_bf16" in cpu_isa() else [])


@pytest.mark.parametrize("tile", range(len(REGISTER_TILES)))
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("rows", "lanes", "steps"), [(1, 16, 1), (7, 32, 5), (13, 64, 48), (25, 80, 33), (12, 112, 2)])
def test_products(tile: int, dtype: type[np.generic], rows: int, lanes: int, steps: int) -> None:
    rng = np.random.default_rng(rows * lanes + steps)
    depth = steps * (2 if dtype is np.uint32 else 1)
    a, b = (torch.from_numpy(rng.standard_normal(s)).bfloat16() for s in ((rows, depth), (depth, lanes)))
    c = rng.standard_normal((rows, lanes)).astype(np.float32)
    expected = c + a.double().numpy() @ b.double().numpy()
    if dtype is np.uint32:
        a_words = a.view(torch.int16).numpy().view(np.uint32)
        halves = b.view(torch.int16).numpy().view(np.uint16).astype(np.uint32)
        b_words = np.ascontiguousarray(halves[0::2] | halves[1::2] << 16)
    else:
        a_words, b_words = a.float().numpy(), b.float().numpy()
    guarded = np.full(rows * lanes + 2, np.nan, np.float32)
    guarded[1:-1] = c.reshape(-1)
    accumulate_products(
        a_words.reshape(-1), 0, steps, 1, rows, b_words.reshape(-1), 0, lanes, steps, guarded, 1, lanes, lanes, tile
    )
    np.testing.assert_allclose(guarded[1:-1].reshape(rows, lanes), expected, atol=1e-5 * depth, rtol=1e-5)
    assert np.isnan(guarded[[0, -1]]).all()  # nothing written outside C


def test_strided_rows_are_a_transposed_operand() -> None:
    """P·V reads A down its columns: a_row = 1, a_step = the row's width."""
    rng = np.random.default_rng(3)
    v, p = rng.standard_normal((10, 20)).astype(np.float32), rng.standard_normal((10, 16)).astype(np.float32)
    out = np.zeros((20, 16), np.float32)
    accumulate_products(v.reshape(-1), 0, 1, 20, 20, p.reshape(-1), 0, 16, 10, out.reshape(-1), 0, 16, 16, 3)
    np.testing.assert_allclose(out, v.T.astype(np.float64) @ p, atol=1e-5)
