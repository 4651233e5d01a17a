"""The GPU's parts of `bench.selfcheck`, with the clock and the flush that its trials use."""

from __future__ import annotations

from collections.abc import Callable

import torch

from dsabench.bench.gpu.ceilings import PRODUCT_SIZE, bf16_ways, read_launch, read_tile_bytes
from dsabench.bench.gpu.spin import GpuSpin
from dsabench.bench.selfcheck import MeasuringParts
from dsabench.bench.timing import Call, Clock

_READ_WORDS, _READ_WARPS = 2048, 4
"""32 KiB a program: a quarter of an L2 of 50 MiB makes 400, three for each of 132 SMs."""


def gpu_parts(clock: Clock, flush: Callable[[], None], l2_bytes: int) -> MeasuringParts:
    """Of the current GPU. A read's buffer is rounded down to whole programs."""
    device = torch.device("cuda")
    return MeasuringParts(
        device=torch.cuda.get_device_name(),
        clock=clock,
        flush=flush,
        cache_bytes=l2_bytes,
        spin=GpuSpin(device),
        make_read=lambda size, copies: read_calls(size, copies, device),
        make_product=lambda zeros: bf16_ways(PRODUCT_SIZE, device, zeros)[0].call,
        product=f"torch mm, bf16, {PRODUCT_SIZE}³",
    )


def read_calls(size: int, copies: int, device: torch.device) -> Call:
    """call(i) reads buffer i of `copies`, at most `size` bytes each."""
    words = size // read_tile_bytes(_READ_WORDS) * read_tile_bytes(_READ_WORDS) // 4
    launches = [
        read_launch(torch.ones(words, dtype=torch.int32, device=device), _READ_WORDS, _READ_WARPS)
        for _ in range(copies)
    ]
    return lambda copy: launches[copy].run()
