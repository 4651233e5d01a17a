"""Tensor-core work per tile of a planned kernel, compiled for sm_90a in a process of its own (this one interprets kernels)."""

from __future__ import annotations

import json
import os
import subprocess
import sys

_SCRIPT = """
import json, re, sys
import torch, triton
from triton.backends.compiler import GPUTarget
from dsabench.autotune.inspect.source import source_and_options
from dsabench.kernels.registry import get_implementation, get_op
op, axes, config = json.loads(sys.argv[1])
op, implementation = get_op(op), get_implementation(op, "triton")
axes = op.complete_axes(axes)
inputs = op.empty_inputs(axes, torch.device("meta"))
full = {**implementation.default_config(axes), **config}
launch = implementation.plan(inputs, op.empty_outputs(inputs), full)[0]
target = GPUTarget("cuda", 90, 32)
source, options = source_and_options(launch, target)
ptx = triton.compile(source, target=target, options=options.__dict__).asm["ptx"]
columns = re.findall(r"wgmma.mma_async\\S*m64n(\\d+)k16", ptx)
print(json.dumps({
    "issued": sum(2 * 64 * int(n) * 16 for n in columns) * launch.num_warps // 4,
    "useful": 2 * full["BLOCK_H"] * full["BLOCK_KV"] * (576 + 512),
    "mma_sync": len(re.findall(r"mma\\.sync", ptx)),
}))
"""


def wgmma_work(op: str, axes: dict[str, int], config: dict[str, object]) -> dict[str, int]:
    """Of the first launch of `config` (over the default): FLOPs its wgmma instructions issue per tile in all warpgroups, the
    FLOPs of QKᵀ and PV of a tile, and the number of mma.sync instructions. The loop over tiles is the only place of both."""
    environment = {name: value for name, value in os.environ.items() if name != "TRITON_INTERPRET"}
    done = subprocess.run(
        [sys.executable, "-c", _SCRIPT, json.dumps([op, axes, config])],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    result: dict[str, int] = json.loads(done.stdout.splitlines()[-1])
    return result
