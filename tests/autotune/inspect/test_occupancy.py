"""Occupancy against NVIDIA's own calculator, and the limits of a launch."""

from __future__ import annotations

import random
import shutil
import subprocess
from importlib.util import find_spec
from pathlib import Path

import pytest

from dsabench.autotune.inspect.arch import get_arch
from dsabench.autotune.inspect.occupancy import occupancy, why_no_launch
from dsabench.kernels.op import UnknownNameError

ARCH = get_arch("sm_90a")
HERE = Path(__file__).parent


def test_equals_nvidias_calculator(tmp_path: Path) -> None:
    compiler = shutil.which("gcc") or shutil.which("cc")
    triton = find_spec("triton")
    if compiler is None or triton is None or not triton.submodule_search_locations:
        pytest.skip("needs a C compiler and the cuda_occupancy.h of Triton's wheel")
    include = Path(triton.submodule_search_locations[0]) / "backends" / "nvidia" / "include"
    program = tmp_path / "reference"
    subprocess.run([compiler, f"-I{include}", "-o", program, HERE / "occupancy_reference.c"], check=True)
    draw = random.Random(0)
    cases = [
        (2 ** draw.randrange(6), draw.randrange(16, 256), draw.choice([0, draw.randrange(240_000)]))
        for _ in range(5000)
    ]
    cases += [
        (w, r, s) for w in (1, 4, 8, 32) for r in (64, 65, 128, 255) for s in (0, 1, 232447, 232448, 232449, 50176)
    ]
    asked = "".join(f"{warps * 32} {registers} {shared}\n" for warps, registers, shared in cases)
    done = subprocess.run([program], input=asked, capture_output=True, text=True, check=True)
    answers = [tuple(map(int, line.split())) for line in done.stdout.splitlines()]
    assert len(answers) == len(cases)
    for case, (status, blocks) in zip(cases, answers, strict=True):
        assert status == 0, case
        assert occupancy(ARCH, *case).blocks == blocks, case


@pytest.mark.parametrize(
    ("warps", "registers", "shared", "blocks", "limit"),
    [
        (1, 16, 0, 32, "blocks"),
        (8, 16, 0, 8, "warps"),
        (8, 96, 8_000, 2, "registers"),
        (4, 96, 49_152, 4, "shared memory"),
        (4, 128, 100_000, 2, "shared memory"),
        (8, 248, 221_440, 1, "shared memory"),
        (8, 256, 0, 0, "registers"),
        (4, 32, 232_449, 0, "shared memory"),
    ],
)
def test_what_limits(warps: int, registers: int, shared: int, blocks: int, limit: str) -> None:
    found = occupancy(ARCH, warps, registers, shared)
    assert (found.blocks, found.warps, found.limited_by) == (blocks, blocks * warps, limit)


@pytest.mark.parametrize(
    ("grid", "warps", "registers", "shared", "why"),
    [
        ((1,), 4, 255, 232_448, ""),
        ((1,), 4, 32, 232_449, "227 KB"),
        ((1,), 64, 16, 0, "2048 threads"),
        ((1,), 32, 128, 0, "65536 registers"),
        ((1, 65_536), 4, 32, 0, "grid dimension y is 65536"),
        ((2**31,), 4, 32, 0, "grid dimension x"),
        ((2**31 - 1, 65_535, 65_535), 4, 32, 0, ""),
        ((0,), 4, 32, 0, "grid dimension x is 0"),
    ],
)
def test_launch_limits(grid: tuple[int, ...], warps: int, registers: int, shared: int, why: str) -> None:
    found = why_no_launch(ARCH, grid, warps, registers, shared)
    assert why in found
    assert bool(found) == bool(why)


def test_unknown_arch() -> None:
    with pytest.raises(UnknownNameError, match=r"unknown arch 'sm_90'.*sm_90a"):
        get_arch("sm_90")
