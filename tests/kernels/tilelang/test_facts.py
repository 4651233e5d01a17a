"""Whether a launch fits its program, told without TileLang."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from dsabench.kernels.tilelang.facts import (
    BufferFacts,
    LaunchMismatchError,
    argument_type,
    check_launch,
    evaluate,
    from_json,
    to_json,
)
from tests.kernels.tilelang.launches import SCALE, scale, scaled


@pytest.mark.parametrize("rows", [1, 64, 65, 1000])
def test_a_launch_that_fits(rows: int) -> None:
    check_launch(scale(rows), SCALE)


def test_a_dimension_that_the_kernel_does_not_read_comes_from_the_shapes() -> None:
    arguments = scaled()
    del arguments["n"]
    check_launch(scale(arguments=arguments), replace(SCALE, parameters=["source", "target", "factor"]))
    with pytest.raises(LaunchMismatchError, match="the launch does not give n"):
        check_launch(scale(arguments=arguments), SCALE)


def test_a_null_pointer_has_no_shape() -> None:
    check_launch(scale(arguments=scaled(target=None)), SCALE)


@pytest.mark.parametrize(
    ("wrong", "why"),
    [
        ({"more": np.int32(1)}, "no parameter more; it has source, target, factor, n"),
        ({"factor": np.float64(1)}, "factor is float32, the launch gives float64"),
        ({"factor": 0.5}, "factor is float32, the launch gives 0.5"),
        ({"n": np.int64(1000)}, "n is int32, the launch gives int64"),
        ({"target": torch.empty(0, dtype=torch.int32, device="meta")}, "target is a tensor of float32, the launch gives int32"),
        ({"target": np.float32(1)}, "target is a tensor of float32, the launch gives float32"),
        ({"target": torch.empty((999, 64), device="meta")}, r"target has shape \(1000, 64\), the launch gives \(999, 64\)"),
        ({"target": torch.empty(64000, device="meta")}, r"target has shape \(1000, 64\), the launch gives \(64000\)"),
        ({"n": np.int32(999)}, r"source has shape \(999, 64\), the launch gives \(1000, 64\)"),
        ({"target": torch.empty((64, 1000), device="meta").T}, r"target has strides \(64, 1\), the launch gives \(1, 1000\)"),
        ({"target": torch.empty(64001, device="meta")[1:].view(1000, 64)}, "target begins 4 bytes into its storage"),
    ],
)  # fmt: skip
def test_arguments_that_do_not_fit(wrong: dict[str, Any], why: str) -> None:
    with pytest.raises(LaunchMismatchError, match=f"^tiny_program.py, scale: {why}"):
        check_launch(scale(arguments=scaled(**wrong)), SCALE)


@pytest.mark.parametrize("name", ["source", "factor"])
def test_an_argument_that_is_not_given(name: str) -> None:
    arguments = scaled()
    del arguments[name]
    with pytest.raises(LaunchMismatchError, match=f"the launch does not give {name}"):
        check_launch(scale(arguments=arguments), SCALE)


@pytest.mark.parametrize("grid", [(15,), (17,), (16, 2), (16, 1, 2), (1, 16)])
def test_another_grid(grid: tuple[int, ...]) -> None:
    with pytest.raises(LaunchMismatchError, match=r"the program launches \(16, 1, 1\) blocks, the plan"):
        check_launch(scale(grid=grid), SCALE)
    check_launch(scale(grid=(16, 1, 1)), SCALE)


def test_a_dimension_that_nothing_tells() -> None:
    hidden = BufferFacts("bfloat16", [["*", "m", 2], 64], [64, 1])
    with pytest.raises(LaunchMismatchError, match="source: neither a tensor's shape nor an argument tells m"):
        check_launch(scale(), replace(SCALE, buffers={**SCALE.buffers, "source": hidden}))


def test_expressions() -> None:
    dimensions = {"n": 7, "m": 3}
    assert evaluate(["-", ["*", "n", 2], ["%", "n", "m"]], dimensions) == 13
    assert evaluate(["min", ["//", "n", "m"], ["max", "n", 9]], dimensions) == 2


def test_facts_come_back_from_json() -> None:
    assert from_json(json.loads(json.dumps(to_json(SCALE)))) == SCALE
    for wrong in (None, {}, {"buffers": {}}, {**to_json(SCALE), "more": 1}):
        with pytest.raises((KeyError, TypeError)):
            from_json(wrong)


def test_types_of_arguments() -> None:
    assert argument_type(torch.empty(1, dtype=torch.float8_e4m3fn, device="meta")) == "*float8_e4m3fn"
    assert argument_type(None) == "*"
    assert argument_type(np.int64(1)) == "int64"
    with pytest.raises(TypeError, match="a tensor, None or a NumPy scalar of the parameter's type, got 3"):
        argument_type(3)  # type: ignore[arg-type]


@pytest.mark.parametrize("grid", [(), (0,), (4, 0), (1, 1, 1, 1)])
def test_a_grid_is_one_to_three_dimensions_of_blocks(grid: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="one to three dimensions"):
        scale(grid=grid)
