"""Exact top-k selection in Triton, written for Hopper; the kernels are in `triton_kernels`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from dsabench.kernels.implementation import Config, ConfigValue, Tunable
from dsabench.kernels.op import Axes, Outputs
from dsabench.kernels.triton.implementation import triton_implementation
from dsabench.kernels.triton.launch import Launch

if TYPE_CHECKING:
    from dsabench.kernels.topk_select.contract import Inputs

SMS = 132
"""of an H100, H200 and H800 SXM"""
WARPS_PER_SM = 16
"""that the one-launch kernel fits: it takes 128 registers a thread"""
LIST_WIDTH = 128
"""columns of a list in one step of the filter: CHUNKS of each lane"""
CHUNKS = 4
SELECT_BLOCK = 8192
"""scores a step in the launch that selects from the survivors of all parts"""
SELECT_WARPS = 16
"""of that launch: few programs, each alone on its SM"""
MAX_LISTS = SELECT_BLOCK // (4 * CHUNKS)
"""that leave 4 lanes a list in that launch"""
MIN_PART = 4096
"""columns below which a part of a row is not worth a program"""


def plan(inputs: Inputs, outputs: Outputs, config: Config) -> list[Launch]:
    """One launch over all rows, or with PARTS > 1 one that filters parts of rows and one that selects from them."""
    from dsabench.kernels.topk_select import triton_kernels

    rows, width = inputs.logits.shape
    device = inputs.logits.device
    parts, warps, block = int(config["PARTS"]), int(config["NUM_WARPS"]), int(config["BLOCK"])
    lists = block // LIST_WIDTH
    programs = min(rows, SMS * WARPS_PER_SM // warps) if parts == 1 else rows
    pitch = -(-width // 16) * 16
    tile = {"LISTS": lists, "LANES": LIST_WIDTH // CHUNKS}
    common = {
        "logits": inputs.logits,
        "starts": inputs.starts,
        "ends": inputs.ends,
        "kept_scores": torch.empty((programs, pitch), dtype=torch.float32, device=device),
        "kept_columns": torch.empty((programs, pitch), dtype=torch.int32, device=device),
        "kept_counts": torch.empty((programs, parts * lists), dtype=torch.int32, device=device),
        "width": width,
        "pitch": pitch,
        "k": inputs.k,
        # Two steps: shorter windows are searched as fast as they are filtered.
        "DIRECT": max(2 * (block if parts == 1 else SELECT_BLOCK), 2 * int(config["SAMPLES"])),
        "SAMPLES": config["SAMPLES"],
    }
    if parts == 1:
        return [
            Launch(triton_kernels.select_rows, (programs,), common | tile | {"out": outputs[0], "rows": rows}, warps, 1)
        ]
    common |= {"keys": torch.empty((rows, 2), dtype=torch.int64, device=device)}
    all_lists = parts * lists
    lanes = min(LIST_WIDTH, SELECT_BLOCK // all_lists) // CHUNKS
    select = common | {"out": outputs[0], "LISTS": all_lists, "LANES": lanes}
    return [
        Launch(triton_kernels.filter_parts, (rows * parts,), common | tile | {"PARTS": parts}, warps, 1),
        Launch(triton_kernels.select_filtered, (rows,), select, SELECT_WARPS, 1),
    ]


def _default_parts(axes: Axes) -> int:
    parts = 1
    while parts < 32 and 2 * parts * axes["rows"] <= SMS and axes["s_kv"] >= 2 * parts * MIN_PART:
        parts *= 2
    return parts


def default_config(axes: Axes) -> dict[str, ConfigValue]:
    """Parts until programs fill the SMs; one program a row has the larger step where it has an SM to itself."""
    parts = _default_parts(axes)
    if parts > 1:
        return {"PARTS": parts, "BLOCK": 2048, "NUM_WARPS": 8, "SAMPLES": 1024}
    if axes["rows"] <= SMS:
        return {"PARTS": 1, "BLOCK": 8192, "NUM_WARPS": 16, "SAMPLES": 1024}
    return {"PARTS": 1, "BLOCK": 4096, "NUM_WARPS": 8, "SAMPLES": 1024}


def constraint(config: Config, axes: Axes) -> str | None:
    parts, block, warps = int(config["PARTS"]), int(config["BLOCK"]), int(config["NUM_WARPS"])
    if not 8 <= block // (32 * warps) <= 16:
        return f"BLOCK = {block} gives each of {warps} warps {block // (32 * warps)} scores a lane, outside [8, 16]"
    if parts > 1:
        if parts * block > MAX_LISTS * LIST_WIDTH:
            return f"PARTS * BLOCK = {parts * block} is more than the {MAX_LISTS * LIST_WIDTH} that one program can select from"
        if axes["s_kv"] < parts * block:
            return f"PARTS * BLOCK = {parts * block} is more than the {axes['s_kv']} columns"
        if parts * axes["rows"] > 2 * SMS:
            return f"PARTS = {parts} of {axes['rows']} rows are more programs than two for each SM"
        if 4 * parts < _default_parts(axes):
            return f"PARTS = {parts} leaves most SMs idle"
    return None


IMPLEMENTATION = triton_implementation(
    op="topk_select",
    summary="sampled threshold, one filtering pass, search among the survivors",
    tunables=(
        Tunable(
            "PARTS", (1, 2, 4, 8, 16, 32), "programs that filter one row; more than 1: two launches", recompiles=True
        ),
        Tunable("BLOCK", (2048, 4096, 8192), "scores a program filters in one step", recompiles=True),
        Tunable("NUM_WARPS", (4, 8, 16), "warps of a program that filters", recompiles=True),
        Tunable("SAMPLES", (1024, 2048), "scores of a window sampled to place its threshold", recompiles=True),
    ),
    default_config=default_config,
    constraint=constraint,
    plan=plan,
)
