"""Small CUDA C++ kernels behind a plugin for op topk_select: its outputs are the arguments, in disguise. `KIND` chooses."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from dsabench.kernels.cuda.source import CudaLaunch, CudaSource, Products, runner
from dsabench.kernels.implementation import Implementation, Tunable
from dsabench.kernels.registry import register

FILE = Path(__file__).with_name("cuda_kinds.cu")
KINDS = (
    "product",
    "product_again",
    "silent",
    "repeated",
    "serialized",
    "copy",
    "spilling",
    "large",
    "two",
    "too_many_threads",
    "arguments",
    "broken",
)
TRIP = 2 * 64 * 8 * 16


def _products(threads=128, useful=TRIP, serialized=False):
    out = torch.empty(threads, device="meta")
    return CudaLaunch(
        CudaSource(FILE, "products"),
        (1,),
        (threads,),
        (out, np.int64(0), np.int64(0), np.int32(100)),
        {"THREADS": threads, "SERIALIZED": serialized},
        products=Products(useful, warps=threads // 32) if useful else None,
        stages=3,
    )


def _launch(entry, arguments, **other):
    fields = {"grid": (8,), "block": (64,), "constants": {"THREADS": 128, "SERIALIZED": 0}, **other}
    return CudaLaunch(source=CudaSource(FILE, entry), arguments=arguments, **fields)


def plan(inputs, outputs, config):
    tensor = torch.empty(0, device="meta")
    match config["KIND"]:
        case "product" | "product_again":
            return [_products()]
        case "silent":
            return [_products(useful=0)]
        case "repeated":
            return [_products(threads=256)]
        case "serialized":
            return [_products(useful=0, serialized=True)]
        case "copy":
            return [_launch("copy", (tensor, tensor))]
        case "spilling":
            return [_launch("spilling", (tensor, np.int32(9)), block=(1024,))]
        case "large":
            return [_launch("copy", (tensor, tensor), shared_bytes=227 * 1024 - 1024 + 16)]
        case "two":
            return [_products(), _launch("copy", (tensor, tensor), grid=(3, 2))]
        case "too_many_threads":
            return [_launch("copy", (tensor, tensor), block=(2048,))]
        case "arguments":
            return [_launch("copy", (tensor,))]
        case "broken":
            return [_launch("copy", (tensor, tensor), constants={})]


def _implementation(name, plan, kinds):
    return Implementation(
        op="topk_select",
        name=name,
        summary="compiles as its config says",
        device_types=("cuda",),
        tunables=(Tunable("KIND", kinds, "what its machine code shows", recompiles=True),),
        default_config=lambda axes: {"KIND": kinds[0]},
        run=runner(plan),
        unavailable=lambda: "for inspecting only",
        plan=plan,
    )


register(_implementation("cuda_kinds", plan, KINDS))
