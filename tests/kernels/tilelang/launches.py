"""Launches of tiny_program.py, on tensors that hold nothing, and the facts that lowering it finds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch

from dsabench.kernels.tilelang.facts import BufferFacts, KernelFacts
from dsabench.kernels.tilelang.launch import TileLangLaunch, TileLangSource

TINY = Path(__file__).with_name("tiny_program.py")


def scale(rows: int = 1000, entry: str = "scale", device: str = "meta", **other: Any) -> TileLangLaunch:
    fields = {
        "source": TileLangSource(TINY, entry),
        "grid": (-(-rows // 64),),
        "arguments": scaled(rows, device),
        "constants": {"BLOCK": 64},
    }
    return TileLangLaunch(**{**fields, **other})


def scaled(rows: int = 1000, device: str = "meta", **other: Any) -> dict[str, Any]:
    """The arguments of `scale`."""
    return {
        "source": torch.empty((rows, 64), dtype=torch.bfloat16, device=device),
        "target": torch.empty((rows, 64), device=device),
        "factor": np.float32(0.5),
        "n": np.int32(rows),
        **other,
    }


def clusters(cluster: int = 4, rows: int = 3, width: int = 256) -> TileLangLaunch:
    target = torch.empty((rows, 2 * width), dtype=torch.int32, device="meta")[:, :width]
    arguments = {"target": target, "value": np.int64(7), "rows": np.int32(rows), "width": np.int64(width)}
    return TileLangLaunch(
        TileLangSource(TINY, "clusters"), (-(-width // 128) * cluster, rows), arguments, {"CLUSTER": cluster}
    )


SCALE = KernelFacts(
    entry="scale_kernel",
    parameters=["source", "target", "factor", "n"],
    block=[128, 1, 1],
    shared_bytes=64 * 64 * 2,
    cluster=None,
    grid=[["//", ["+", "n", 63], 64], 1, 1],
    buffers={
        "source": BufferFacts("bfloat16", ["n", 64], [64, 1]),
        "target": BufferFacts("float32", ["n", 64], [64, 1]),
    },
    scalars={"factor": "float32", "n": "int32"},
)
