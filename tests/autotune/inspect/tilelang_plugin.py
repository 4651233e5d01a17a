"""TileLang programs behind a plugin for op topk_select: its outputs are the arguments, in disguise. `KIND` chooses."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

import dsabench
from dsabench.kernels.cuda.source import Products

PROGRAM = Path(__file__).with_name("tilelang_kinds.py")
KINDS = ("copy", "product", "both", "grid", "descriptors")
STEPS = 16
TRIP = 2 * 64 * 64 * 64


def _copy(blocks=8, rows=128):
    tensor = torch.empty((1000, 64), device="meta")
    arguments = {"source": tensor, "target": tensor, "n": np.int32(1000), "factor": np.float32(1)}
    return dsabench.TileLangLaunch(dsabench.TileLangSource(PROGRAM, "copy"), (blocks,), arguments, {"BLOCK": rows})


def _product(**other):
    a, b = (torch.empty(shape, dtype=torch.bfloat16, device="meta") for shape in ((64, STEPS * 64), (STEPS * 64, 64)))
    arguments = {"a": a, "b": b, "c": torch.empty((64, 64), device="meta")}
    return dsabench.TileLangLaunch(
        dsabench.TileLangSource(PROGRAM, "product"),
        *((1,), arguments, {"STEPS": STEPS}),
        products=Products(TRIP, warps=4),
        stages=2,
        **other,
    )


def _in_cuda():
    tensor = torch.empty(0, device="meta")
    source = dsabench.CudaSource(Path(__file__).with_name("cuda_kinds.cu"), "copy")
    return dsabench.CudaLaunch(source, (8,), (64,), (tensor, tensor), {"THREADS": 128, "SERIALIZED": 0})


@dsabench.tilelang_implementation("topk_select", KIND=KINDS)
def tilelang_kinds(inputs, outputs, config):
    """compiles as its config says"""
    match config["KIND"]:
        case "copy":
            return _copy()
        case "product":
            return _product()
        case "both":
            return [_copy(), _in_cuda()]
        case "grid":
            return _copy(blocks=8, rows=64)
        case "descriptors":
            return _product(pass_configs={"tl.disable_warp_specialized": False})
