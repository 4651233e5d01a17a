"""A Triton kernel of your own, for the op `paged_indexer_logits`: FP8 scores of every cached token for the queries of a decode step.

    dsabench verify --plugin examples/my_triton_kernel.py --impl mine

The contract, in `dsabench/kernels/paged_indexer_logits/contract.py`: row i·next_n + j of the logits is
k_scale · Σ_h weights · relu(q · k) over the first context_lens[i, j] tokens of sequence i, -inf from there on. README.md beside
this file goes through what can be done with it.
"""

import torch
import triton
import triton.language as tl

import dsabench
from dsabench.kernels.triton.compute_type import COMPUTE
from dsabench.kernels.triton.triton_indexer import operand


@triton.jit
def score(Q, CODES, SCALES, WEIGHTS, LENS, TABLE, OUT, next_n, max_blocks, columns,
          H: tl.constexpr, PAGES: tl.constexpr, CT: tl.constexpr):  # fmt: skip
    # One program: one query, PAGES blocks of 64 tokens. A block holds 64×128 key bytes, then 64 float32 scales.
    row, first = tl.program_id(0).to(tl.int64), tl.program_id(1) * PAGES
    n, d, h = tl.arange(0, 64), tl.arange(0, 128), tl.arange(0, H)
    context = tl.load(LENS + row)
    q = operand(tl.load(Q + (row * H + h)[:, None] * 128 + d), CT)
    weights = tl.load(WEIGHTS + row * H + h)
    for page in range(first, first + PAGES):
        token = page * 64 + n
        seen = token < context
        # Table entries and slots past the context may hold anything: the first are not read, scores of the others dropped.
        block = tl.load(TABLE + row // next_n * max_blocks + page, mask=page * 64 < context, other=0).to(tl.int64)
        k = tl.load(CODES + block * 8448 + n[:, None] * 128 + d, mask=seen[:, None], other=0.0)
        scale = tl.load(SCALES + block * 2112 + 2048 + n, mask=seen, other=0.0)
        heads = tl.maximum(tl.dot(operand(k, CT), q.T), 0.0, propagate_nan=tl.PropagateNan.ALL)
        logits = tl.sum(heads * weights[None, :], 1) * scale
        tl.store(OUT + row * columns + token, tl.where(seen, logits, float("-inf")), mask=token < columns)


@dsabench.triton_implementation(
    "paged_indexer_logits",
    constraint=lambda config, axes: "all in one program" if config["PAGES"] * 64 > max(axes["s_kv"], 64) else None,
    PAGES=(1, 4, 16), NUM_WARPS=(4, 8), NUM_STAGES=(2, 4),
)  # fmt: skip
def mine(inputs, outputs, config):
    """One query and a run of cache blocks a program, nothing shared between the queries of a sequence"""
    (b, next_n, h, _), columns, cache = inputs.q.shape, inputs.max_context_len, inputs.k_cache.view(-1)
    grid = (b * next_n, triton.cdiv(columns, 64 * config["PAGES"]))
    arguments = {
        "Q": inputs.q, "CODES": cache.view(torch.float8_e4m3fn), "SCALES": cache.view(torch.float32),
        "WEIGHTS": inputs.weights, "LENS": inputs.context_lens, "TABLE": inputs.block_table, "OUT": outputs[0],
        "next_n": next_n, "max_blocks": inputs.block_table.shape[1], "columns": columns,
        "H": h, "PAGES": config["PAGES"], "CT": COMPUTE,
    }  # fmt: skip
    return dsabench.Launch(score, grid, arguments, config["NUM_WARPS"], config["NUM_STAGES"])
