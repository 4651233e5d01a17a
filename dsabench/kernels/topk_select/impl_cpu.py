"""Exact top-k selection on the CPU: sampled threshold, one compressing pass, radix select on the survivors.

Contract: REFERENCE §2, `top-k selection`; always in its deterministic form (it costs nothing here).

1. A sorted sample of the window gives a threshold that at least k values exceed with near certainty (rank + 4σ).
2. One pass keeps the columns at or above it, in order. Fewer than k survivors: the pass is repeated without a threshold.
3. Radix select (11 + 11 + 10 bits of the order-preserving integer) finds the k-th largest survivor exactly.
4. A last pass over the survivors takes what is above it and the first of what equals it: ascending columns, lowest first.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from dsabench.kernels.cpu import products
from dsabench.kernels.cpu.compress import columns_at_least
from dsabench.kernels.cpu.jit import kernel
from dsabench.kernels.cpu.parallel import parallel_for, thread_count
from dsabench.kernels.implementation import Config, ConfigValue, Implementation, Tunable
from dsabench.kernels.machine import cpu_isa
from dsabench.kernels.op import Axes, Outputs

if TYPE_CHECKING:
    from dsabench.kernels.topk_select.contract import Inputs

SLACK = 64  # columns the compressing pass may write past its last survivor
TASKS_PER_THREAD = 4
_NOTHING = np.float32(-np.inf)


@kernel
def _sampled_threshold(x, start, end, k, samples):
    """A value that at least k entries of the window should reach; -inf when the sample cannot tell."""
    n = end - start
    count = samples.size
    if n < 4 * count:
        return _NOTHING
    share = k / n
    rank = int(share * count + 4.0 * np.sqrt(share * count * (1.0 - share) + 1.0) + 4.0)
    if rank >= count:
        return _NOTHING
    stride = n // count
    for i in range(count):
        value = x[start + i * stride]
        samples[i] = _NOTHING if np.isnan(value) else value
    samples.sort()
    return samples[count - 1 - rank]


@kernel
def _ordered(bits):
    """The bits of a float32 as a uint32 in the same order; -0 becomes +0."""
    bits = np.uint32(0) if bits == np.uint32(0x80000000) else bits
    return ~bits if bits & np.uint32(0x80000000) else bits | np.uint32(0x80000000)


@kernel
def _kth_largest(keys, n, k, candidates, histogram):
    """(the k-th largest of keys[:n], how many are larger). k in [1, n]; candidates: scratch for n keys."""
    for i in range(n):
        candidates[i] = keys[i]
    larger = 0
    left = n
    threshold = np.uint32(0)
    for shift, width in ((21, 11), (10, 11), (0, 10)):
        digits = np.uint32((1 << width) - 1)
        histogram[:] = 0
        for i in range(left):
            histogram[(candidates[i] >> np.uint32(shift)) & digits] += 1
        digit = (1 << width) - 1
        while larger + histogram[digit] < k:
            larger += histogram[digit]
            digit -= 1
        threshold |= np.uint32(digit) << np.uint32(shift)
        kept = 0
        for i in range(left):
            key = candidates[i]
            candidates[kept] = key
            kept += ((key >> np.uint32(shift)) & digits) == np.uint32(digit)
        left = kept
    return threshold, larger


@kernel
def _take(x, bits, start, end, k, columns, survivors, keys, candidates, histogram, out):
    """Writes the top k of the surviving columns to out, ascending; survivors < k only when NaN fill the rest."""
    if survivors < k:
        missing = k - survivors  # NaN rank below everything else: the lowest columns of them make up the number
        taken = 0
        for column in range(start, end):
            nan = np.isnan(x[column])
            if not nan or missing > 0:
                out[taken] = column
                taken += 1
                missing -= nan
        return
    for i in range(survivors):
        keys[i] = _ordered(bits[columns[i]])
    threshold, larger = _kth_largest(keys, survivors, k, candidates, histogram)
    equal = k - larger
    taken = 0
    for i in range(survivors):
        if keys[i] > threshold:
            out[taken] = columns[i]
            taken += 1
        elif keys[i] == threshold and equal > 0:
            out[taken] = columns[i]
            taken += 1
            equal -= 1


@kernel
def _short_window(start, end, out):
    """A window of at most k columns is returned whole, padded with -1."""
    for i in range(out.size):
        out[i] = start + i if start + i < end else -1


@kernel
def _select_rows(x, bits, starts, ends, first, last, out, samples, columns, keys, candidates, histogram, vector):
    """Rows [first, last), each by one thread."""
    k = out.shape[1]
    for row in range(first, last):
        start, end = np.int64(starts[row]), np.int64(ends[row])
        if end - start <= k:
            _short_window(start, end, out[row])
            continue
        threshold = _sampled_threshold(x[row], start, end, k, samples)
        survivors = columns_at_least(x[row], start, end, threshold, columns, vector)
        if survivors < k and threshold > _NOTHING:
            survivors = columns_at_least(x[row], start, end, _NOTHING, columns, vector)
        _take(x[row], bits[row], start, end, k, columns, survivors, keys, candidates, histogram, out[row])


@kernel
def _scan_part(x, start, end, threshold, columns, vector):
    return columns_at_least(x, start, end, threshold, columns, vector)


@kernel
def _join_parts(columns, offsets, counts):
    """Moves the parts' survivors together, in order; returns their number."""
    total = counts[0]
    for part in range(1, counts.size):
        for i in range(counts[part]):
            columns[total + i] = columns[offsets[part] + i]
        total += counts[part]
    return total


@dataclass(frozen=True)
class _Scratch:
    """What one thread needs for rows of up to `columns` scores."""

    samples: np.ndarray
    columns: np.ndarray
    keys: np.ndarray
    candidates: np.ndarray
    histogram: np.ndarray


def _make_scratch(columns: int, samples: int, parts: int) -> _Scratch:
    return _Scratch(
        np.empty(samples, np.float32),
        np.empty(columns + SLACK * parts, np.int32),
        np.empty(columns, np.uint32),
        np.empty(columns, np.uint32),
        np.empty(1 << 11, np.int32),
    )


def run(inputs: Inputs, outputs: Outputs, config: Config) -> None:
    """Computes into outputs = (indices int32 [rows, k],). `config` is a full config of this implementation."""
    x, starts, ends, out = (t.numpy() for t in (inputs.logits, inputs.starts, inputs.ends, outputs[0]))
    bits = x.view(np.uint32)
    rows, width = x.shape
    samples, parts = int(config["SAMPLES"]), int(config["PARTS"])
    vector = 1 if config["SCAN"] == "vpcompress" else None
    threads = thread_count()
    if parts > 1:
        scratch = _make_scratch(width, samples, parts)
        for row in range(rows):
            _select_row_in_parts(x, bits, row, int(starts[row]), int(ends[row]), out, scratch, parts, vector, threads)
        return
    tasks = min(rows, threads * TASKS_PER_THREAD)
    scratches = [_make_scratch(width, samples, 1) for _ in range(min(threads, tasks))]

    def task(number: int, slot: int) -> None:
        s = scratches[slot]
        first, last = rows * number // tasks, rows * (number + 1) // tasks
        _select_rows(
            x, bits, starts, ends, first, last, out, s.samples, s.columns, s.keys, s.candidates, s.histogram, vector
        )

    parallel_for(tasks, task, threads)


def _select_row_in_parts(
    x: np.ndarray,
    bits: np.ndarray,
    row: int,
    start: int,
    end: int,
    out: np.ndarray,
    scratch: _Scratch,
    parts: int,
    vector: int | None,
    threads: int,
) -> None:
    """One row with its pass cut into `parts` that threads share; sample and selection stay on the calling thread."""
    k = out.shape[1]
    if end - start <= k:
        _short_window(start, end, out[row])
        return
    bounds = [start + (end - start) * part // parts for part in range(parts + 1)]
    offsets = np.array([bound - start + SLACK * part for part, bound in enumerate(bounds[:-1])])
    counts = np.zeros(parts, np.int64)

    def scan(threshold: np.float32) -> int:
        def part(number: int, slot: int) -> None:
            target = scratch.columns[offsets[number] :]
            counts[number] = _scan_part(x[row], bounds[number], bounds[number + 1], threshold, target, vector)

        parallel_for(parts, part, threads)
        return int(counts.sum())

    threshold = _sampled_threshold(x[row], start, end, k, scratch.samples)
    if scan(threshold) < k and threshold > _NOTHING:
        scan(_NOTHING)
    survivors = _join_parts(scratch.columns, offsets, counts)
    _take(
        x[row], bits[row], start, end, k, scratch.columns, survivors,
        scratch.keys, scratch.candidates, scratch.histogram, out[row],
    )  # fmt: skip


def default_config(axes: Axes) -> dict[str, ConfigValue]:
    return {"SCAN": "vpcompress" if "avx512f" in cpu_isa() else "scalar", "SAMPLES": 256, "PARTS": 1}


def constraint(config: Config, axes: Axes) -> str | None:
    if config["SCAN"] == "vpcompress" and "avx512f" not in cpu_isa():
        return "SCAN=vpcompress needs avx512f, which this CPU does not have"
    if config["PARTS"] != 1 and axes["rows"] >= 4:
        return "PARTS > 1 is for fewer than 4 rows: with more, threads share rows"
    return None


IMPLEMENTATION = Implementation(
    op="topk_select",
    name="cpu",
    summary="numba: sampled threshold, one compressing pass, exact radix select on the survivors",
    device_types=("cpu",),
    tunables=(
        Tunable(
            "SCAN",
            ("vpcompress", "scalar"),
            "the pass over the row: AVX-512 compress, or branch-free scalar code (any CPU)",
            recompiles=True,
        ),
        Tunable("SAMPLES", (128, 256, 1024), "scores sorted to estimate the threshold"),
        Tunable("PARTS", (1, 2, 4), "parts of one row that threads scan side by side"),
    ),
    default_config=default_config,
    run=run,
    constraint=constraint,
    unavailable=products.unavailable,
    describe=lambda config: (
        f"numba, {'AVX-512 vpcompressd' if config['SCAN'] == 'vpcompress' else 'branch-free scalar'} scan"
    ),
)
