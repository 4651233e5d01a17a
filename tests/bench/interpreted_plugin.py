"""A plugin with Triton kernels whose GPU is not here: `ranked` is right, `miscounted` is wrong."""

from __future__ import annotations

import triton
import triton.language as tl

from dsabench.kernels.implementation import Implementation
from dsabench.kernels.registry import register
from dsabench.kernels.triton import runtime
from dsabench.kernels.triton.launch import Launch, runner


@triton.jit
def rank_kernel(logits_ptr, starts_ptr, ends_ptr, out_ptr, row_stride, k, OFF_BY: tl.constexpr, BLOCK: tl.constexpr):
    """One program a row: a column stands where as many columns of the window are better as stand before it."""
    row = tl.program_id(0)
    columns = tl.arange(0, BLOCK)
    inside = (columns >= tl.load(starts_ptr + row)) & (columns < tl.load(ends_ptr + row))
    scores = tl.load(logits_ptr + row * row_stride + columns, mask=inside, other=0.0)
    better = (scores[None, :] > scores[:, None]) | (
        (scores[None, :] == scores[:, None]) & (columns[None, :] < columns[:, None])
    )
    rank = tl.sum((better & inside[None, :]).to(tl.int32), 1)
    kept = inside & (rank < k)
    tl.store(out_ptr + row * k + rank, columns + OFF_BY, mask=kept)


def planned(off_by):
    def plan(inputs, outputs, config):
        outputs[0].fill_(-1)
        rows, columns = inputs.logits.shape
        arguments = {
            "logits_ptr": inputs.logits, "starts_ptr": inputs.starts, "ends_ptr": inputs.ends, "out_ptr": outputs[0],
            "row_stride": inputs.logits.stride(0), "k": inputs.k, "OFF_BY": off_by,
            "BLOCK": triton.next_power_of_2(columns),
        }  # fmt: skip
        return [Launch(rank_kernel, (rows,), arguments, num_warps=4, num_stages=1)]

    return plan


for _name, _off_by in (("ranked", 0), ("miscounted", 1)):
    register(
        Implementation(
            op="topk_select",
            name=_name,
            summary="the rank of every column",
            device_types=runtime.device_types(),
            tunables=(),
            default_config=lambda axes: {},
            run=runner(planned(_off_by)),
            unavailable=runtime.unavailable,
            emulated=runtime.interpreting,
            plan=planned(_off_by),
        )
    )
