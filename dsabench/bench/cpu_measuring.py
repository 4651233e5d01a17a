"""The CPU's parts of `bench.selfcheck`, with the clock and the flush that its trials use."""

from __future__ import annotations

import functools

import numpy as np
import torch

from dsabench.bench.flush import Flush
from dsabench.bench.selfcheck import MeasuringParts
from dsabench.bench.spin import spin
from dsabench.bench.timing import Call, WallClock
from dsabench.kernels.cpu.parallel import parallel_for
from dsabench.kernels.machine import cpu_name, usable_cpus

_PRODUCT_SIZE = 1024
"""2·1024³ FLOP take tens of milliseconds on two cores: the threads' start weighs nothing."""


def cpu_parts(flush: Flush, cache_bytes: int) -> MeasuringParts:
    """flush: the one that trials use; cache_bytes: of the last-level cache."""
    return MeasuringParts(
        device=f"{cpu_name()}, {torch.get_num_threads()} threads",
        clock=WallClock(),
        flush=flush,
        cache_bytes=cache_bytes,
        spin=spin,
        make_read=_read,
        make_product=_product,
        product=f"torch mm, f32, {_PRODUCT_SIZE}³",
    )


def _read(size: int, copies: int) -> Call:
    """By plain threads, as the flush reads: OpenMP's would spin on while the next read is timed."""
    threads = usable_cpus()
    parts = [[np.ones(size // 4 // threads, np.float32) for _ in range(threads)] for _ in range(copies)]

    def call(copy: int) -> None:
        parallel_for(threads, lambda task, slot: parts[copy][task].max(), threads)

    return call


def _product(zeros: bool) -> Call:
    draw = functools.partial(torch.zeros if zeros else torch.randn, _PRODUCT_SIZE, _PRODUCT_SIZE)
    left, right, out = draw(), draw(), draw()

    def call(copy: int) -> None:
        torch.mm(left, right, out=out)

    return call
