"""A right implementation of top-k with many configs, each of which takes a while: for runs that are interrupted."""

from __future__ import annotations

import time

import torch

from dsabench.kernels.implementation import Implementation, Tunable
from dsabench.kernels.registry import get_op, register

OP = "topk_select"


def run(inputs, outputs, config):
    time.sleep(0.005 + 0.001 * config["DELAY"])
    rows = torch.arange(get_op(OP).row_count(inputs))
    outputs[0].copy_(get_op(OP).reference(inputs, rows)[0])


register(
    Implementation(
        op=OP,
        name="slow",
        summary="sleeps, then does it right",
        device_types=("cpu",),
        tunables=(Tunable("DELAY", tuple(range(8)), "milliseconds more"),),
        default_config=lambda axes: {"DELAY": 0},
        run=run,
    )
)
