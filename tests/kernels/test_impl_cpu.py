"""Every op's `cpu` implementation against the float64 reference: all distributions, all shapes, all tunables."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator

import pytest
import torch

from dsabench.kernels.registry import get_implementation, get_op, op_names
from dsabench.kernels.workload import Workload
from tests.kernels.cpu_cases import SHAPES, check_cpu, fallback_configs, one_at_a_time
from tests.kernels.running import poisoned_outputs

EVERY_DISTRIBUTION = [(op, name) for op in op_names() for name in get_op(op).distributions]
SEED = 1201


@pytest.fixture(autouse=True)
def two_threads() -> Iterator[None]:
    """Tasks, splits and merges cross threads wherever there is a second CPU."""
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


def test_every_op_has_shapes() -> None:
    assert set(SHAPES) == set(op_names())


@pytest.mark.parametrize(("op", "distribution"), EVERY_DISTRIBUTION)
def test_every_distribution(op: str, distribution: str) -> None:
    ran = 0
    for number, axes in enumerate(SHAPES[op]):
        try:
            Workload.of(op, axes, distribution, SEED).make_inputs()
        except ValueError:
            continue  # a distribution that needs more keys than this shape has
        ran += check_cpu(op, axes, distribution, fallback_configs(op), SEED + number)
    assert ran >= 2


@pytest.mark.parametrize("op", op_names())
def test_every_tunable(op: str) -> None:
    configs = one_at_a_time(op)
    ran = sum(check_cpu(op, axes, "normal", configs, SEED) for axes in SHAPES[op])
    assert ran > len(SHAPES[op]) * 3


@pytest.mark.parametrize("op", op_names())
def test_launches_are_bitwise_equal(op: str) -> None:
    """20 launches, on tasks that threads take as they come free: who computes a tile must not change a bit."""
    contract, implementation = get_op(op), get_implementation(op, "cpu")
    axes = SHAPES[op][0]
    inputs = Workload.of(op, axes, "normal", SEED).make_inputs()
    full = implementation.default_config(contract.axes_of(inputs))
    first = None
    for _ in range(20):
        outputs = poisoned_outputs(contract, inputs)
        implementation.run(inputs, outputs, full)
        raw = [o.view(torch.uint8).clone() for o in outputs]
        if first is None:
            first = raw
        assert all(torch.equal(a, b) for a, b in zip(first, raw, strict=True))


@pytest.mark.parametrize("op", op_names())
def test_inputs_are_left_alone(op: str) -> None:
    inputs = Workload.of(op, SHAPES[op][1], "normal", SEED).make_inputs()
    tensors = [v for v in vars(inputs).values() if isinstance(v, torch.Tensor)]
    before = [t.view(torch.uint8).clone() for t in tensors]
    check_cpu(op, SHAPES[op][1], "normal", [{}], SEED)
    get_implementation(op, "cpu").run(
        inputs,
        get_op(op).empty_outputs(inputs),
        get_implementation(op, "cpu").default_config(get_op(op).axes_of(inputs)),
    )
    assert all(torch.equal(a, t.view(torch.uint8)) for a, t in zip(before, tensors, strict=True))


FORCED = """
import sys
from dsabench.kernels.machine import cpu_isa
from dsabench.kernels.registry import get_implementation, op_names
from tests.kernels.cpu_cases import SHAPES, check_cpu

hidden = sys.argv[1].split(",")
assert not set(hidden) & set(cpu_isa()) and (hidden != ["all"] or cpu_isa() == ()), cpu_isa()
for op in op_names():
    axes = SHAPES[op][0]
    implementation = get_implementation(op, "cpu")
    print(op, implementation.describe(implementation.default_config({**axes, "b": 1, "s_q": 1})))
    for axes in SHAPES[op]:
        assert check_cpu(op, axes, "normal", [{}], 7) == 1
"""


@pytest.mark.parametrize(
    ("hidden", "numba_cpu", "expected"),
    [
        ("avx512_bf16,avx512_vbmi", "", "f32 fmuladd vectors"),
        # numba compiles for a CPU with nothing but its architecture's baseline: no AVX, no FMA.
        ("all", "generic", "baseline"),
    ],
)
def test_forced_fallback(hidden: str, numba_cpu: str, expected: str) -> None:
    """A CPU without the extensions, for real: other machine code is generated, in a process of its own."""
    environment = {**os.environ, "DSABENCH_HIDE_ISA": hidden}
    if numba_cpu:
        environment |= {"NUMBA_CPU_NAME": numba_cpu, "NUMBA_CPU_FEATURES": ""}
    run = subprocess.run([sys.executable, "-c", FORCED, hidden], env=environment, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr[-2000:]
    mla = next(line for line in run.stdout.splitlines() if line.startswith("sparse_mla_decode"))
    assert expected in mla
    assert "by table" in mla
