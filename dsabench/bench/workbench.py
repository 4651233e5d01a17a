"""A worker's inputs: built once per workload, copied for rotation, fingerprinted, and checked against the reference."""

from __future__ import annotations

import dataclasses
import gc
import math
import time
from collections import OrderedDict
from typing import Any

import torch

from dsabench.bench.runtime import CopyRoom
from dsabench.kernels.op import Check, Op, Outputs
from dsabench.kernels.registry import get_op
from dsabench.kernels.workload import Workload, sample_rows

POISON = 0x7F


def poison(outputs: Outputs) -> None:
    """Fills every byte with 0x7f: NaN in e4m3, 3.4e38 in f32 and bf16, far outside any window as an index. What a kernel
    leaves unwritten is then wrong, whatever an earlier call left there."""
    for tensor in outputs:
        tensor.view(torch.uint8).fill_(POISON)


def is_poisoned(tensor: torch.Tensor) -> bool:
    """Whether nothing was written to a poisoned tensor that holds anything."""
    return tensor.numel() > 0 and bool((tensor.view(torch.uint8) == POISON).all())


def same_bits(left: Outputs, right: Outputs) -> bool:
    return all(torch.equal(a.view(torch.uint8), b.view(torch.uint8)) for a, b in zip(left, right, strict=True))


def tensors_of(inputs: Any) -> dict[str, torch.Tensor]:
    """The tensor fields of an op's `Inputs`."""
    fields = ((f.name, getattr(inputs, f.name)) for f in dataclasses.fields(inputs))
    return {name: value for name, value in fields if isinstance(value, torch.Tensor)}


def fingerprint(inputs: Any) -> dict[str, int]:
    """A sum over the bits of each input tensor: shows a kernel that writes into its inputs."""
    sums = {}
    for name, tensor in tensors_of(inputs).items():
        flat = tensor.reshape(-1).view(torch.uint8)
        sums[name] = int(flat.view(torch.int64).sum()) if flat.numel() % 8 == 0 else int(flat.sum())
    return sums


def byte_count(inputs: Any) -> int:
    return sum(t.numel() * t.element_size() for t in tensors_of(inputs).values())


@dataclasses.dataclass
class Copy:
    """One set of inputs and the outputs it is run into."""

    inputs: Any
    outputs: Outputs


class Bench:
    """One workload, ready to be run. `copies[0]` holds the inputs everything else is measured against."""

    def __init__(self, workload: Workload, device: torch.device) -> None:
        begin = time.perf_counter()
        self.workload = workload
        self.op: Op = get_op(workload.op)
        inputs = workload.make_inputs(device)
        self.copies = [Copy(inputs, self.op.empty_outputs(inputs))]
        self.cost = self.op.cost(inputs)
        self.input_bytes = byte_count(inputs)
        self.rows_total = self.op.row_count(inputs)
        self.rows = sample_rows(self.rows_total, self.op.row_flops(inputs), workload.seed)
        self.fingerprint = fingerprint(inputs)
        self._expected: Outputs | None = None
        self.build_s = time.perf_counter() - begin

    @property
    def inputs(self) -> Any:
        return self.copies[0].inputs

    def expected(self) -> Outputs:
        """The reference's outputs of the sampled rows. Computed at the first call, which must come after a kernel ran: a
        reference that ran before could leave its results in the memory a kernel's outputs get."""
        if self._expected is None:
            self._expected = self.op.reference(self.inputs, self.rows)
        return self._expected

    def check(self, outputs: Outputs) -> Check:
        return self.op.check(self.inputs, outputs, self.rows, self.expected())

    def changed_input(self, copy: int = 0) -> str:
        """The name of the first input tensor whose bits are no longer those that were built, or ""."""
        now = fingerprint(self.copies[copy].inputs)
        return next((name for name, value in self.fingerprint.items() if now[name] != value), "")

    def rotate(self, room: CopyRoom) -> bool:
        """Makes enough copies that one round through them touches `room.touch_bytes`; False when memory does not allow it:
        then there are a few copies, and the cache is to be flushed before each sample.

        What counts is what a call touches (its compulsory bytes), not what its inputs take: a sparse op reads little of a
        large cache.
        """
        outputs = sum(t.numel() * t.element_size() for t in self.copies[0].outputs)
        each = max(1, self.input_bytes + outputs)
        # One more than fills the cache: the copy in use is warm.
        count = math.ceil(room.touch_bytes / max(1, self.cost.compulsory_bytes)) + 1
        enough = count <= room.most and count * each <= room.room_bytes
        if not enough:
            count = max(1, min(room.few, room.room_bytes // 4 // each))
        while len(self.copies) < count:
            inputs = dataclasses.replace(self.inputs, **{n: t.clone() for n, t in tensors_of(self.inputs).items()})
            self.copies.append(Copy(inputs, self.op.empty_outputs(inputs)))
        return enough

    def drop_copies(self) -> None:
        del self.copies[1:]


class Benches:
    """The workloads built so far, up to `kept_bytes` of inputs, the least recently used given up first: a search that comes
    back to one does not build it again. Only the current one has copies."""

    def __init__(self, device: torch.device, kept_bytes: int) -> None:
        self.device = device
        self.kept_bytes = kept_bytes
        self._kept: OrderedDict[Workload, Bench] = OrderedDict()

    def get(self, workload: Workload) -> Bench:
        bench = self._kept.pop(workload, None)
        for other in self._kept.values():
            other.drop_copies()
        if bench is None:
            while self._kept and sum(b.input_bytes for b in self._kept.values()) > self.kept_bytes:
                self._kept.popitem(last=False)
            bench = Bench(workload, self.device)
            # What is alive now lives long. A collection before each trial would walk all of torch and numba: 0.2 s.
            gc.collect()
            gc.freeze()
        self._kept[workload] = bench
        return bench

    def forget(self, workload: Workload) -> None:
        """After a kernel wrote into the inputs: they are built anew at the next use."""
        self._kept.pop(workload, None)
