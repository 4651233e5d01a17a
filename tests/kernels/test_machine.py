"""What the CPU is said to be."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest

from dsabench.kernels import machine


def test_device_key_is_a_safe_file_name_and_stable() -> None:
    key = machine.cpu_device_key()
    assert re.fullmatch(r"cpu-[a-z0-9_-]+", key)
    assert key == machine.cpu_device_key()
    assert f"-{machine.usable_cpus()}c-" in key


def _isa(**environment: str) -> str:
    import os

    code = "from dsabench.kernels.machine import *; print(','.join(cpu_isa()), cpu_device_key())"
    done = subprocess.run(
        [sys.executable, "-c", code], env={**os.environ, **environment}, capture_output=True, text=True
    )
    return done.stdout + done.stderr


@pytest.mark.parametrize("name", machine.cpu_isa())
def test_an_extension_can_be_hidden(name: str) -> None:
    isa, key = _isa(DSABENCH_HIDE_ISA=name).split()
    assert name not in isa.split(",")
    assert isa.count(",") == len(machine.cpu_isa()) - 2
    if name == "avx512_bf16":
        assert key != machine.cpu_device_key()  # results without it are another device's


def test_all_can_be_hidden() -> None:
    assert _isa(DSABENCH_HIDE_ISA="all").split()[-1].endswith("-portable")


def test_an_unknown_extension_is_an_error() -> None:
    assert "unknown extension 'avx513'" in _isa(DSABENCH_HIDE_ISA="avx513")


def test_numba_cpu_name_decides_what_counts() -> None:
    isa, _ = _isa(NUMBA_CPU_NAME="generic", NUMBA_CPU_FEATURES="+avx2,+fma,-avx512f").split()
    assert isa == "avx2,fma"
