"""The attention ops one row at a time in plain Python, written from REFERENCE §2 and from nothing else in the package."""

from __future__ import annotations

import math
import struct

import torch


def softmax_row(
    q: list[float], keys: list[list[float]], values: list[list[float]], scale: float
) -> tuple[list[float], float]:
    """out and lse (natural) of one query row over its keys; zeros and -inf without keys."""
    if not keys:
        return [], -math.inf
    scores = [scale * math.fsum(a * b for a, b in zip(q, key, strict=True)) for key in keys]
    top = max(scores)
    weights = [math.exp(s - top) for s in scores]
    total = math.fsum(weights)
    out = [
        math.fsum(w * value[d] for w, value in zip(weights, values, strict=True)) / total for d in range(len(values[0]))
    ]
    return out, top + math.log(total)


def sink_scale(lse: float, sink: float) -> float:
    """exp(lse) / (exp(lse) + exp(sink))."""
    if sink == -math.inf:
        return 1.0
    if sink == math.inf or lse == -math.inf:
        return 0.0
    top = max(lse, sink)
    return math.exp(lse - top) / (math.exp(lse - top) + math.exp(sink - top))


def e4m3(code: int) -> float:
    sign = -1.0 if code & 0x80 else 1.0
    exponent, mantissa = (code >> 3) & 15, code & 7
    if exponent == 15 and mantissa == 7:
        return math.nan
    if exponent == 0:
        return sign * mantissa * 2.0**-9
    return sign * (1 + mantissa / 8) * 2.0 ** (exponent - 7)


def bf16(low: int, high: int) -> float:
    return struct.unpack("<f", bytes([0, 0, low, high]))[0]


def token_values(token: list[int]) -> list[float]:
    """The 576 values of one token of 656 bytes."""
    scales = struct.unpack("<4f", bytes(token[512:528]))
    latent = [e4m3(code) * scales[dim // 128] for dim, code in enumerate(token[:512])]
    return latent + [bf16(token[528 + 2 * i], token[529 + 2 * i]) for i in range(64)]


def finish(
    rows: list[tuple[list[float], float]], d_v: int, sinks: list[float] | None = None
) -> tuple[torch.Tensor, torch.Tensor]:
    """(out [n, d_v], lse [n]) float64 of `softmax_row` results, sinks[i] applied to row i."""
    out = torch.zeros((len(rows), d_v), dtype=torch.float64)
    for i, (row, lse) in enumerate(rows):
        if row:
            out[i] = torch.tensor(row, dtype=torch.float64) * (sink_scale(lse, sinks[i]) if sinks else 1.0)
    return out, torch.tensor([lse for _, lse in rows], dtype=torch.float64)


def assert_same(actual: tuple[torch.Tensor, ...], expected: tuple[torch.Tensor, torch.Tensor]) -> None:
    torch.testing.assert_close(actual[0], expected[0], rtol=1e-10, atol=1e-13)
    torch.testing.assert_close(actual[1], expected[1], rtol=1e-12, atol=1e-12)
