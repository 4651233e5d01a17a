"""A plugin whose configs go wrong in every way a kernel can, for real. Each FAULT is one way; `none` is a right kernel."""

from __future__ import annotations

import ctypes
import os
import sys
import time

import torch

from dsabench.kernels.implementation import Implementation, Tunable
from dsabench.kernels.registry import get_op, register

OP = "topk_select"
FAULTS = (
    "none",
    "raises",
    "compile",
    "wrong",
    "unwritten",
    "wrong_later",
    "writes_input",
    "exits",
    "memory",
    "pruned",
    "segfault",
    "aborts",
    "hangs",
)
_calls = {"wrong_later": 0}


class CompilationError(Exception):
    pass


def right(inputs, outputs):
    rows = torch.arange(get_op(OP).row_count(inputs))
    for out, expected in zip(outputs, get_op(OP).reference(inputs, rows), strict=True):
        out.copy_(expected.to(out.dtype))


def run(inputs, outputs, config):
    fault = config["FAULT"]
    if fault == "raises":
        raise RuntimeError("the launch failed\nand this is its second line")
    if fault == "compile":
        raise CompilationError("no such instruction")
    if fault == "unwritten":
        return
    if fault == "exits":
        sys.exit(3)
    if fault == "memory":
        torch.ones(1 << 46, dtype=torch.uint8)
    if fault == "segfault":
        ctypes.string_at(0)
    if fault == "aborts":
        os.abort()
    while fault == "hangs":
        time.sleep(0.1)
    right(inputs, outputs)
    if fault == "wrong":
        outputs[0][0, 0] = outputs[0][0, 1]  # one index twice, one missing
    if fault == "writes_input":
        inputs.logits[0, 0] += 1.0
    if fault == "wrong_later":
        _calls[fault] += 1
        if _calls[fault] > 3:
            outputs[0][-1, -1] = outputs[0][-1, 0]


register(
    Implementation(
        op=OP,
        name="faulty",
        summary="goes wrong as its config says",
        device_types=("cpu",),
        tunables=(Tunable("FAULT", FAULTS, "what goes wrong"),),
        default_config=lambda axes: {"FAULT": "none"},
        run=run,
        constraint=lambda config, axes: "of no use with these axes" if config["FAULT"] == "pruned" else None,
        describe=lambda config: "the reference in disguise",
    )
)
