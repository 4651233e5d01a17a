"""A top-k whose configs go wrong on a real GPU in every way a kernel can there. `none` is a right one."""

from __future__ import annotations

import torch
import triton
import triton.language as tl

from dsabench.kernels.implementation import Implementation, Tunable
from dsabench.kernels.registry import get_op, register

OP = "topk_select"
FAULTS = ("none", "illegal", "hangs", "memory", "refused")
FAR = 1 << 40


@triton.jit
def write_far(Out, offset):
    """One store `offset` elements past the tensor."""
    tl.store(Out + offset, 1)


@triton.jit
def wait_for_ever(Out):
    """Returns when Out[0] is 7, which nobody writes."""
    while tl.load(Out, volatile=True) != 7:
        pass


@triton.jit
def too_large(A, C, M: tl.constexpr, K: tl.constexpr):
    """A product whose operands want more shared memory than a block can have."""
    m, k = tl.arange(0, M), tl.arange(0, K)
    a = tl.load(A + m[:, None] * K + k[None, :])
    tl.store(C + m[:, None] * M + m[None, :], tl.dot(a, a.T))


def run(inputs, outputs, config) -> None:
    fault = config["FAULT"]
    device = inputs.logits.device
    if fault == "illegal":
        write_far[(1,)](outputs[0], FAR)
    if fault == "hangs":
        wait_for_ever[(1,)](torch.zeros(1, dtype=torch.int32, device=device))
    if fault == "memory":
        torch.empty(1 << 46, dtype=torch.uint8, device=device)
    if fault == "refused":
        a = torch.zeros((256, 1024), dtype=torch.bfloat16, device=device)
        too_large[(1,)](a, torch.zeros((256, 256), device=device), M=256, K=1024)
    rows = torch.arange(get_op(OP).row_count(inputs))
    outputs[0].copy_(get_op(OP).reference(inputs, rows)[0])


register(
    Implementation(
        op=OP,
        name="faulty_gpu",
        summary="goes wrong as its config says",
        device_types=("cuda",),
        tunables=(Tunable("FAULT", FAULTS, "what goes wrong"),),
        default_config=lambda axes: {"FAULT": "none"},
        run=run,
    )
)
