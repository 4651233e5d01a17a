"""Synthetic inputs with a stated structure of the attention, and an indexer that knows it imperfectly.

Latents are N(0, 0.1²). Queries look along 64 of the 576 dims' directions only (a random orthonormal basis U): where a
structure says that a key matters, the key has a component along a query's direction, of the size that gives it the stated
share of the softmax; all else in a latent no query looks at, and it differs from key to key. The heads of a query stand in four
groups with a direction each (in `near_ties` one for all), and every head has a direction of its own mixed in, so that heads
agree in part.

The index side: index key = R Uᵀ kv, index query = R Uᵀ of the mean of the heads that it stands for, R Gaussian [128, 64] / √128
(a Johnson-Lindenstrauss projection), weights positive. Which directions queries look along is what a trained indexer has
learnt: a random projection of all 576 dims would err by √(576/128) = 2.1 standard deviations of a score. This one errs by
√(64/128) = 0.7, a mean of heads forgets what single heads look for, and a sum of ReLUs does not grow as an exponential does. **A
trained indexer is another matter: of it these inputs say nothing.** They show how recall, mass and error hang together under a
known structure.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass

import torch

from dsabench.bench.losses.case import LossCase
from dsabench.kernels.attention_inputs import KEY_STD, SM_SCALE, fill_normal
from dsabench.kernels.index_data import HEAD_DIM

D_QK = 576
INDEX_HEADS = 64
DIRECTIONS = 64
LEAST_CONTEXT = 64

STRUCTURES = {
    "spread": "the weight lies on a large part of all keys",
    "concentrated": "256 keys of each query (at most a quarter of the context), anywhere, carry about 97 % of its weight",
    "needles": "16 keys of each query in the oldest quarter of the context carry about 60 % of its weight, among noise",
    "near_ties": "three quarters of all keys have nearly the same score, for the attention and for the indexer",
}

_SCORE_STD = 1.5  # of the scores of keys that nothing is planted in
_SHARED = 0.8  # share of a head's squared query that lies along its group's direction
_GROUPS = 4
_PLANTED_STD = 0.5  # of the scores of keys that are made to matter
_TIED_SCORE = 12.0  # of the tied keys: the other quarter's are around 0 and have no weight
_TIED_STD = 0.005  # of a tied score, relative: about what FP8 makes of it


@dataclass(frozen=True)
class _Queries:
    """directions [n_q, groups, 64], unit vectors in the basis U; q [n_q, h_q, 64], of the norm that gives plain keys scores of
    standard deviation _SCORE_STD."""

    directions: torch.Tensor
    q: torch.Tensor


def make_case(structure: str, context: int, n_q: int, h_q: int, seed: int) -> LossCase:
    """A case of one of STRUCTURES, the same for the same arguments; the queries are the last tokens of the context. Raises
    ValueError when the structure is unknown, or context < max(64, 4 · n_q), n_q < 1 or h_q is outside [1, 128]."""
    _check(structure, context, n_q, h_q)
    generator = torch.Generator().manual_seed(seed)
    basis = torch.linalg.qr(torch.randn((D_QK, DIRECTIONS), generator=generator)).Q
    kv = torch.empty((context, D_QK))
    fill_normal(kv, KEY_STD, generator)
    queries = _queries(structure, n_q, h_q, generator)
    if structure == "concentrated":
        _plant(kv, basis, queries, min(256, context // 4), 0, context - n_q + 1, 0.97, generator)
    elif structure == "needles":
        _plant(kv, basis, queries, 16, 0, context // 4, 0.6, generator)
    elif structure == "near_ties":
        _tie(kv, basis, queries, generator)
    q = (queries.q @ basis.T).bfloat16()
    kv = kv.bfloat16()
    index_q, index_k, weights = _index_side(q, kv, basis, generator)
    visible = context - n_q + 1 + torch.arange(n_q)
    return LossCase(structure, True, q, kv, index_q, index_k, weights, visible, SM_SCALE, seed)


def _check(structure: str, context: int, n_q: int, h_q: int) -> None:
    if structure not in STRUCTURES:
        raise ValueError(f"unknown structure {structure!r}; known: {', '.join(STRUCTURES)}")
    if n_q < 1:
        raise ValueError(f"n_q must be at least 1, got {n_q}")
    if not 1 <= h_q <= 128:
        raise ValueError(f"h_q must be in [1, 128], got {h_q}")
    least = max(LEAST_CONTEXT, 4 * n_q)
    if context < least:
        raise ValueError(f"context must be at least {least} for {n_q} queries of a synthetic structure, got {context}")


def _unit(x: torch.Tensor) -> torch.Tensor:
    return x / x.norm(dim=-1, keepdim=True)


def _queries(structure: str, n_q: int, h_q: int, generator: torch.Generator) -> _Queries:
    groups = min(_GROUPS, h_q)
    directions = _unit(torch.randn((n_q, groups, DIRECTIONS), generator=generator))
    if structure == "near_ties":
        common = _unit(torch.randn(DIRECTIONS, generator=generator))
        groups = 1
        directions = _unit(2 * common + directions[:, :1])
    mine = directions[:, torch.arange(h_q) * groups // h_q]
    own = torch.randn((n_q, h_q, DIRECTIONS), generator=generator)
    own = _unit(own - (own * mine).sum(-1, keepdim=True) * mine)
    norm = _SCORE_STD / (SM_SCALE * KEY_STD)
    return _Queries(directions, norm * (math.sqrt(_SHARED) * mine + math.sqrt(1 - _SHARED) * own))


def _along(scores: torch.Tensor) -> torch.Tensor:
    """A latent's component along a group's direction that gives the scaled scores `scores` with each of its heads."""
    return scores * (KEY_STD / (_SCORE_STD * math.sqrt(_SHARED)))


def _plant(
    kv: torch.Tensor,
    basis: torch.Tensor,
    queries: _Queries,
    count: int,
    first: int,
    last: int,
    share: float,
    generator: torch.Generator,
) -> None:
    """Gives `count` keys of each query, drawn from first … last − 1 and dealt out to the groups of heads, such a component
    along their group's direction that they carry about `share` of each head's weight. Scores of plain keys are N(0, σ²), so
    context · e^(σ²/2) is what m keys of score s, e^s · m, are to be `share` against; of σ² the shared part is replaced."""
    n_q, groups, _ = queries.directions.shape
    each = count // groups
    score = math.log(share / (1 - share) * kv.shape[0] / each) + _SHARED * _SCORE_STD**2 / 2 - _PLANTED_STD**2 / 2
    for t in range(n_q):
        dealt = first + torch.randperm(last - first, generator=generator)[: groups * each].view(groups, each)
        for g, chosen in enumerate(dealt):
            direction = basis @ queries.directions[t, g]
            scores = score + _PLANTED_STD * torch.randn(each, generator=generator)
            kv[chosen] += (_along(scores) - kv[chosen] @ direction)[:, None] * direction


def _tie(kv: torch.Tensor, basis: torch.Tensor, queries: _Queries, generator: torch.Generator) -> None:
    """Gives three quarters of the keys one and the same component in the queries' 64 dims, but for 0.5 % in each of them."""
    context = kv.shape[0]
    tied = torch.randperm(context, generator=generator)[: 3 * context // 4]
    common = _unit(queries.directions.mean((0, 1)))
    own = _TIED_STD * torch.randn((tied.numel(), DIRECTIONS), generator=generator)
    kv[tied] += (_along(torch.tensor(_TIED_SCORE)) * (common + own) - kv[tied] @ basis) @ basis.T


def _index_side(
    q: torch.Tensor, kv: torch.Tensor, basis: torch.Tensor, generator: torch.Generator
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """index_q float32 [n_q, 64, 128], index_k [context, 128], index_weights [n_q, 64] of q and kv in bf16."""
    n_q, h_q, _ = q.shape
    projection = basis @ torch.randn((DIRECTIONS, HEAD_DIM), generator=generator) * HEAD_DIM**-0.5
    heads = q.float() @ projection
    bounds = [i * h_q // INDEX_HEADS for i in range(INDEX_HEADS + 1)]
    means = [heads[:, low : max(high, low + 1)].mean(1) for low, high in itertools.pairwise(bounds)]
    weights = torch.exp(0.3 * torch.randn((n_q, INDEX_HEADS), generator=generator))
    return torch.stack(means, 1), kv.float() @ projection, weights
