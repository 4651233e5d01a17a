"""The measured limits of the GPU at hand: memory bandwidth, gather of rows from the L2, product rates on random data.

Each ceiling is the best sample of the fastest of several ways to reach it. Imports Triton only when a way is built.
"""

from __future__ import annotations

import functools
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch

from dsabench.bench.gpu.vendor import vendor_figures
from dsabench.bench.records import Ceilings, Rate
from dsabench.bench.timing import Call, Clock, calls_for
from dsabench.kernels.triton.launch import Launch

ROW_BYTES = (656, 1152)
"""A cached token of sparse MLA: e4m3 with its scales and the bf16 rope part, and all of it in bf16."""
PRODUCT_SIZE = 8192
"""2·8192³ FLOP are 1.1 ms at NVIDIA's 989 TFLOP/s: long beside a launch, and 16 waves of 128 × 256 tiles on 132 SMs."""
GATHERED_ROWS = 2**20
"""0.69 and 1.2 GB a call: 0.2 ms at 5 TB/s, long beside a launch."""

_STREAMED_L2S = 16
"""So that what the L2 still holds of the call before is at most a sixteenth of a read, a thirty-second of a copy."""
_SAMPLE_S = 5e-3  # the few microseconds that two events add are under 0.1 % of it
_LEAST_SAMPLES = 4
_MOST_CALLS = 1000
_WORD = 4
_CHUNK = 16
_STREAM_TILES = ((2048, 4), (4096, 4), (8192, 8))
"""(words a tile, warps): 4 or 8 loads of 16 bytes in flight a thread. The fastest counts; which one that is, no GPU said yet."""
_READ_TILES = 4
_GATHER_TILES = ((512, 4), (1024, 4), (2048, 8))
"""(16-byte chunks a tile, warps): 4 or 8 loads in flight a thread."""
_GATHER_LOOP = 8


@dataclass(frozen=True)
class Way:
    """One way to reach a ceiling. work: bytes or FLOP of one call; call(i): queues one, the same whatever `i`."""

    method: str
    work: float
    call: Call


def measure_gpu_ceilings(seconds: float, l2_bytes: int, clock: Clock) -> Ceilings:
    """Measures on the current GPU, about `seconds` each: `copy` and `read` bandwidth over arrays of sixteen times the L2; gathers
    of rows of 656 and 1152 bytes out of half the L2; `bf16` and `fp8` products. NVIDIA's figures, where this chip is known,
    stand beside them. Raises RuntimeError when a ceiling can be measured in no way."""
    gpu = torch.device("cuda")
    size = _STREAMED_L2S * l2_bytes
    measure = functools.partial(best_rate, seconds=seconds, clock=clock)
    return Ceilings(
        # One after another, so that the arrays of one are freed before the next.
        bandwidth={"copy": measure(copy_ways(size, gpu)), "read": measure(read_ways(size, gpu))},
        product={
            "bf16": measure(bf16_ways(PRODUCT_SIZE, gpu)),
            "fp8": measure(fp8_ways(PRODUCT_SIZE, gpu)),
        },
        gather={str(row): measure(gather_ways(row, GATHERED_ROWS, l2_bytes // 2, gpu)) for row in ROW_BYTES},
        vendor=vendor_figures(torch.cuda.get_device_name()),
    )


def best_rate(ways: Sequence[Way], seconds: float, clock: Clock) -> Rate:
    """Samples each way for its share of `seconds`. A way that raises is left out and named in the method: one call that this
    torch or this Triton does not know must not cost the ceiling. Raises RuntimeError when no way is left."""
    rates, failed = [], []
    for way in ways:
        try:
            rates.append(_rate(way, seconds / len(ways), clock))
        except Exception as error:
            reason = next(iter(str(error).splitlines()), "")
            failed.append(f"{way.method}: {type(error).__name__}: {reason}")
    if not rates:
        raise RuntimeError(f"no way to measure this ceiling works: {'; '.join(failed)}")
    best = max(rates, key=lambda rate: rate.value)
    return best.model_copy(update={"method": "; failed: ".join([best.method, *failed])})


def _rate(way: Way, seconds: float, clock: Clock) -> Rate:
    way.call(0)  # compiles and allocates, which a clock that records graphs must not see
    warm_s = min(clock.measure(way.call, [0]) for _ in range(2))
    calls = calls_for(_SAMPLE_S, warm_s, _MOST_CALLS)
    samples: list[float] = []
    spent = 0.0
    while len(samples) < _LEAST_SAMPLES or spent < seconds:
        took = clock.measure(way.call, [0] * calls)
        samples.append(calls * way.work / took)
        spent += took
    method = f"{way.method}; samples of {calls} calls"
    return Rate(value=max(samples), median=statistics.median(samples), n=len(samples), method=method)


def copy_ways(size: int, device: torch.device) -> list[Way]:
    """Bytes read and written by copies of `size` bytes, rounded up to whole tiles."""
    size = _whole(size, _WORD * max(words for words, _ in _STREAM_TILES))
    source = torch.randn(size // _WORD, device=device)
    target = torch.empty_like(source)
    note = f"arrays of {size / 2**20:.0f} MiB of random data, bytes read and written"
    ways = [Way(f"torch copy_, {note}", 2 * size, _calls(lambda: target.copy_(source)))]
    for words, warps in _STREAM_TILES:
        launch = copy_launch(source.view(torch.int32), target.view(torch.int32), words, warps)
        ways.append(Way(f"Triton copy, {words} words a program, {warps} warps, {note}", 2 * size, _calls(launch.run)))
    return ways


def read_ways(size: int, device: torch.device) -> list[Way]:
    """Bytes read by sums over `size` bytes, rounded up to whole tiles."""
    size = _whole(size, read_tile_bytes(max(words for words, _ in _STREAM_TILES)))
    source = torch.randn(size // _WORD, device=device)
    total = torch.empty((), device=device)
    note = f"array of {size / 2**20:.0f} MiB of random data"
    ways = [Way(f"torch sum, {note}", size, _calls(lambda: torch.sum(source, dim=0, out=total)))]
    for words, warps in _STREAM_TILES:
        launch = read_launch(source.view(torch.int32), words, warps)
        method = f"Triton checksum, {_READ_TILES} tiles of {words} words a program, {warps} warps, {note}"
        ways.append(Way(method, size, _calls(launch.run)))
    return ways


def gather_ways(row_bytes: int, rows: int, table_bytes: int, device: torch.device) -> list[Way]:
    """Bytes of `rows` rows of `row_bytes` bytes, drawn at random from a table of at most `table_bytes`. Row numbers (4 bytes a
    row) are not counted, nor that a row of 656 bytes takes 672 in sectors of 32."""
    held = max(1, table_bytes // row_bytes)
    words = row_bytes // _WORD
    table = torch.randint(-(2**31), 2**31, (held, words), dtype=torch.int32, device=device)
    picks = torch.randint(0, held, (rows,), dtype=torch.int32, device=device)
    note = f"{rows} rows of {row_bytes} bytes at random from {held * row_bytes / 2**20:.1f} MiB left in the L2"
    ways = []
    for chunks, warps in _GATHER_TILES:
        launch = gather_launch(table, picks, chunks, warps)
        method = f"Triton gather, {_GATHER_LOOP} tiles of {chunks} × 16 bytes a program, {warps} warps, {note}"
        ways.append(Way(method, rows * row_bytes, _calls(launch.run)))
    return ways


def bf16_ways(n: int, device: torch.device, zeros: bool = False) -> list[Way]:
    """FLOP of a square bf16 product, the right operand in rows and in columns; standard-normal data unless `zeros`."""
    draw = functools.partial(torch.zeros if zeros else torch.randn, n, n, dtype=torch.bfloat16, device=device)
    left, right = draw(), draw()
    out = torch.empty_like(left)
    note = f"{n}³ on {'zeros' if zeros else 'standard-normal data'}"
    return [
        Way(f"torch mm, bf16, {note}", 2.0 * n**3, _calls(lambda: torch.mm(left, right, out=out))),
        Way(
            f"torch mm, bf16, right operand in columns, {note}",
            2.0 * n**3,
            _calls(lambda: torch.mm(left, right.t(), out=out)),
        ),
    ]


def fp8_ways(n: int, device: torch.device) -> list[Way]:
    """FLOP of a square e4m3 product to bf16, accumulated fast and precisely; standard-normal data, scales 1. Only with the left
    operand in rows and the right one in columns does wgmma take e4m3, and torch no other."""
    left, right = (torch.randn(n, n, device=device).to(torch.float8_e4m3fn) for _ in range(2))
    one = torch.ones((), device=device)
    out = torch.empty(n, n, dtype=torch.bfloat16, device=device)

    def way(fast: bool) -> Way:
        product = functools.partial(
            torch._scaled_mm, left, right.t(), one, one, out_dtype=torch.bfloat16, use_fast_accum=fast, out=out
        )
        how = "fast" if fast else "precise"
        method = f"torch scaled_mm, e4m3, {how} accumulation, {n}³ on standard-normal data"
        return Way(method, 2.0 * n**3, _calls(product))

    return [way(fast=True), way(fast=False)]


def read_tile_bytes(words: int) -> int:
    """What one program of `read_launch` reads; it takes whole multiples of this."""
    return _READ_TILES * words * _WORD


def copy_launch(source: torch.Tensor, target: torch.Tensor, words: int, warps: int) -> Launch:
    """int32 [n] → int32 [n], n a multiple of `words`, see triton_ceilings.stream_copy. Raises ValueError when they do not fit."""
    if source.shape != target.shape or source.numel() % words:
        raise ValueError(f"a copy of {source.numel()} to {target.numel()} words does not come in tiles of {words}")
    from dsabench.bench.gpu.triton_ceilings import stream_copy

    arguments = {"source_ptr": source, "target_ptr": target, "BLOCK": words}
    return Launch(stream_copy, (source.numel() // words,), arguments, num_warps=warps, num_stages=1)


def read_launch(source: torch.Tensor, words: int, warps: int) -> Launch:
    """int32 [n] in whole multiples of `read_tile_bytes`, see triton_ceilings.stream_checksum; its argument `sums_ptr` is the
    partial sums. Raises ValueError when n is none."""
    programs, rest = divmod(source.numel(), _READ_TILES * words)
    if rest:
        raise ValueError(f"{source.numel()} words do not come in {_READ_TILES} tiles of {words} a program")
    from dsabench.bench.gpu.triton_ceilings import stream_checksum

    sums = torch.empty(programs, dtype=torch.int64, device=source.device)
    arguments = {"source_ptr": source, "sums_ptr": sums, "BLOCK": words, "TILES": _READ_TILES}
    return Launch(stream_checksum, (programs,), arguments, num_warps=warps, num_stages=1)


def gather_launch(table: torch.Tensor, rows: torch.Tensor, chunks: int, warps: int) -> Launch:
    """table int32 [held, words], rows int32 [n], see triton_ceilings.gather_checksum; its argument `sums_ptr` is the partial
    sums. Raises ValueError when rows or words do not fit the tiles."""
    words = table.shape[1]
    all_chunks = rows.numel() * words * _WORD // _CHUNK
    programs, rest = divmod(all_chunks, _GATHER_LOOP * chunks)
    if words * _WORD % _CHUNK or rest or all_chunks >= 2**31 or table.numel() >= 2**31:
        raise ValueError(
            f"{rows.numel()} rows of {words} words do not come in {_GATHER_LOOP} tiles of {chunks} × 16 bytes"
        )
    from dsabench.bench.gpu.triton_ceilings import gather_checksum

    sums = torch.empty(programs, dtype=torch.int64, device=table.device)
    arguments = {
        "table_ptr": table,
        "rows_ptr": rows,
        "sums_ptr": sums,
        "ROW_WORDS": words,
        "CHUNKS": chunks,
        "TILES": _GATHER_LOOP,
    }
    return Launch(gather_checksum, (programs,), arguments, num_warps=warps, num_stages=1)


def _calls(queue: Callable[[], object]) -> Call:
    def call(copy: int) -> None:
        queue()

    return call


def _whole(size: int, multiple: int) -> int:
    return -(-size // multiple) * multiple
