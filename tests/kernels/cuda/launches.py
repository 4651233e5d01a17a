"""Launches of tiny.cu, on tensors that hold nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch

from dsabench.kernels.cuda.source import CudaLaunch, CudaSource

TINY = Path(__file__).with_name("tiny.cu")


def scale(file: Path = TINY, **other: Any) -> CudaLaunch:
    tensor = torch.empty(1000, device="meta")
    fields = {
        "source": CudaSource(file, "scale"),
        "grid": (8,),
        "block": (128,),
        "arguments": (tensor, tensor, np.int64(1000), np.int32(3), np.float32(0.5)),
        "constants": {"BLOCK": 128},
        "shared_bytes": 512,
    }
    return CudaLaunch(**{**fields, **other})


def rank(cluster: int = 4, blocks: int = 8) -> CudaLaunch:
    tensor = torch.empty(blocks, dtype=torch.int32, device="meta")
    return CudaLaunch(CudaSource(TINY, "rank"), (blocks,), (32,), (tensor,), {"BLOCK": 128}, cluster)
