"""The contract of `topk_select` (REFERENCE §2): axes, inputs, argument checks."""

from __future__ import annotations

from dataclasses import dataclass

import torch


@dataclass(frozen=True, eq=False)
class Inputs:
    """indices[r] are the columns of the k highest of logits[r, starts[r]:ends[r]], -1 padded at the end of the row when
    the window holds fewer than k.

    logits         float32 [rows, L], L up to 2²⁰; NaN ranks below -inf, +0 equals -0; outside its window anything
    starts, ends   int32 [rows], half-open windows in [0, L]; starts >= ends is an empty window
    k              1 to 4096
    deterministic  False: any of several equal scores may be taken, in any order.
                   True: the lowest column of equal scores first, columns returned ascending
    """

    logits: torch.Tensor
    starts: torch.Tensor
    ends: torch.Tensor
    k: int
    deterministic: bool
