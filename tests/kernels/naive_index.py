"""The indexer and the selection written out element by element in plain Python and numpy float64, straight from the
contract's formulas. They share no line with the package: not the fp8 table, not the cache layout."""

from __future__ import annotations

import math
import struct

import numpy as np


def e4m3_value(code: int) -> float:
    """The OCP e4m3fn format: sign, 4 exponent bits with bias 7, 3 mantissa bits; 0x7f and 0xff are NaN, no infinities."""
    sign = -1.0 if code & 0x80 else 1.0
    exponent, mantissa = (code >> 3) & 0xF, code & 0x7
    if exponent == 15 and mantissa == 7:
        return math.nan
    if exponent == 0:
        return sign * mantissa * 2.0**-9
    return sign * (1 + mantissa / 8) * 2.0 ** (exponent - 7)


_VALUES = np.array([e4m3_value(code) for code in range(256)])


def score(q: np.ndarray, key: np.ndarray, k_scale: float, weights: np.ndarray) -> float:
    """One logit of q uint8 [h, 128], key uint8 [128] and weights [h]."""
    total = 0.0
    for head in range(q.shape[0]):
        dot = 0.0
        for d in range(q.shape[1]):
            dot += float(_VALUES[q[head, d]]) * float(_VALUES[key[d]])
        total += float(weights[head]) * (dot if math.isnan(dot) or dot > 0 else 0.0)
    return float(k_scale) * total


def indexer_logits(q, k, k_scale, weights, ks, ke) -> np.ndarray:
    out = np.full((q.shape[0], k.shape[0]), -np.inf)
    for t in range(q.shape[0]):
        for s in range(int(ks[t]), int(ke[t])):
            out[t, s] = score(q[t], k[s], k_scale[s], weights[t])
    return out


def paged_indexer_logits(q, cache, weights, context_lens, block_table, max_context_len) -> np.ndarray:
    b, next_n = q.shape[:2]
    out = np.full((b * next_n, max_context_len), -np.inf)
    for i in range(b):
        for j in range(next_n):
            for s in range(int(context_lens[i, j])):
                raw = cache[int(block_table[i, s // 64])].tobytes()
                slot = s % 64
                key = np.frombuffer(raw[slot * 128 : (slot + 1) * 128], np.uint8)
                (scale,) = struct.unpack_from("<f", raw, 64 * 128 + 4 * slot)
                row = i * next_n + j
                out[row, s] = score(q[i, j], key, scale, weights[row])
    return out


def rank(score_value: float) -> tuple[int, float]:
    """A sort key in which NaN is below -inf and -0 equals +0."""
    return (0, 0.0) if math.isnan(score_value) else (1, score_value + 0.0)


def topk_lowest_column_first(scores, start: int, end: int, k: int) -> list[int]:
    """The deterministic selection of one row, padded with -1 to k."""
    window = range(int(start), int(end))
    best = sorted(window, key=lambda s: (tuple(-x for x in rank(float(scores[s]))), s))[:k]
    return sorted(best) + [-1] * (k - len(best))
