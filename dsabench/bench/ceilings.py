"""The machine's measured limits: memory bandwidth and product rates, each the best of what can be run here."""

from __future__ import annotations

import functools
import importlib
import importlib.util
import statistics
import time
from collections.abc import Callable

import torch

from dsabench.bench.memory import available_bytes
from dsabench.bench.records import Ceilings, Rate

_LEAST_SAMPLES = 4
_MATMUL_SIZE = 2048
"""Square products of this size ran within 5 % of the fastest of 1024 … 3072 in both dtypes, in 50–100 ms each."""
_REGISTER_RATES = "dsabench.kernels.cpu.rates"


def measure_ceilings(seconds: float, last_level_cache_bytes: int) -> Ceilings:
    """Measures `copy` and `read` bandwidth over arrays of four times the last-level cache, and `f32` and `bf16` product
    rates, about `seconds` each. A ceiling is the best sample: what the machine can do, not what it usually does."""
    return Ceilings(bandwidth=_bandwidth(seconds, last_level_cache_bytes), product=_products(seconds))


def best_ceilings(one: Ceilings, other: Ceilings) -> Ceilings:
    """The higher of two measurements of each ceiling."""

    def best(left: dict[str, Rate], right: dict[str, Rate]) -> dict[str, Rate]:
        both = [*left.items(), *right.items()]
        return {name: max((r for n, r in both if n == name), key=lambda r: r.value) for name, _ in both}

    return Ceilings(
        bandwidth=best(one.bandwidth, other.bandwidth),
        product=best(one.product, other.product),
        gather=best(one.gather, other.gather),
        vendor=one.vendor,
    )


def _bandwidth(seconds: float, last_level_cache_bytes: int) -> dict[str, Rate]:
    # Two arrays; never more than a quarter of what is free.
    size = min(4 * last_level_cache_bytes, available_bytes() // 8)
    source = torch.ones(size // 4, dtype=torch.float32)
    target = torch.zeros_like(source)  # written once, so that no page fault is timed
    ways = {
        "copy": [("torch copy_, bytes read and written", lambda: _rate(2 * size, lambda: target.copy_(source)))],
        "read": [
            ("torch dot", lambda: _rate(size, lambda: torch.dot(source, source))),
            ("torch max", lambda: _rate(size, lambda: source.max())),
        ],
    }
    note = f"arrays of {size / 2**20:.0f} MiB"
    return {name: _best(each, seconds, note) for name, each in ways.items()}


def _products(seconds: float) -> dict[str, Rate]:
    n = _MATMUL_SIZE
    registers = _register_products()
    rates = {}
    ways: list[tuple[str, Callable[[], float]]]
    for name, dtype in (("f32", torch.float32), ("bf16", torch.bfloat16)):
        left, right = torch.randn(n, n).to(dtype), torch.randn(n, n).to(dtype)
        out = torch.empty(n, n, dtype=dtype)

        matmul = functools.partial(torch.mm, left, right, out=out)
        ways = [(f"torch matmul {n}³", functools.partial(_rate, 2 * n**3, matmul))]
        if name in registers:
            ways.append(("vector products from registers", registers[name]))
        rates[name] = _best(ways, seconds, f"{torch.get_num_threads()} threads")
    return rates


def _register_products() -> dict[str, Callable[[], float]]:
    """Our own rate kernels where this CPU has them: torch's matmul reaches 75–90 % of the vector units."""
    if importlib.util.find_spec(_REGISTER_RATES) is None:
        return {}
    rates: dict[str, Callable[[], float]] = importlib.import_module(_REGISTER_RATES).product_rates()
    return rates


def _rate(work: float, run: Callable[[], object]) -> float:
    begin = time.perf_counter()
    run()
    return work / (time.perf_counter() - begin)


def _best(ways: list[tuple[str, Callable[[], float]]], seconds: float, note: str) -> Rate:
    """Samples each way for its share of `seconds`, the first sample of each thrown away (compile, page faults)."""
    outcomes = []
    for method, sample in ways:
        sample()
        samples: list[float] = []
        end = time.perf_counter() + seconds / len(ways)
        while len(samples) < _LEAST_SAMPLES or time.perf_counter() < end:
            samples.append(sample())
        outcomes.append(
            Rate(value=max(samples), median=statistics.median(samples), n=len(samples), method=f"{method}, {note}")
        )
    return max(outcomes, key=lambda rate: rate.value)
