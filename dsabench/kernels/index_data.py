"""Random queries, keys and weights as the lightning indexer meets them, and the values that broke real kernels."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from dsabench.kernels.fp8 import quantize_e4m3

HEAD_DIM = 128
HEADS = (8, 16, 32, 64)
"""query heads the contracts allow"""

VALUE_DISTRIBUTIONS = {
    "normal": "random keys, queries and signed weights; key norms vary from token to token",
    "zeros": "every query is zero, so every score is 0",
    "equal": "every key is the same, so all scores of a row are equal",
    "amax_zero": "every other key and every third query head are all zero: the smallest scale there is",
    "ue8m0": "scales rounded up to powers of two",
    "negative_weights": "all weights below zero, so no score is above 0",
    "saturated": "every code is +448 or -448",
    "subnormal_codes": "every code is an e4m3 subnormal, which bf16 products flush unless they are rescaled",
    "nan_key": "a NaN code in two keys inside the windows; their columns are NaN, and no others",
}
"""distributions that change values only, shared by the plain and the paged op"""

# 32768 vectors take 70 ms to draw and quantize; more are made by repeating them under other scales and weights.
_POOL = 32768


@dataclass(frozen=True)
class IndexData:
    """q float8_e4m3fn [n_q, h, 128], k float8_e4m3fn [n_k, 128], k_scale float32 [n_k], weights float32 [n_q, h]."""

    q: torch.Tensor
    k: torch.Tensor
    k_scale: torch.Tensor
    weights: torch.Tensor


def random_index_data(n_q: int, n_k: int, h: int, values: str, generator: torch.Generator) -> IndexData:
    """Data on the CPU under one of VALUE_DISTRIBUTIONS; any other name draws `normal` values. Raises ValueError when `h` is
    not one of HEADS."""
    if h not in HEADS:
        raise ValueError(f"axis h must be one of {list(HEADS)}, got {h}")
    q, q_scale = _random_codes(n_q * h, values, generator)
    k, k_scale = _random_codes(n_k, values, generator)
    # As the model does: the query's scale and both softmax scales are folded into the weights.
    weights = torch.randn((n_q, h), generator=generator) * q_scale.view(n_q, h) * (h**-0.5 * HEAD_DIM**-0.5)
    q = q.view(n_q, h, HEAD_DIM)
    if values == "zeros":
        q.view(torch.uint8).zero_()
    elif values == "equal":
        k.view(torch.uint8)[:] = k.view(torch.uint8)[:1].clone()
        k_scale[:] = k_scale[:1].clone()
    elif values == "amax_zero":
        zero, smallest = quantize_e4m3(torch.zeros(1, HEAD_DIM), HEAD_DIM)
        k.view(torch.uint8)[::2] = zero.view(torch.uint8)
        k_scale[::2] = smallest[0]
        q.view(torch.uint8)[:, ::3] = 0
    elif values == "negative_weights":
        weights = -weights.abs()
    return IndexData(q, k, k_scale, weights)


def plant_nan_codes(k: torch.Tensor, columns: list[int]) -> None:
    """Puts one NaN code, 0x7f and 0xff in turn, into the keys at `columns` of `k` float8_e4m3fn [n, 128]."""
    for number, column in enumerate(columns):
        k.view(torch.uint8)[column, (37 * number + 5) % HEAD_DIM] = (0x7F, 0xFF)[number % 2]


def _random_codes(count: int, values: str, generator: torch.Generator) -> tuple[torch.Tensor, torch.Tensor]:
    """(float8_e4m3fn [count, 128], float32 [count])."""
    drawn = min(count, _POOL)
    if values in ("saturated", "subnormal_codes"):
        sign = torch.randint(0, 2, (drawn, HEAD_DIM), generator=generator, dtype=torch.uint8) << 7
        size: torch.Tensor | int = 0x7E
        if values == "subnormal_codes":
            size = torch.randint(0, 8, (drawn, HEAD_DIM), generator=generator, dtype=torch.uint8)
        codes = (sign | size).view(torch.float8_e4m3fn)
        scales = torch.rand(drawn, generator=generator) + 0.5
    else:
        norms = torch.exp(0.3 * torch.randn((drawn, 1), generator=generator))
        vectors = torch.randn((drawn, HEAD_DIM), generator=generator) * norms
        codes, scales = quantize_e4m3(vectors, HEAD_DIM, ue8m0=values == "ue8m0")
        scales = scales.squeeze(-1)
    if count == drawn:
        return codes, scales
    copies = -(-count // drawn)
    codes = codes.view(torch.uint8).repeat(copies, 1)[:count].view(torch.float8_e4m3fn)
    # Powers of two keep ue8m0 scales what they are.
    factor = torch.randint(-1, 2, (count,), generator=generator).float().exp2_()
    if values != "ue8m0":
        factor *= 0.75 + 0.5 * torch.rand(count, generator=generator)
    return codes, scales.repeat(copies)[:count] * factor
