"""The launch that merges split-KV partial results. Imports Triton only when a launch is made."""

from __future__ import annotations

import torch

from dsabench.kernels.triton.launch import Launch

BLOCK_DV = 128
"""Dims of a row per program: one warp reads them as 32 × 16 bytes, and 128 rows of 512 dims make 512 programs."""
BLOCK_SPLITS = 8
"""Partial rows in flight per program: 4 KB, 32 registers a thread."""


def empty_partials(splits: int, out: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Uninitialised partials of an op's out [..., d_v], on its device: f32 [splits, rows, d_v] and f32 [splits, rows]."""
    d_v = out.shape[-1]
    rows = out.numel() // d_v
    return (
        torch.empty((splits, rows, d_v), dtype=torch.float32, device=out.device),
        torch.empty((splits, rows), dtype=torch.float32, device=out.device),
    )


def merge_launch(
    partial_out: torch.Tensor,
    partial_lse: torch.Tensor,
    out: torch.Tensor,
    lse: torch.Tensor,
    sink: torch.Tensor | None = None,
) -> Launch:
    """The launch that fills out and lse from partials (see triton_merge.merge_splits):

    partial_out f32 [splits, rows, d_v], each split's normalised output; d_v a multiple of 128
    partial_lse f32 [splits, rows], base 2 of the scaled scores, -inf where a split saw no key (its partial_out is not read)
    out         bf16 [..., d_v] with `rows` rows, lse f32 [...] with `rows` elements, natural log; no key: 0 and -inf
    sink        f32 [h_q] or None; row r belongs to head r % h_q
    All contiguous. Raises ValueError when the shapes do not fit."""
    splits, rows, d_v = partial_out.shape
    if partial_lse.shape != (splits, rows) or out.shape[-1] != d_v or out.numel() != rows * d_v or lse.numel() != rows:
        shapes = [list(t.shape) for t in (partial_out, partial_lse, out, lse)]
        raise ValueError(f"partial_out, partial_lse, out and lse do not fit together: {shapes}")
    if d_v % BLOCK_DV:
        raise ValueError(f"d_v must be a multiple of {BLOCK_DV}, got {d_v}")
    from dsabench.kernels.triton.compute_type import COMPUTE
    from dsabench.kernels.triton.triton_merge import merge_splits

    return Launch(
        kernel=merge_splits,
        grid=(rows * (d_v // BLOCK_DV),),
        arguments={
            "partial_out_ptr": partial_out,
            "partial_lse_ptr": partial_lse,
            "sink_ptr": sink,
            "out_ptr": out,
            "lse_ptr": lse,
            "splits": splits,
            "rows": rows,
            "heads": 1 if sink is None else sink.numel(),
            "D_V": d_v,
            "BLOCK_SPLITS": BLOCK_SPLITS,
            "BLOCK_DV": BLOCK_DV,
            "CT": COMPUTE,
        },
        num_warps=1,
        num_stages=1,
    )
