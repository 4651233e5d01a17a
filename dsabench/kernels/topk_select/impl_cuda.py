"""Exact top-k selection in CUDA C++ for Hopper: radix select, a block or a cluster of blocks a row; `topk_select.cu` tells how."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from dsabench.kernels.cuda.implementation import cuda_implementation
from dsabench.kernels.cuda.source import CudaLaunch, CudaSource
from dsabench.kernels.implementation import Config, ConfigValue, Tunable
from dsabench.kernels.op import Axes, Outputs

if TYPE_CHECKING:
    from dsabench.kernels.topk_select.contract import Inputs

SELECT = CudaSource(Path(__file__).with_name("topk_select.cu"), "select_rows")
FILTER = CudaSource(Path(__file__).with_name("topk_filter.cu"), "filter_parts")
SMS = 132
"""of an H100, H200 and H800 SXM"""
SHARED_LIMIT = 232448
"""bytes of shared memory that a block of sm_90 can have"""
PORTABLE_CLUSTER = 8
"""blocks; 16 fit only where a GPU has that many SMs of a GPC free"""
MIN_PART = 4096
"""columns below which a part of a row is not worth a block"""
PARTS = (1, 32, 128)
PART_WORTH_A_LAUNCH = 1 << 16
"""columns of a block from which more SMs are worth a second launch: 3 clocks for 32 (docs/cuda-kernels.md), 3.5 microseconds"""


def shared_words(threads: int, radix_bits: int) -> int:
    """Words before the survivors: the histogram or two bitmaps of 128 columns a thread; sums of its copies; scans and counters."""
    return max(2048, 8 * threads) + (0 if radix_bits == 11 else 1 << radix_bits) + 32 + 4 + 8


def capacity(k: int, columns: int) -> int:
    """Survivors that a block can keep: a sample's floor leaves 1.1 to 2.5 k (4.3 k of 2²⁰ columns), the first 11 bits k and what
    shares a quarter of a binade with the k-th (5,000 of 2²⁰ normal scores). 12288 let two blocks of 512 threads share an SM."""
    return min(columns, 12288, max(4096, (4 if columns <= 1 << 19 else 6) * k))


def sampled_survivors(samples: int, k: int, columns: int) -> float | None:
    """About how many of `columns` scores reach the floor of a sample; None where the kernel does not sample so short a row."""
    share = k / columns
    if columns < 4 * samples or share >= 1:
        return None
    rank = int(share * samples + 5 * math.sqrt(share * (1 - share) * samples) + 4)
    return rank / samples * columns if 2 * rank <= samples else None


def plan(inputs: Inputs, outputs: Outputs, config: Config) -> list[CudaLaunch]:
    """One launch and no workspace, or with PARTS > 1 one that filters parts of rows and one that selects from them."""
    rows, width = inputs.logits.shape
    threads, blocks, parts = int(config["THREADS"]), int(config["BLOCKS_A_ROW"]), int(config["PARTS"])
    words, room = shared_words(threads, int(config["RADIX_BITS"])), capacity(inputs.k, width)
    constants = {name: int(value) for name, value in config.items()} | {"FIXED_WORDS": words}
    windows = (inputs.logits, inputs.starts, inputs.ends)
    sizes = (np.int32(width), np.int32(inputs.k))
    part_room = min(room, width)
    kept: list[torch.Tensor | None] = [None, None, None]
    launches = []
    if parts > 1:
        device = inputs.logits.device
        kept = [torch.empty((rows * parts, part_room), dtype=torch.int32, device=device) for _ in range(2)]
        kept.append(torch.empty(rows * parts, dtype=torch.int32, device=device))
        launches.append(
            CudaLaunch(
                FILTER,
                grid=(rows * parts,),
                block=(threads,),
                arguments=(*windows, *kept, *sizes, np.int32(part_room), np.int32(room * blocks // 4 * 3)),
                constants=constants | {"BLOCKS_A_ROW": 1},  # one machine code for every cluster that selects
                shared_bytes=4 * words,
            )
        )
    launches.append(
        CudaLaunch(
            SELECT,
            grid=(rows * blocks,),
            block=(threads,),
            arguments=(*windows, outputs[0], *kept, *sizes, np.int32(room), np.int32(part_room)),
            # Survivors are few: one machine code for every ITEMS of the filters.
            constants=constants | {"DETERMINISTIC": int(inputs.deterministic)} | ({"ITEMS": 2} if parts > 1 else {}),
            cluster=blocks if blocks > 1 else None,
            shared_bytes=4 * (words + 2 * room),
        )
    )
    return launches


def _held(config: Config, axes: Axes) -> bool:
    """Whether a block has all of its part in registers, so that it is read once however many passes are made."""
    blocks, threads, items = int(config["BLOCKS_A_ROW"]), int(config["THREADS"]), int(config["ITEMS"])
    return axes["s_kv"] <= 4 * items * threads * blocks


def _default_blocks(axes: Axes) -> int:
    blocks = 1
    while blocks < PORTABLE_CLUSTER and 2 * blocks * axes["rows"] <= SMS and axes["s_kv"] >= 2 * blocks * MIN_PART:
        blocks *= 2
    return blocks


def _default_parts(axes: Axes) -> int:
    """More SMs than a cluster has: where half of them would idle, and a block of the cluster has 3.5 microseconds of instructions."""
    blocks = _default_blocks(axes)
    if 2 * blocks * axes["rows"] > SMS or axes["s_kv"] < blocks * PART_WORTH_A_LAUNCH:
        return 1
    return next((parts for parts in reversed(PARTS) if parts * axes["rows"] <= 2 * SMS), 1)


def default_config(axes: Axes) -> dict[str, ConfigValue]:
    """Blocks until the SMs are full; a sampled floor for what a block cannot hold in registers."""
    blocks, parts = _default_blocks(axes), _default_parts(axes)
    config: dict[str, ConfigValue] = {
        "PARTS": parts,
        "BLOCKS_A_ROW": blocks,
        "THREADS": 1024 if max(blocks, parts) * axes["rows"] <= SMS else 512,
        "ITEMS": 4,
        "RADIX_BITS": 11,
        "SAMPLES": 2048,
    }
    fallbacks: tuple[dict[str, ConfigValue], ...] = ({}, {"PARTS": 1}, {"PARTS": 1, "SAMPLES": 0})
    return next(full for change in fallbacks if constraint(full := {**config, **change}, axes) is None)


def constraint(config: Config, axes: Axes) -> str | None:
    blocks, threads, samples = int(config["BLOCKS_A_ROW"]), int(config["THREADS"]), int(config["SAMPLES"])
    parts, bits = int(config["PARTS"]), int(config["RADIX_BITS"])
    rows, columns, k = axes["rows"], axes["s_kv"], axes["k"]
    shared = 4 * (shared_words(threads, bits) + 2 * capacity(k, columns))
    if shared > SHARED_LIMIT:
        return f"{shared} bytes of shared memory are more than a block's {SHARED_LIMIT}"
    if blocks > 1 and columns < 4 * threads * blocks:
        return f"BLOCKS_A_ROW = {blocks} of {threads} threads are more than a vector of the {columns} columns each"
    if blocks > 1 and blocks * rows > 4 * SMS:
        return f"BLOCKS_A_ROW = {blocks} of {rows} rows are more blocks than four for each SM"
    if bits == 8 and blocks > 1:
        return f"RADIX_BITS = 8 has a digit and a barrier a digit more, and BLOCKS_A_ROW = {blocks} wait at each"
    if parts > 1:
        return _parts_constraint(config, axes)
    if 2 * blocks < _default_blocks(axes):
        return f"BLOCKS_A_ROW = {blocks} leaves most SMs idle"
    if _held(config, axes):
        if samples:
            return f"SAMPLES = {samples} of {columns} columns save nothing: the blocks hold them in registers"
        return None
    if bits == 8:
        return (
            f"RADIX_BITS = 8 goes twice over most of the {columns} columns, which the blocks do not hold in registers"
        )
    return _samples_constraint(config, axes) if samples else None


def _parts_constraint(config: Config, axes: Axes) -> str | None:
    """Of two launches."""
    parts, blocks, bits = int(config["PARTS"]), int(config["BLOCKS_A_ROW"]), int(config["RADIX_BITS"])
    rows, columns = axes["rows"], axes["s_kv"]
    if not int(config["SAMPLES"]):
        return f"PARTS = {parts} without SAMPLES: filters need a floor"
    if bits == 8:
        return "RADIX_BITS = 8 takes a digit more of few survivors"
    if parts * rows > 2 * SMS:
        return f"PARTS = {parts} of {rows} rows are more blocks than two for each SM"
    if parts <= blocks or columns < parts * MIN_PART:
        return f"PARTS = {parts} of {columns} columns are no more than BLOCKS_A_ROW = {blocks}, or less than {MIN_PART} each"
    if blocks not in (1, PORTABLE_CLUSTER):
        return f"BLOCKS_A_ROW = {blocks} lies between the one block and the {PORTABLE_CLUSTER} that are tried after a filter"
    return _samples_constraint(config, axes)


def _samples_constraint(config: Config, axes: Axes) -> str | None:
    samples, blocks, columns, k = int(config["SAMPLES"]), int(config["BLOCKS_A_ROW"]), axes["s_kv"], axes["k"]
    survivors = sampled_survivors(samples, k, columns)
    if survivors is None:
        return f"SAMPLES = {samples} of {columns} columns save nothing at k = {k}"
    if survivors > 0.75 * capacity(k, columns) * blocks:
        return f"SAMPLES = {samples} of {columns} columns let about {survivors:.0f} scores through, too many to keep"
    return None


IMPLEMENTATION = cuda_implementation(
    op="topk_select",
    summary="radix select in shared memory, a block or a cluster a row, with a sampled floor",
    tunables=(
        Tunable("PARTS", PARTS, "blocks that filter one row; more than 1: two launches", recompiles=True),
        Tunable("BLOCKS_A_ROW", (1, 2, 4, 8, 16), "blocks that select from one row, as a cluster", recompiles=True),
        Tunable("THREADS", (512, 1024), "threads of a block", recompiles=True),
        Tunable("ITEMS", (2, 4), "16-byte loads of a thread in flight", recompiles=True),
        Tunable("RADIX_BITS", (8, 11), "bits of a digit; 8: eight copies of the histogram", recompiles=True),
        Tunable("SAMPLES", (0, 2048), "scores sampled for a floor; 0: the first digit sets it", recompiles=True),
    ),
    default_config=default_config,
    constraint=constraint,
    plan=plan,
)
