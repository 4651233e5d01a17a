"""Our workloads in flashinfer-bench's terms: axes, where each input comes from, and the tensors that must be saved."""

from __future__ import annotations

import json
import uuid
from dataclasses import dataclass
from typing import Any

import torch

from dsabench.bench.records import WorkloadId
from dsabench.kernels.registry import get_op
from dsabench.reports.export.exported import ExportError
from dsabench.reports.export.flashinfer.definitions import OP_TYPE, SPECS, Spec, bindings, definition_name
from dsabench.reports.export.flashinfer.solutions import Shape

_NAMESPACE = uuid.UUID("8f2b4a5e-3c0d-5e4b-9a57-6f1d5a0c7b11")
"""Of the workloads' names: the same workload has the same uuid in every export."""


class UnsupportedError(ValueError):
    """A workload that flashinfer-bench's files cannot hold; the message says why."""


@dataclass(frozen=True)
class TraceWorkload:
    """document: the Workload as a trace holds it; saved: its tensors, for the file at `blob` (relative to the dataset), empty
    where none is needed; shape: see `solutions.Shape`."""

    definition: str
    document: dict[str, Any]
    blob: str
    saved: dict[str, torch.Tensor]
    shape: Shape


def trace_workload(workload: WorkloadId, largest: int) -> TraceWorkload:
    """Builds the workload's inputs again from its seed where some must be saved. largest: bytes of inputs. Raises UnsupportedError
    when they are more, or when the inputs have what the definition has not; ExportError when this dsabench has not the op."""
    try:
        op = get_op(workload.op)
        axes = op.complete_axes(workload.axes)
        op.check_distribution(workload.distribution)
    except ValueError as error:
        raise ExportError(f"a workload of these journals is not known here: {error}") from error
    if workload.op not in SPECS:
        raise UnsupportedError("there is no definition of this op")
    spec = SPECS[workload.op]
    empty = op.empty_inputs(axes, torch.device("meta"))
    size = sum(t.numel() * t.element_size() for t in vars(empty).values() if isinstance(t, torch.Tensor))
    if size > largest:
        raise UnsupportedError(f"its inputs are {size} bytes, more than --largest {largest}")
    saves = any(each.fill == "saved" for each in spec.inputs.values())
    inputs = op.make_inputs(axes, workload.distribution, workload.seed, torch.device("cpu")) if saves else empty
    extra = [name for name, value in vars(inputs).items() if name not in spec.inputs and value is not None]
    if extra:
        raise UnsupportedError(f"the definition has no input {extra[0]}")
    return _assemble(workload, spec, axes, inputs)


def _assemble(workload: WorkloadId, spec: Spec, axes: dict[str, int], inputs: Any) -> TraceWorkload:
    name = definition_name(workload.op, axes)
    identity = json.dumps([name, workload.op, axes, workload.distribution, workload.seed])
    number = str(uuid.uuid5(_NAMESPACE, identity))
    blob = f"blob/workloads/{OP_TYPE}/{name}/{name}_{number}.safetensors"
    variable = {axis: int(getattr(inputs, each).shape[dim]) for axis, (each, dim) in bindings(spec).items()}
    described: dict[str, Any] = {}
    saved: dict[str, torch.Tensor] = {}
    for each, is_from in spec.inputs.items():
        value = getattr(inputs, each)
        if is_from.fill == "scalar":
            described[each] = {"type": "scalar", "value": value}
        elif is_from.fill == "random":
            described[each] = {"type": "random"}
        else:
            described[each] = {"type": "safetensors", "path": blob, "tensor_key": each}
            saved[each] = (value.view(torch.int8) if value.dtype == torch.uint8 else value).contiguous()
    flags = tuple(bool(getattr(inputs, each)) for each, is_from in spec.inputs.items() if is_from.dtype == "bool")
    document = {"axes": variable, "inputs": described, "uuid": number}
    return TraceWorkload(name, document, blob, saved, (*variable.values(), *flags))
