"""wgmma as the tests' emulation computes it: operands laid out by an independent model of the PTX ISA's canonical layouts give the
product in float64."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from dsabench.kernels.cuda.source import CudaLaunch, CudaSource
from tests.kernels.emulated_cuda import emulate, needs_compiler

pytestmark = needs_compiler
SOURCE = CudaSource(Path(__file__).with_name("emulated_products.cu"), "multiply")
SWIZZLE_BITS = {16: 0, 128: 1, 64: 2, 32: 3}  # by bytes of a row; 16: none


def image(
    matrix: np.ndarray, row_bytes: int, leading: int, stride: int, mn_major: bool, bytes_of_image: int
) -> np.ndarray:
    """matrix: uint8 [rows, bytes of a row], rows of m or n with k along (K-major), or rows of k with m or n along. The atoms of 8
    rows of `row_bytes` stand where the ISA's strides put them; in an atom, the 16-byte chunk c of row r is chunk c xor (r scaled to
    the number of chunks)."""
    chunks = row_bytes // 16
    out = np.zeros(bytes_of_image, np.uint8)
    atoms = matrix.reshape(
        matrix.shape[0] // 8, 8, -1, chunks, 16
    )  # atom along rows, row, atom along bytes, chunk, byte
    for down in range(atoms.shape[0]):
        for across in range(atoms.shape[2]):
            if chunks > 1 or not mn_major:
                start = down * stride + across * leading
            else:
                start = down * leading + across * stride
            for row in range(8):
                for chunk in range(chunks):
                    to = start + row * row_bytes + 16 * (chunk ^ (row * chunks // 8))
                    out[to : to + 16] = atoms[down, row, across, chunk]
    return out


def descriptor(row_bytes: int, leading: int, stride: int) -> int:
    """All but the start address."""
    return leading // 16 << 16 | stride // 16 << 32 | SWIZZLE_BITS[row_bytes] << 62


def operand(values: torch.Tensor, row_bytes: int, mn_major: bool) -> tuple[np.ndarray, int, int]:
    """values [m or n, k] in their own type -> the image, the descriptor, and the bytes from one wgmma's k to the next."""
    matrix = (values.T if mn_major else values).contiguous().view(torch.uint8).numpy()
    rows, length = matrix.shape
    down, across = rows // 8, length // row_bytes
    if mn_major:
        # Atoms of k follow each other; the next columns of m are behind all of k, with a gap that a wrong stride would hit.
        along_k, along_mn = 8 * row_bytes, down * 8 * row_bytes + 1024
        leading, stride = (along_mn, along_k) if row_bytes > 16 else (along_k, along_mn)
        size, step = across * along_mn, 2 * along_k
    elif row_bytes == 16:
        stride, leading = 256, down * 256
        size, step = across * leading, 2 * leading
    else:
        assert across == 1
        stride, leading, size, step = 8 * row_bytes, 16, rows * row_bytes, 32
    size = -(-size // 1024) * 1024
    return image(matrix, row_bytes, leading, stride, mn_major, size), descriptor(row_bytes, leading, stride), step


def fragments(a: torch.Tensor) -> torch.Tensor:
    """a bf16 [64, k] -> int32 [k / 16, 128, 4], as the ISA deals A out to the threads."""
    words = a.contiguous().view(torch.int32)  # [64, k / 2]
    out = torch.empty(a.shape[1] // 16, 128, 4, dtype=torch.int32)
    for thread in range(128):
        warp, lane = divmod(thread, 32)
        for word in range(4):
            out[:, thread, word] = words[16 * warp + lane // 4 + 8 * (word % 2), lane % 4 + 4 * (word // 2) :: 8]
    return out


BF16, BF16_REGISTERS, E4M3 = range(3)  # the source's `enum Kind`


def product(
    kind: int, width: int, a_layout: tuple[int, bool], b_layout: tuple[int, bool], steps: int, seed: int
) -> None:
    generator = torch.Generator().manual_seed(seed)
    dtype = torch.float8_e4m3fn if kind == E4M3 else torch.bfloat16
    k = steps * (32 if kind == E4M3 else 16)
    a, b = (torch.randn(rows, k, generator=generator).to(dtype) for rows in (64, width))
    (a_image, a_bits, a_step), (b_image, b_bits, b_step) = operand(a, *a_layout), operand(b, *b_layout)
    images = torch.from_numpy(np.concatenate([a_image, b_image]))
    words = fragments(a) if kind == BF16_REGISTERS else torch.zeros(steps, 128, 4, dtype=torch.int32)
    out = torch.full((64, width), -1.0)
    arguments = (
        images, np.int32(a_image.size), np.int32(images.numel()), np.uint64(a_bits), np.uint64(b_bits), np.int32(a_step),
        np.int32(b_step), words, out, *map(np.int32, (kind, width, steps, a_layout[1], b_layout[1])),
    )  # fmt: skip
    launch = CudaLaunch(SOURCE, (1,), (128,), arguments, shared_bytes=images.numel())
    emulate([launch], seed)
    torch.testing.assert_close(out.double(), a.double() @ b.double().T, rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize("row_bytes", [16, 32, 64, 128])
@pytest.mark.parametrize(("a_mn_major", "b_mn_major"), [(False, False), (False, True), (True, False)])
def test_bf16_in_every_layout(row_bytes: int, a_mn_major: bool, b_mn_major: bool) -> None:
    # K-major rows of one atom are as long as the swizzle; MN-major ones take any number of steps.
    steps = max(1, row_bytes // 32)
    product(BF16, 64, (row_bytes, a_mn_major), (row_bytes, b_mn_major), steps, seed=row_bytes)


@pytest.mark.parametrize("b_mn_major", [False, True])
def test_a_from_registers(b_mn_major: bool) -> None:
    product(BF16_REGISTERS, 128, (128, False), (128, b_mn_major), 4, seed=1)


@pytest.mark.parametrize("width", [16, 256])
def test_e4m3(width: int) -> None:
    product(E4M3, width, (128, False), (128, False), 4, seed=2)
