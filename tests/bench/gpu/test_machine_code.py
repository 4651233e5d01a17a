"""The kernels that measure, compiled for sm_90a in a process of its own (this one interprets kernels): the loads that were meant,
nothing spilled, a timer that is read in every trip."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

_SCRIPT = """
import json, subprocess, tempfile
import torch, triton
from triton.backends.compiler import GPUTarget
from dsabench.autotune.inspect.disassemble import kernel_code
from dsabench.autotune.inspect.resources import read_resources
from dsabench.autotune.inspect.sass import loops, parse
from dsabench.autotune.inspect.source import source_and_options
from dsabench.autotune.inspect.toolchain import find_toolchain
from dsabench.bench.gpu import ceilings
from dsabench.bench.gpu.spin import spin_launch

def empty(*shape, dtype=torch.int32):
    return torch.empty(shape, dtype=dtype, device="meta")

launches = {}
for words, warps in ceilings._STREAM_TILES:
    launches[f"copy {words}"] = ceilings.copy_launch(empty(2**20), empty(2**20), words, warps)
    launches[f"read {words}"] = ceilings.read_launch(empty(2**20), words, warps)
for row in ceilings.ROW_BYTES:
    for chunks, warps in ceilings._GATHER_TILES:
        launches[f"gather {row} {chunks}"] = ceilings.gather_launch(empty(99, row // 4), empty(2**20), chunks, warps)
launches["spin"] = spin_launch(1e-3, empty(1, dtype=torch.int64))
launches["spin longer"] = spin_launch(0.016, empty(1, dtype=torch.int64))

tools, target, found = find_toolchain(), GPUTarget("cuda", 90, 32), {}
for name, launch in launches.items():
    source, options = source_and_options(launch, target)
    kernel = triton.compile(source, target=target, options=options.__dict__)
    cubin, symbol = kernel.asm["cubin"], kernel.metadata.name
    with tempfile.NamedTemporaryFile() as image:
        image.write(kernel_code(cubin, symbol))
        image.flush()
        sass = subprocess.run([tools.paths["nvdisasm"], "--binary", "SM90a", image.name], capture_output=True, text=True).stdout
    code = parse(sass)
    timer = [int(line.split("*/")[0].strip(" /*"), 16) for line in sass.splitlines() if "SR_GLOBALTIMER" in line]
    found[name] = {
        "loads": [i.opcode for i in code if i.family == "LDG"],
        "stores": [i.opcode for i in code if i.family == "STG"],
        "local_bytes": read_resources(cubin, symbol, tools.paths["cuobjdump"], 60.0).local_bytes,
        "loops": loops(code),
        "timer": timer,
        "key": source.hash(),
    }
print(json.dumps(found))
"""


@pytest.fixture(scope="module")
def compiled() -> dict[str, dict]:
    environment = {name: value for name, value in os.environ.items() if name != "TRITON_INTERPRET"}
    done = subprocess.run([sys.executable, "-c", _SCRIPT], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    result: dict[str, dict] = json.loads(done.stdout.splitlines()[-1])
    return result


def test_nothing_spills(compiled):
    assert {name: each["local_bytes"] for name, each in compiled.items()} == dict.fromkeys(compiled, 0)


def test_streams_move_16_bytes_at_a_time(compiled):
    copies = {name: each for name, each in compiled.items() if name.startswith("copy")}
    reads = {name: each for name, each in compiled.items() if name.startswith("read")}
    assert len(copies) == len(reads) == 3
    for each in copies.values():
        assert set(each["loads"]) == {"LDG.E.128"}
        assert set(each["stores"]) == {"STG.E.128"}
    for each in reads.values():
        assert set(each["loads"]) == {"LDG.E.128"}


def test_gathers_load_16_bytes_for_every_row_number(compiled):
    gathers = {name: each for name, each in compiled.items() if name.startswith("gather")}
    assert len(gathers) == 6
    for each in gathers.values():
        assert each["loads"].count("LDG.E.128") == each["loads"].count("LDG.E") >= 4
        assert len(each["loads"]) == 2 * each["loads"].count("LDG.E")


def test_the_spin_reads_the_timer_in_every_trip(compiled):
    ((first, last),) = compiled["spin"]["loops"]
    inside = [at for at in compiled["spin"]["timer"] if first <= at <= last]
    before = [at for at in compiled["spin"]["timer"] if at < first]
    assert len(inside) == len(before) == 1


def test_one_binary_spins_for_every_duration(compiled):
    assert compiled["spin"]["key"] == compiled["spin longer"]["key"]
