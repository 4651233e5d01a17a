"""The kernel that maps slots, compiled for sm_90a in a process of its own (this one interprets kernels)."""

from __future__ import annotations

import json
import os
import subprocess
import sys

_SCRIPT = """
import json
import torch, triton
from triton.backends.compiler import GPUTarget
from dsabench.autotune.inspect.resources import read_resources
from dsabench.autotune.inspect.source import source_and_options
from dsabench.autotune.inspect.toolchain import find_toolchain
from dsabench.bench.pipeline.triton_slots import map_launch

def empty(*shape):
    return torch.empty(shape, dtype=torch.int32, device="meta")

tools, target, found = find_toolchain(), GPUTarget("cuda", 90, 32), []
for b, s_q, k in ((1, 1, 2048), (64, 2, 2048), (3, 1, 100)):
    launch = map_launch(empty(b, s_q, k), empty(b, 2048), empty(b, s_q, k))
    source, options = source_and_options(launch, target)
    kernel = triton.compile(source, target=target, options=options.__dict__)
    resources = read_resources(kernel.asm["cubin"], kernel.metadata.name, tools.paths["cuobjdump"], 60.0)
    found.append({"grid": launch.grid, "registers": resources.registers, "local_bytes": resources.local_bytes})
print(json.dumps(found))
"""


def test_it_compiles_without_spills() -> None:
    environment = {name: value for name, value in os.environ.items() if name != "TRITON_INTERPRET"}
    done = subprocess.run([sys.executable, "-c", _SCRIPT], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    found = json.loads(done.stdout.splitlines()[-1])
    assert [each["grid"] for each in found] == [[2, 1], [4, 64], [1, 3]]
    assert [each["local_bytes"] for each in found] == [0, 0, 0]
    assert all(each["registers"] <= 64 for each in found)
