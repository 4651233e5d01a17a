"""Dollars per million tokens from seconds of attention, as in the DeepSeek-V3.2 report's figure 3."""

from __future__ import annotations

from dataclasses import dataclass

LAYERS = 61
"""of DeepSeek-V3.2"""
PUBLISHED_CONTEXT = 128 * 1024
PUBLISHED_MACHINE = "H800 at $2 per GPU-hour"


@dataclass(frozen=True)
class PublishedCost:
    """Dollars per million tokens at position 128K, of a whole model as served: another machine, batch and all that is no
    attention, so never comparable with a measurement here."""

    dense: float
    sparse: float


PUBLISHED: dict[str, PublishedCost] = {
    "decode": PublishedCost(dense=2.20, sparse=0.25),
    "prefill": PublishedCost(dense=0.66, sparse=0.19),
}


def usd_per_million(layer_s: float, usd_per_hour: float, other_layer_s: float = 0.0) -> float:
    """`layer_s`: seconds of attention for one token in one layer (a call's time over its tokens); `other_layer_s`: seconds of
    everything else for one token in one layer; `usd_per_hour`: price of the device."""
    return (layer_s + other_layer_s) * LAYERS * usd_per_hour / 3600.0 * 1e6
