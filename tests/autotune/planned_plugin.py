"""A top-k that runs on the CPU and claims kernels that would be compiled for a GPU: what a tuner does with a plan, on a machine
without one. `TILE` 64 fits, 256 spills in its main loop, 512 wants more shared memory than a block can have."""

from __future__ import annotations

import torch
import triton
import triton.language as tl

from dsabench.kernels.implementation import Implementation, Tunable
from dsabench.kernels.registry import get_op, register
from dsabench.kernels.triton.launch import Launch

OP = "topk_select"


@triton.jit
def product(A, B, C, steps, M: tl.constexpr, N: tl.constexpr, K: tl.constexpr):
    """C[M, N] = sum over steps of A[M, K] @ B[N, K]^T."""
    m, n, k = tl.arange(0, M), tl.arange(0, N), tl.arange(0, K)
    acc = tl.zeros([M, N], tl.float32)
    for step in tl.range(0, steps):
        a = tl.load(A + step * M * K + m[:, None] * K + k[None, :])
        b = tl.load(B + step * N * K + n[:, None] * K + k[None, :])
        acc = tl.dot(a, b.T, acc)
    tl.store(C + m[:, None] * N + n[None, :], acc)


SHAPES = {64: (64, 128, 64, 4, 2), 256: (128, 256, 64, 4, 1), 512: (128, 256, 128, 8, 4)}


def plan(inputs, outputs, config):
    m, n, k, warps, stages = SHAPES[config["TILE"]]
    tensors = {name: torch.empty(0, dtype=torch.bfloat16, device="meta") for name in "AB"}
    out = torch.empty(0, dtype=torch.float32, device="meta")
    return [Launch(product, (1,), {**tensors, "C": out, "steps": 100, "M": m, "N": n, "K": k}, warps, stages)]


def run(inputs, outputs, config):
    rows = torch.arange(get_op(OP).row_count(inputs))
    outputs[0].copy_(get_op(OP).reference(inputs, rows)[0])


register(
    Implementation(
        op=OP,
        name="planned",
        summary="the reference, with a plan",
        device_types=("cpu",),
        tunables=(Tunable("TILE", tuple(SHAPES), "which kernel it claims", recompiles=True),),
        default_config=lambda axes: {"TILE": 64},
        run=run,
        plan=plan,
    )
)
