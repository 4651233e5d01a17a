"""Random inputs of the attention ops: values of a stated spread, and the index rows of the sparse ops.

Keys and values are N(0, 0.1²), the size the published tests use and the absolute tolerances are meant for: with values
near 1, the bf16 rounding of the weights alone reaches 1e-3. Queries are N(0, σ²) with σ chosen so that scaled scores have
standard deviation 1.5: over 2048 keys about 2048·exp(−1.5²) ≈ 216 of them carry the weight, so softmax is neither uniform
nor one-hot.
"""

from __future__ import annotations

import math

import numpy as np
import torch

SM_SCALE = 192**-0.5 * (0.1 * math.log(40) + 1) ** 2
"""The model's, 0.1352… (REFERENCE §1); never derived from 576."""

SCORE_STD = 1.5
KEY_STD = 0.1
PEAKED = 64.0  # factor on the queries: scores of standard deviation 96, one key dominates and exp overflows unshifted
_RAMP = 8.0  # rising: the ramp's height in either operand; scores climb from −8.7 to 8.7 along the context

_CHUNK = 1 << 22  # elements drawn at a time: the float32 staging buffer is 16 MB
_DRAWN = 1 << 27  # most elements that are all drawn; drawing takes 13 times as long as copying
_PERIOD = 16777213  # the largest prime below 2²⁴

VALUE_DISTRIBUTIONS = {
    "normal": "random values, scores of standard deviation 1.5",
    "equal_scores": "every key scores the same, values differ",
    "zeros": "queries and keys are zero",
    "peaked": "scores of standard deviation 96: one key dominates, exp overflows without the running maximum",
}
"""Distributions that concern values only; every attention op has them."""

INDEX_DISTRIBUTIONS = {
    "all_padded_rows": "every third query has no valid index (all -1), the last query among them",
    "valid_after_padding": "-1 scattered among the valid indices, the first entry included",
    "repeated_index": "each query draws from at most 7 different keys, which count as often as they stand",
    "out_of_range": "a third of the entries are out of range: the row count, 2^31 - 1, -2, -2^31 …",
    "no_valid": "no query has a valid index",
    "one_valid": "one valid index per query, anywhere in the row",
    "k_minus_one": "all entries valid but the last",
    "sink": "attention sinks near the rows' lse",
    "sink_infinite": "attention sinks that are -inf (no effect), +inf (out = 0) and finite",
    "topk_length": "ragged topk_length from 0 to k; valid-looking indices of NaN rows stand after it",
}
"""Distributions of the sparse ops' index rows, sinks and lengths."""


def query_std(d_qk: int) -> float:
    """σ of the queries for dot products over `d_qk` dims."""
    return SCORE_STD / (SM_SCALE * math.sqrt(d_qk) * KEY_STD)


def fill_normal(target: torch.Tensor, std: float, generator: torch.Generator) -> None:
    """Fills a contiguous CPU tensor of any floating dtype with N(0, std²), drawn in float32; see `Normals` for large ones."""
    Normals(target.numel(), std, generator).fill(target)


class Normals:
    """N(0, std²) for `count` elements, which may be taken piece by piece.

    Up to 2²⁷ elements each is drawn. Beyond, 16 777 213 are drawn in bf16 and repeat in this order: keys and queries of
    gigabytes are then copied instead of drawn. The period is a prime, so a row of any width (a token, a head's query) stands
    at another place in it than all rows before: among fewer than 16 777 213 rows no two are equal, as a kernel that reads the
    wrong row must find another. What repeats is single numbers, as parts of different rows.
    """

    def __init__(self, count: int, std: float, generator: torch.Generator) -> None:
        self._std = std
        self._generator = generator
        self._period: torch.Tensor | None = None
        self._place = 0
        if count > _DRAWN:
            self._period = torch.empty(_PERIOD, dtype=torch.bfloat16)
            self._draw(self._period)

    def fill(self, target: torch.Tensor) -> None:
        """Fills a contiguous CPU tensor with the next `target.numel()` of them."""
        flat = target.view(-1)
        if self._period is None:
            self._draw(flat)
            return
        first = 0
        while first < flat.numel():
            piece = self._period[self._place : self._place + flat.numel() - first]
            flat[first : first + piece.numel()] = piece
            first += piece.numel()
            self._place = (self._place + piece.numel()) % _PERIOD

    def _draw(self, flat: torch.Tensor) -> None:
        for first in range(0, flat.numel(), _CHUNK):
            piece = flat[first : first + _CHUNK]
            piece.copy_(torch.empty(piece.numel()).normal_(0.0, self._std, generator=self._generator))


def key_normals(count: int, width: int, generator: torch.Generator) -> Normals:
    """For `make_keys`: `count` keys of `width` elements in all."""
    return Normals(count * width, KEY_STD, generator)


def make_queries(shape: tuple[int, ...], distribution: str, generator: torch.Generator) -> torch.Tensor:
    """bf16 queries on the CPU, last dim d_qk."""
    q = torch.empty(shape, dtype=torch.bfloat16)
    fill_normal(q, query_std(shape[-1]), generator)
    if distribution == "zeros":
        q.zero_()
    elif distribution == "equal_scores":
        q[..., :-64] = 0  # only the last 64 dims score, and there all keys are alike
    elif distribution == "peaked":
        q *= PEAKED
    elif distribution == "rising":
        q[..., -1] = _RAMP
    return q


def make_keys(
    count: int, width: int, distribution: str, normals: Normals, first: int = 0, total: int | None = None
) -> torch.Tensor:
    """bf16 keys [count, width] on the CPU: tokens first … first + count − 1 of `total`."""
    k = torch.empty((count, width), dtype=torch.bfloat16)
    normals.fill(k)
    if distribution == "zeros":
        k.zero_()
    elif distribution == "equal_scores":
        k[:, -64:] = KEY_STD * torch.cos(torch.arange(64.0))
    elif distribution == "rising":
        k[:, -1] = torch.linspace(-_RAMP, _RAMP, total or count)[first : first + count]
    return k


def causal_contexts(sequences: int, s_q: int, s_kv: int) -> np.ndarray:
    """int64 [sequences · s_q]: how many keys query t of each sequence may see, at least 1 (the last query sees all s_kv)."""
    return np.tile(np.maximum(s_kv - (s_q - 1 - np.arange(s_q)), 1), sequences)


def select_keys(contexts: np.ndarray, k: int, distribution: str, rng: np.random.Generator) -> np.ndarray:
    """Positions int64 [queries, k] below each query's context, in random order and unique unless the distribution says
    otherwise; -1 where fewer than k are selected."""
    rows = np.full((len(contexts), k), -1, dtype=np.int64)
    for query, context in enumerate(contexts.tolist()):
        row = rows[query]
        if distribution == "no_valid" or (distribution == "all_padded_rows" and (len(rows) - 1 - query) % 3 == 0):
            continue
        if distribution == "repeated_index":
            few = rng.choice(context, min(context, 7), replace=False)
            row[:] = rng.choice(few, k)
            continue
        wanted = k - 1 if distribution == "k_minus_one" else 1 if distribution == "one_valid" else k
        chosen = rng.choice(context, min(wanted, context), replace=False)
        row[: len(chosen)] = chosen
        if distribution == "one_valid":
            rng.shuffle(row)
        elif distribution == "valid_after_padding":
            row[rng.random(k) < 0.5] = -1
            row[0] = -1
    return rows


def spoil_indices(indices: np.ndarray, limit: int, rng: np.random.Generator) -> None:
    """Replaces a third of the entries [queries, k] int32 by values outside [0, limit), in place."""
    outside = np.array([limit, limit + 1, 2 * limit, 2**31 - 1, -2, -(2**31)], dtype=np.int64)
    outside = np.minimum(outside, 2**31 - 1)
    hit = rng.random(indices.shape) < 1 / 3
    indices[hit] = rng.choice(outside, int(hit.sum()))


def make_sink(distribution: str, h_q: int, typical_lse: float, generator: torch.Generator) -> torch.Tensor | None:
    """float32 [h_q] for the distributions with sinks, else None."""
    if distribution not in ("sink", "sink_infinite"):
        return None
    sink = torch.empty(h_q).normal_(typical_lse, 1.0, generator=generator)
    if distribution == "sink_infinite":
        sink[0::3] = -torch.inf
        sink[1::3] = torch.inf
    return sink


def make_topk_length(distribution: str, queries: int, k: int, rng: np.random.Generator) -> torch.Tensor | None:
    """int32 [queries] from 0 to k, both ends included where there are two queries, else None."""
    if distribution != "topk_length":
        return None
    lengths = rng.integers(0, k + 1, queries)
    lengths[-1] = k
    if queries > 1:
        lengths[0] = 0
    return torch.from_numpy(lengths.astype(np.int32))


def typical_lse(k: int) -> float:
    """The lse of k Gaussian scores of standard deviation SCORE_STD, about."""
    return math.log(k) + SCORE_STD**2 / 2
