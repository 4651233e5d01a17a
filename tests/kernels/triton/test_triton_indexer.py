"""The order of a product's columns, and what both indexer kernels compile to for sm_90a, with no GPU."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
import torch
import triton
import triton.language as tl

from dsabench.kernels.triton.triton_indexer import column_head, column_query


@triton.jit
def _columns(query_ptr, head_ptr, BLOCK_Q: tl.constexpr, H: tl.constexpr):
    n = tl.arange(0, BLOCK_Q * H)
    tl.store(query_ptr + n, column_query(BLOCK_Q, H))
    tl.store(head_ptr + n, column_head(BLOCK_Q, H))


@pytest.mark.parametrize("h", [8, 16, 32, 64])
@pytest.mark.parametrize("block_q", [1, 2, 4, 8])
def test_columns_hold_every_head_of_every_query_once(block_q, h):
    query, head = torch.empty(block_q * h, dtype=torch.int32), torch.empty(block_q * h, dtype=torch.int32)
    _columns[(1,)](query, head, block_q, h)
    assert sorted(zip(query.tolist(), head.tolist(), strict=True)) == [(i, j) for i in range(block_q) for j in range(h)]
    if block_q >= 4:
        # Four threads share eight columns, two each: of four queries a thread has one, so no sum crosses threads.
        thread = torch.arange(block_q * h) // 2 % 4
        assert torch.equal(query % 4, thread.int())


COMPILE = """
import sys
import torch
import triton
from triton.backends.compiler import GPUTarget
from dsabench.autotune.inspect.source import source_and_options
from dsabench.kernels.registry import get_implementation, get_op

op, implementation = get_op(sys.argv[1]), get_implementation(sys.argv[1], "triton")
for h in (8, 64):
    axes = op.complete_axes({"h": h})
    inputs = op.empty_inputs(axes, torch.device("meta"))
    (launch,) = implementation.plan(inputs, op.empty_outputs(inputs), implementation.default_config(axes))
    target = GPUTarget("cuda", 90, 32)
    source, options = source_and_options(launch, target)
    ptx = triton.compile(source, target=target, options=options.__dict__).asm["ptx"]
    print(ptx.count("wgmma.mma_async"), ptx.count("f32.e4m3.e4m3"), "mma.sync" in ptx)
"""


@pytest.mark.parametrize("op", ["indexer_logits", "paged_indexer_logits"])
def test_defaults_compile_to_fp8_products_of_warpgroups(op):
    """Four wgmma of 32 dims each and nothing else, at the fewest heads too (mma.sync is Triton's silent fallback)."""
    environment = {name: value for name, value in os.environ.items() if name != "TRITON_INTERPRET"}
    run = subprocess.run([sys.executable, "-c", COMPILE, op], env=environment, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr[-2000:]
    assert run.stdout.splitlines() == ["4 4 False"] * 2
