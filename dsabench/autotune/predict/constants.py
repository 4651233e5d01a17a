"""What the model cannot know from machine code and ceilings."""

from __future__ import annotations

from dataclasses import dataclass, fields


@dataclass(frozen=True)
class Constants:
    """The shipped values are reasoned, not fitted: no GPU has been measured for them. `refit` fits them to a journal."""

    tensor_efficiency: float = 0.85
    """share of the product ceiling that tensor cores reach while nothing else holds them back"""
    issue_efficiency: float = 0.6
    """instructions a scheduler issues a clock while it has warps that could; 1 is the most"""
    memory_efficiency: float = 0.92
    """share of the memory bandwidth ceiling that a kernel's own access pattern reaches"""
    l2_efficiency: float = 0.95
    """the same of the L2 ceiling"""
    overlap: float = 0.4
    """of one block's products and its other instructions, share of the shorter that runs under the longer; products of one block
    always run under the instructions of another"""
    load_latency_s: float = 0.8e-6
    """seconds from asking for data to having it, memory and L2 under load together"""
    sync_s: float = 20e-9
    """seconds that a barrier, or a wait for copies or products, costs the block that makes it"""
    launch_s: float = 2.5e-6
    """seconds of a launch whose blocks do nothing"""
    search_passes: float = 4.0
    """trips of the main loop in a launch that goes over what the launch before it left, when how much that is lies in the data
    (top-k's search among survivors)"""


BOUNDS = {
    "tensor_efficiency": (0.3, 1.0),
    "issue_efficiency": (0.2, 1.0),
    "memory_efficiency": (0.3, 1.0),
    "l2_efficiency": (0.2, 1.0),
    "overlap": (0.0, 1.0),
    "load_latency_s": (0.1e-6, 4e-6),
    "sync_s": (1e-9, 200e-9),
    "launch_s": (0.2e-6, 20e-6),
    "search_passes": (1.0, 40.0),
}
"""Lowest and highest value that a refit may give; no efficiency exceeds its ceiling, so that no prediction passes the roofline."""

NAMES = tuple(field.name for field in fields(Constants))
SHIPPED = Constants()
