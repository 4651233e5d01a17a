"""What an op is: a contract that any number of implementations compute."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import torch

from dsabench.kernels.sizes import format_size as format_size
from dsabench.kernels.sizes import parse_size as parse_size

Axes = Mapping[str, int]
Outputs = tuple[torch.Tensor, ...]

# A name a user typed (op, distribution, axis) that is not known ends as one of these, never as a KeyError.


class UnknownNameError(ValueError):
    """A name that is not in the list of known ones; the message holds the list and the nearest match."""

    def __init__(self, what: str, name: str, known: list[str]) -> None:
        import difflib

        near = difflib.get_close_matches(name, known, n=1)
        hint = f" (did you mean {near[0]!r}?)" if near else ""
        super().__init__(f"unknown {what} {name!r}{hint}; known: {', '.join(known)}")


@dataclass(frozen=True)
class Axis:
    """One integer dimension of an op's workload."""

    name: str
    meaning: str
    minimum: int
    maximum: int
    default: int

    def check(self, value: int) -> None:
        """Raises ValueError when `value` is not an integer in [minimum, maximum]."""
        if isinstance(value, bool) or not isinstance(value, int):
            raise ValueError(f"axis {self.name} must be an integer, got {value!r}")
        if not self.minimum <= value <= self.maximum:
            raise ValueError(f"axis {self.name} = {value} is outside [{self.minimum}, {self.maximum}]")


@dataclass(frozen=True)
class Cost:
    """The work a call cannot avoid (REFERENCE §3): masked or padded entries are not work.

    flops             floating-point operations of the products (multiply and add count separately); 0 for top-k
    compulsory_bytes  every byte that must be read or written at least once; bounded by memory bandwidth
    gather_bytes      bytes when every gathered row counts each time it is read; equals compulsory_bytes without gathers
    product_dtype     the narrowest dtype in which the products may run on hardware that has it; None without products
    """

    flops: int
    compulsory_bytes: int
    gather_bytes: int
    product_dtype: Literal["fp8", "bf16"] | None


@dataclass(frozen=True)
class Check:
    """The verdict of comparing outputs with the reference, row by row.

    passed       every rule held on every checked row
    rows_checked rows compared element by element with the float64 reference
    rows_total   rows of the op's output
    rule         the tolerance in words
    worst        the largest error by measure, e.g. {"row_cosine_difference": 3e-8, "max_abs": 1e-4}; JSON numbers
    reason       "" when passed; else the first broken rule, naming the row, the value and what was expected
    """

    passed: bool
    rows_checked: int
    rows_total: int
    rule: str
    worst: dict[str, float]
    reason: str = ""


@dataclass(frozen=True)
class Op:
    """A computation with a contract. Each op's folder builds one in `contract.py` as `OP`.

    make_inputs(axes, distribution, seed, device) -> a frozen dataclass of tensors and scalars, the op's `Inputs`
    empty_inputs(axes, device)  an `Inputs` of these axes whose tensors hold nothing, to size or compile a call: on the meta
                              device it costs no memory
    validate(inputs)          raises ValueError/TypeError naming the argument, its value and what was expected
    axes_of(inputs)           the axes a given call has, to look it up in the tuned tables
    empty_outputs(inputs)     uninitialised outputs, in the order of `output_names`
    cost(inputs)              see Cost
    row_count(inputs)         rows of the output; each is independent of the others, so a sample of them may be checked
    row_flops(inputs)         about how many float64 FLOPs the reference spends on one row (to size the sample)
    reference(inputs, rows)   float64-accurate outputs of these rows (int64 tensor), first dim = len(rows)
    check(inputs, outputs, rows, expected) -> Check
    """

    name: str
    summary: str
    axes: tuple[Axis, ...]
    distributions: Mapping[str, str]
    output_names: tuple[str, ...]
    make_inputs: Callable[[Axes, str, int, torch.device], Any]
    empty_inputs: Callable[[Axes, torch.device], Any]
    validate: Callable[[Any], None]
    axes_of: Callable[[Any], dict[str, int]]
    empty_outputs: Callable[[Any], Outputs]
    cost: Callable[[Any], Cost]
    row_count: Callable[[Any], int]
    row_flops: Callable[[Any], float]
    reference: Callable[[Any, torch.Tensor], Outputs]
    check: Callable[[Any, Outputs, torch.Tensor, Outputs], Check]
    context_axis: str = "s_kv"

    def axis(self, name: str) -> Axis:
        for axis in self.axes:
            if axis.name == name:
                return axis
        raise UnknownNameError(f"axis of {self.name}", name, [axis.name for axis in self.axes])

    def complete_axes(self, given: Axes) -> dict[str, int]:
        """All axes of the op in their declared order: those given, checked, and the defaults of the rest."""
        for name, value in given.items():
            self.axis(name).check(value)
        return {axis.name: int(given.get(axis.name, axis.default)) for axis in self.axes}

    def check_distribution(self, name: str) -> None:
        if name not in self.distributions:
            raise UnknownNameError(f"distribution of {self.name}", name, list(self.distributions))
