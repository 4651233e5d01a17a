"""Small kernels whose machine code shows one thing each, behind a plugin for op topk_select: its outputs are the arguments, in
disguise. `KIND` chooses; the faults are real: this process sleeps, allocates, dies or prints while it plans."""

from __future__ import annotations

import os
import signal
import time

import torch
import triton
import triton.language as tl

from dsabench.kernels.implementation import Implementation, Tunable
from dsabench.kernels.registry import register
from dsabench.kernels.triton.launch import Launch, runner

OP = "topk_select"
KINDS = (
    "bf16",
    "bf16_again",
    "repeated",
    "spilling",
    "large",
    "fp8",
    "fp8_fell_back",
    "mma_sync",
    "two",
    "copy",
    "grid_too_large",
)
FAULTS = ("none", "sleeps", "allocates", "killed", "prints", "raises", "bad_kernel", "exits", "empty", "native_noise")


@triton.jit
def product(A, B, C, steps, M: tl.constexpr, N: tl.constexpr, K: tl.constexpr, TRANSPOSED: tl.constexpr):
    """C[M, N] = sum over steps of A[M, K] @ B[N, K]^T, or with TRANSPOSED of A[M, K] @ B[K, N]."""
    m = tl.arange(0, M)
    n = tl.arange(0, N)
    k = tl.arange(0, K)
    acc = tl.zeros([M, N], tl.float32)
    for step in tl.range(0, steps):
        a = tl.load(A + step * M * K + m[:, None] * K + k[None, :])
        if TRANSPOSED:
            b = tl.load(B + step * N * K + k[:, None] * N + n[None, :])
            acc = tl.dot(a, b, acc)
        else:
            b = tl.load(B + step * N * K + n[:, None] * K + k[None, :])
            acc = tl.dot(a, b.T, acc)
    tl.store(C + m[:, None] * N + n[None, :], acc)


@triton.jit
def chained(A, B, C, steps, M: tl.constexpr, N: tl.constexpr, K: tl.constexpr):
    """C[M, K] = sum over steps of bf16(A[M, K] @ B[N, K]^T) @ B[N, K]. With M = 64 and 8 warps Triton lays the first product out
    so that both warpgroups compute all of it."""
    m = tl.arange(0, M)
    n = tl.arange(0, N)
    k = tl.arange(0, K)
    a = tl.load(A + m[:, None] * K + k[None, :])
    acc = tl.zeros([M, K], tl.float32)
    for step in tl.range(0, steps):
        b = tl.load(B + step * N * K + n[:, None] * K + k[None, :])
        acc = tl.dot(tl.dot(a, b.T).to(tl.bfloat16), b, acc)
    tl.store(C + m[:, None] * K + k[None, :], acc)


@triton.jit
def copy(A, C, SIZE: tl.constexpr):
    at = tl.program_id(0) * SIZE + tl.arange(0, SIZE)
    tl.store(C + at, tl.load(A + at))


@triton.jit
def wrong(A, C, SIZE: tl.constexpr):
    tl.store(C + tl.arange(0, SIZE), tl.load(A + tl.arange(0, SIZE + 1)))


def _product(dtype, M, N, K, warps, stages=1, transposed=False, grid=(1,)):
    def tensor(dtype):
        return torch.empty(0, dtype=dtype, device="meta")

    arguments = {"A": tensor(dtype), "B": tensor(dtype), "C": tensor(torch.float32), "steps": 100}
    shape = {"M": M, "N": N, "K": K, "TRANSPOSED": transposed}
    return Launch(product, grid, {**arguments, **shape}, warps, stages)


def _chained(M, N, K, warps):
    bf16, f32 = (torch.empty(0, dtype=dtype, device="meta") for dtype in (torch.bfloat16, torch.float32))
    return Launch(chained, (1,), {"A": bf16, "B": bf16, "C": f32, "steps": 100, "M": M, "N": N, "K": K}, warps, 1)


def _copy(size=1024):
    tensor = torch.empty(0, dtype=torch.float32, device="meta")
    return Launch(copy, (8,), {"A": tensor, "C": tensor, "SIZE": size}, 4, 1)


def _launches(kind):
    bf16, fp8 = torch.bfloat16, torch.float8_e4m3fn
    match kind:
        case "bf16" | "bf16_again":
            return [_product(bf16, 64, 128, 64, 4, stages=2)]
        case "repeated":
            return [_chained(64, 64, 256, 8)]
        case "spilling":
            return [_product(bf16, 128, 256, 64, 4)]
        case "large":
            return [_product(bf16, 128, 256, 128, 8, stages=4)]
        case "fp8":
            return [_product(fp8, 64, 128, 128, 4)]
        case "fp8_fell_back":
            return [_product(fp8, 16, 64, 128, 4)]
        case "mma_sync":
            return [_product(bf16, 16, 64, 64, 4)]
        case "two":
            return [_product(bf16, 64, 128, 64, 4, stages=2), _copy()]
        case "copy":
            return [_copy()]
        case "grid_too_large":
            return [_product(bf16, 64, 128, 64, 4, stages=2, grid=(1, 70000))]


def _fault(fault):
    match fault:
        case "sleeps":
            time.sleep(10_000)
        case "allocates":
            held = []
            while True:
                held.append(torch.ones(2**24))
        case "killed":
            os.kill(os.getpid(), signal.SIGKILL)
        case "prints":
            os.write(1, b"noise\n" * 200_000)
        case "raises":
            raise RuntimeError("the plan is wrong\nand this is its second line")
        case "exits":
            os._exit(3)
        case "bad_kernel":
            tensor = torch.empty(0, dtype=torch.float32, device="meta")
            return [Launch(wrong, (1,), {"A": tensor, "C": tensor, "SIZE": 64}, 4, 1)]
        case "empty":
            return []
        case "native_noise":
            os.write(2, b"a native library's last words\n")
            os.abort()
    return None


def plan(inputs, outputs, config):
    faulty = _fault(config.get("FAULT", "none"))
    return _launches(config.get("KIND", "bf16")) if faulty is None else faulty


def _implementation(name, tunable, default):
    return Implementation(
        op=OP,
        name=name,
        summary="compiles as its config says",
        device_types=("cuda",),
        tunables=(tunable,),
        default_config=lambda axes: {tunable.name: default},
        run=runner(plan),
        unavailable=lambda: "for inspecting only",
        plan=plan,
    )


register(_implementation("kinds", Tunable("KIND", KINDS, "what its machine code shows", recompiles=True), "bf16"))
register(_implementation("faults", Tunable("FAULT", FAULTS, "what goes wrong while it is planned"), "none"))
