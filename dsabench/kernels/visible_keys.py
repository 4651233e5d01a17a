"""How many leading keys each query of a dense op sees."""

from __future__ import annotations

import torch


def visible_keys(lengths: torch.Tensor, s_q: int, causal: bool) -> torch.Tensor:
    """int64 [b, s_q] on the CPU from `lengths` [b]: lengths[i], with causal lengths[i] − (s_q − 1 − t), at least 0."""
    visible = lengths.cpu().long()[:, None].expand(-1, s_q)
    if causal:
        visible = visible - torch.arange(s_q - 1, -1, -1)
    return visible.clamp_min(0)
