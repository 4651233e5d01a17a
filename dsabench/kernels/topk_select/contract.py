"""The contract of `topk_select` (REFERENCE §2): axes, inputs, argument checks."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from dsabench.kernels.arguments import check_integer, check_same_device, check_size, check_tensor
from dsabench.kernels.indexer_logits.contract import check_values_in
from dsabench.kernels.op import Axes, Axis, Op, Outputs
from dsabench.kernels.topk_select.check import check
from dsabench.kernels.topk_select.cost import cost
from dsabench.kernels.topk_select.distributions import DISTRIBUTIONS, draw
from dsabench.kernels.topk_select.reference import reference, row_flops

MAX_ROWS = 1 << 20
MAX_COLUMNS = 1 << 20
MAX_K = 4096


@dataclass(frozen=True, eq=False)
class Inputs:
    """indices[r] are the columns of the k highest of logits[r, starts[r]:ends[r]], -1 padded at the end of the row when
    the window holds fewer than k.

    logits         float32 [rows, L], L up to 2²⁰; NaN ranks below -inf, +0 equals -0; outside its window anything
    starts, ends   int32 [rows], half-open windows in [0, L]; starts >= ends is an empty window
    k              1 to 4096
    deterministic  False: any of several equal scores may be taken, in any order.
                   True: the lowest column of equal scores first, columns returned ascending
    """

    logits: torch.Tensor
    starts: torch.Tensor
    ends: torch.Tensor
    k: int
    deterministic: bool


def make_inputs(axes: Axes, distribution: str, seed: int, device: torch.device) -> Inputs:
    generator = torch.Generator().manual_seed(seed)
    logits, starts, ends = draw(distribution, axes["rows"], axes["s_kv"], axes["k"], generator)
    return Inputs(logits.to(device), starts.to(device), ends.to(device), axes["k"], bool(axes["deterministic"]))


def empty_inputs(axes: Axes, device: torch.device) -> Inputs:
    """An `Inputs` of these axes with uninitialised tensors."""
    rows = axes["rows"]
    return Inputs(
        torch.empty((rows, axes["s_kv"]), dtype=torch.float32, device=device),
        torch.empty(rows, dtype=torch.int32, device=device),
        torch.empty(rows, dtype=torch.int32, device=device),
        axes["k"],
        bool(axes["deterministic"]),
    )


def validate(inputs: Inputs) -> None:
    sizes: dict[str, int] = {}
    check_tensor("logits", inputs.logits, torch.float32, ("rows", "L"), sizes)
    check_tensor("starts", inputs.starts, torch.int32, ("rows",), sizes)
    check_tensor("ends", inputs.ends, torch.int32, ("rows",), sizes)
    check_same_device(logits=inputs.logits, starts=inputs.starts, ends=inputs.ends)
    check_size("logits: rows (dim 0)", sizes["rows"], 1, MAX_ROWS)
    check_size("logits: L (dim 1)", sizes["L"], 1, MAX_COLUMNS)
    check_integer("k", inputs.k, 1, MAX_K)
    if not isinstance(inputs.deterministic, bool):
        raise TypeError(f"deterministic must be a bool, got {type(inputs.deterministic).__name__}")
    check_values_in("starts", inputs.starts, 0, sizes["L"])
    check_values_in("ends", inputs.ends, 0, sizes["L"])


def axes_of(inputs: Inputs) -> dict[str, int]:
    rows, columns = inputs.logits.shape
    return {"rows": rows, "s_kv": columns, "k": inputs.k, "deterministic": int(inputs.deterministic)}


def empty_outputs(inputs: Inputs) -> Outputs:
    shape = (inputs.logits.shape[0], inputs.k)
    return (torch.empty(shape, dtype=torch.int32, device=inputs.logits.device),)


OP = Op(
    name="topk_select",
    summary="the exact selection of each row's k highest scores inside its window",
    axes=(
        Axis("rows", "rows of scores (queries)", 1, MAX_ROWS, 64),
        Axis("s_kv", "columns of a row (keys)", 1, MAX_COLUMNS, 65536),
        Axis("k", "scores to select", 1, MAX_K, 2048),
        Axis("deterministic", "1: lowest column first among equals, ascending columns", 0, 1, 0),
    ),
    distributions=DISTRIBUTIONS,
    output_names=("indices",),
    make_inputs=make_inputs,
    empty_inputs=empty_inputs,
    validate=validate,
    axes_of=axes_of,
    empty_outputs=empty_outputs,
    cost=cost,
    row_count=lambda inputs: inputs.logits.shape[0],
    row_flops=row_flops,
    reference=reference,
    check=check,
)
