"""What each side of a comparison needs, before anything is built."""

from __future__ import annotations

import itertools

from dsabench.bench.pipeline.shape import Shape
from dsabench.bench.pipeline.sparse import SCORE_BYTES, chunk_bounds
from dsabench.kernels import index_cache, kv_cache

USABLE = 0.8
"""Share of the free memory that inputs and buffers may take: kernels need workspace, checks float64 copies of some rows."""


def needed_bytes(shape: Shape) -> dict[str, int]:
    """Bytes of inputs and buffers by side: `sparse`, `dense`, and of `eager` what it needs besides dense's inputs."""
    return {"sparse": _sparse(shape), "dense": _dense(shape), "eager": _outputs(shape, _dense_width(shape))}


def _outputs(shape: Shape, width: int) -> int:
    return shape.tokens * shape.heads * (width * 2 + 4)


def _dense_width(shape: Shape) -> int:
    return kv_cache.LATENT if shape.phase == "decode" else 128


def _dense(shape: Shape) -> int:
    if shape.phase == "decode":
        inputs = shape.tokens * shape.heads * kv_cache.BF16_TOKEN_BYTES + shape.slots * kv_cache.BF16_TOKEN_BYTES
    else:
        inputs = shape.heads * (shape.tokens * 192 + shape.context * (192 + 128)) * 2
    return inputs + _outputs(shape, _dense_width(shape))


def _sparse(shape: Shape) -> int:
    groups, group = (shape.batch, shape.queries) if shape.phase == "decode" else (shape.tokens, 1)
    group_bytes = group * shape.context * 4
    bounds = chunk_bounds(groups, group_bytes, SCORE_BYTES)
    scores = group_bytes * max(last - first for first, last in itertools.pairwise(bounds))
    queries = shape.tokens * (shape.heads * kv_cache.BF16_TOKEN_BYTES + shape.index_heads * (index_cache.HEAD_DIM + 4))
    if shape.phase == "decode":
        caches = shape.slots * (kv_cache.TOKEN_BYTES + index_cache.TOKEN_BYTES)
        selected = 2 * shape.tokens * shape.topk * 4
    else:
        caches = shape.context * (kv_cache.BF16_TOKEN_BYTES + index_cache.TOKEN_BYTES)
        selected = shape.tokens * shape.topk * 4
    return caches + queries + scores + selected + _outputs(shape, kv_cache.LATENT)


def what_fits(shape: Shape, wanted: list[str], free_bytes: int) -> dict[str, str]:
    """Which of the sides `wanted` do not fit and why, the earlier served first; eager only beside dense."""
    needs = needed_bytes(shape)
    left = int(free_bytes * USABLE)
    out: dict[str, str] = {}
    for side in wanted:
        if needs[side] > left:
            taken = int(free_bytes * USABLE) - left
            beside = f" beside {_size(taken)} of the other side" if taken else ""
            out[side] = (
                f"does not fit in memory: inputs and buffers take {_size(needs[side])}{beside}, "
                f"{USABLE:.0%} of the {_size(free_bytes)} that are free may be used"
            )
        else:
            left -= needs[side]
    return out


def _size(count: int) -> str:
    return f"{count / 1e9:.3g} GB" if count >= 1e8 else f"{count / 1e6:.3g} MB"
