"""From a library call to a kernel: checks the arguments, picks implementation and config, allocates, runs."""

from __future__ import annotations

import dataclasses
from typing import Any

import torch

from dsabench.kernels.gpu_key import current_gpu_key
from dsabench.kernels.implementation import Config, ConfigValue, Implementation
from dsabench.kernels.ledger import needs_hardware, verified_on
from dsabench.kernels.machine import cpu_device_key
from dsabench.kernels.op import Axes, Outputs
from dsabench.kernels.registry import get_implementation, get_op, implementation_names
from dsabench.kernels.triton.runtime import INTERPRET_ENV, interpreting
from dsabench.kernels.tuned_table import nearest_config, nearest_entries

PREFERENCE = ("cuda", "triton", "tilelang", "cpu")
"""Order of implementations that no tuned table ranks; `torch`, the baseline, comes after them, and after it what no GPU has run."""


def device_key(device: torch.device) -> str | None:
    """The key under which the tuned tables keep this device; None where no table can know it."""
    if device.type == "cpu":
        return cpu_device_key()
    return current_gpu_key(device) if device.type == "cuda" and torch.cuda.is_available() else None


def choose(op: str, axes: Axes, device: torch.device, impl: str | None, config: Config | None) -> tuple[
    Implementation, dict[str, ConfigValue]
]:  # fmt: skip
    """The implementation and full config for a call.

    Raises ValueError when `impl` is unknown or cannot run on this device, or `config` is outside its space.
    """
    key = device_key(device)
    if impl is None:
        chosen = _default_implementation(op, axes, device, key)
    else:
        chosen = get_implementation(op, impl)
        if device.type not in chosen.device_types:
            raise ValueError(
                f"impl = {impl!r} runs on {' or '.join(chosen.device_types)} tensors, the arguments are on {device.type}"
                + _interpreter_hint(chosen, device)
            )
        reason = chosen.unavailable()
        if reason:
            raise ValueError(f"impl = {impl!r} cannot run here: {reason}")
    if config is not None:
        return chosen, chosen.check_config(config, axes)
    tuned = nearest_config(key, op, chosen.name, axes) if key else None
    # A config tuned at other axes may not be legal at these (a register tile that fewer heads do not fill).
    if tuned is not None and chosen.constraint(tuned, axes) is None:
        return chosen, tuned
    return chosen, chosen.default_config(axes)


def _interpreter_hint(implementation: Implementation, device: torch.device) -> str:
    """What would help a Triton kernel that is on the wrong side of TRITON_INTERPRET, else nothing."""
    if implementation.emulated():
        return f" ({INTERPRET_ENV} is set: unset it to run on a GPU)"
    if implementation.emulated is interpreting and device.type == "cpu":
        return f"; set {INTERPRET_ENV}=1 before Python starts to run it in Triton's interpreter on CPU tensors"
    return ""


def _default_implementation(op: str, axes: Axes, device: torch.device, key: str | None) -> Implementation:
    ranked = list(nearest_entries(key, op, axes)) if key else []
    # torch is a baseline: even where a table knows nothing else, an untuned kernel of ours comes before it.
    names = [n for n in ranked if n != "torch"] + [n for n in PREFERENCE if n not in ranked]
    if ranked[:1] == ["torch"] and len(ranked) > 1:
        names = ["torch", *names]
    known = implementation_names(op)
    unproven = []
    for name in [*names, *(n for n in known if n not in names and n != "torch"), "torch"]:
        if name in known:
            candidate = get_implementation(op, name)
            runs = device.type in candidate.device_types and candidate.unavailable() is None
            if runs and not candidate.emulated():
                if name in ranked or _proven(candidate):  # what a table ranks was timed here, and right before that
                    return candidate
                unproven.append(candidate)
    if unproven:
        return unproven[0]
    raise ValueError(f"no implementation of {op} runs on {device.type} tensors here; known: {', '.join(known)}")


def _proven(implementation: Implementation) -> bool:
    """Whether no GPU is needed to prove it, or one has."""
    return not needs_hardware(implementation) or bool(verified_on(implementation.op, implementation.name))


def call(op: str, inputs: Any, impl: str | None, config: Config | None, outputs: Outputs | None = None) -> Outputs:
    """Validates `inputs` (an op's Inputs), then runs it into `outputs`, new ones by default. Raises ValueError or TypeError before
    any kernel is launched; `outputs` are the caller's to check."""
    contract = get_op(op)
    contract.validate(inputs)
    device = next(
        v.device for f in dataclasses.fields(inputs) if isinstance(v := getattr(inputs, f.name), torch.Tensor)
    )
    implementation, full = choose(op, contract.axes_of(inputs), device, impl, config)
    if outputs is None:
        outputs = contract.empty_outputs(inputs)
    implementation.run(inputs, outputs, full)
    return outputs
