"""Where tensors begin, which TileLang's vector loads rely on."""

from __future__ import annotations

import torch

from dsabench.kernels.tilelang.facts import ALIGNMENT


def aligned(tensor: torch.Tensor) -> torch.Tensor:
    """The tensor, or a copy where it begins elsewhere than at a multiple of 16 bytes of its storage, as a slice of lengths or of
    index rows may."""
    return tensor.clone() if tensor.storage_offset() * tensor.itemsize % ALIGNMENT else tensor
