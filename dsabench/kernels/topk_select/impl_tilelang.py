"""Exact top-k selection in TileLang, written for Hopper: radix select, a block a row or a part of one; `tilelang_program.py` tells
how."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from dsabench.kernels.cuda.source import Argument
from dsabench.kernels.implementation import Config, ConfigValue, Tunable
from dsabench.kernels.op import Axes, Outputs
from dsabench.kernels.tilelang.alignment import aligned
from dsabench.kernels.tilelang.implementation import tilelang_implementation
from dsabench.kernels.tilelang.launch import TileLangLaunch, TileLangSource

if TYPE_CHECKING:
    from dsabench.kernels.topk_select.contract import Inputs

PROGRAM = Path(__file__).with_name("tilelang_program.py")
ROWS = TileLangSource(PROGRAM, "select_rows")
PARTS = TileLangSource(PROGRAM, "select_parts")
MERGE = TileLangSource(PROGRAM, "merge_parts")
PASS_CONFIGS = {"tl.disable_thread_storage_sync": True, "tl.disable_safe_memory_legalize": True}
"""Barriers stand in the program: those that TileLang adds between shared arrays that it cannot tell apart came to two more a step of
most loops. Its checks of indices came to four instructions a score."""
SMS = 132
"""of an H100, H200 and H800 SXM"""
MERGE_THREADS = 1024
"""of the launch that merges parts: few blocks, each alone on its SM"""
MIN_PART = 4096
"""columns below which a part of a row is not worth a block"""
SHORTEST_STEP = 2048
"""columns: of the fewest threads and items"""


def capacity(k: int) -> int:
    """Keys that a block can keep: the k and what shares the first digit's bucket with the k-th (11 bits are a quarter of a binade:
    2,600 of 64K normal scores at k = 2048, 6,500 of 2²⁰). Steps of 4096, so that few machine codes serve all k."""
    return min(12288, 4096 * -(-k // 1024))


def plan(inputs: Inputs, outputs: Outputs, config: Config) -> list[TileLangLaunch]:
    """One launch over rows, or one over parts of rows and one that merges what they selected."""
    rows, width = inputs.logits.shape
    splits, k = int(config["NUM_SPLITS"]), inputs.k
    constants = {
        "THREADS": int(config["THREADS"]),
        "ITEMS": int(config["ITEMS"]),
        "RADIX_BITS": int(config["RADIX_BITS"]),
        "CAPACITY": capacity(k),
        "DETERMINISTIC": inputs.deterministic,
    }
    sizes: dict[str, Argument] = {"rows": np.int32(rows), "k": np.int32(k)}
    windows: dict[str, Argument] = {"starts": aligned(inputs.starts), "ends": aligned(inputs.ends)}
    scores: dict[str, Argument] = {"logits": aligned(inputs.logits), "width": np.int32(width)}
    if splits == 1:
        arguments = sizes | windows | scores | {"out": outputs[0]}
        return [TileLangLaunch(ROWS, (rows,), arguments, constants, pass_configs=PASS_CONFIGS)]
    parts: dict[str, Argument] = {
        "part_keys": torch.empty((rows, splits * k), dtype=torch.uint32, device=inputs.logits.device),
        "part_columns": torch.empty((rows, splits * k), dtype=torch.int32, device=inputs.logits.device),
        "candidates": np.int32(splits * k),
    }
    return [
        TileLangLaunch(
            PARTS,
            (splits, rows),
            sizes | windows | scores | parts,
            constants | {"NUM_SPLITS": splits},
            pass_configs=PASS_CONFIGS,
        ),
        TileLangLaunch(
            MERGE,
            (rows,),
            sizes | windows | parts | {"out": outputs[0]},
            constants | {"THREADS": MERGE_THREADS},
            pass_configs=PASS_CONFIGS,
        ),
    ]


def _shortest_part(k: int) -> int:
    return max(MIN_PART, 2 * k)


def _default_splits(axes: Axes) -> int:
    splits = 1
    while (
        splits < 16 and 4 * splits * axes["rows"] <= 2 * SMS and axes["s_kv"] >= 4 * splits * _shortest_part(axes["k"])
    ):
        splits *= 4
    return splits


def default_config(axes: Axes) -> dict[str, ConfigValue]:
    """Parts until the SMs are full; more threads where a block has an SM to itself."""
    splits = _default_splits(axes)
    threads = 1024 if splits * axes["rows"] <= SMS else 512
    return {"NUM_SPLITS": splits, "THREADS": threads, "ITEMS": 4, "RADIX_BITS": 11}


def constraint(config: Config, axes: Axes) -> str | None:
    splits, step = int(config["NUM_SPLITS"]), int(config["THREADS"]) * int(config["ITEMS"])
    rows, columns, k = axes["rows"], axes["s_kv"], axes["k"]
    if splits > 1 and columns < splits * _shortest_part(k):
        return f"NUM_SPLITS = {splits} leaves parts of {columns // splits} columns, below {_shortest_part(k)}"
    if splits > 1 and splits * rows > 4 * SMS:
        return f"NUM_SPLITS = {splits} of {rows} rows are more blocks than four for each SM"
    if 4 * splits < _default_splits(axes):
        return f"NUM_SPLITS = {splits} leaves most SMs idle"
    if step > max(SHORTEST_STEP, columns // splits) and step > int(default_config(axes)["THREADS"]) * 4:
        return f"THREADS * ITEMS = {step} is more than the {columns // splits} columns of a part"
    return None


IMPLEMENTATION = tilelang_implementation(
    op="topk_select",
    summary="radix select in shared memory, a block a row or a part of one with a merge",
    tunables=(
        Tunable("NUM_SPLITS", (1, 4, 16), "parts of a row, each a block's; more than 1: two launches", recompiles=True),
        Tunable("THREADS", (512, 1024), "threads of a block", recompiles=True),
        Tunable("ITEMS", (4, 8), "scores of a thread in flight", recompiles=True),
        Tunable("RADIX_BITS", (8, 11), "bits of a digit: fewer bins to sum, or fewer passes", recompiles=True),
    ),
    default_config=default_config,
    constraint=constraint,
    plan=plan,
)
