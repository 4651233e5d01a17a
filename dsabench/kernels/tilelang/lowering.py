"""A TileLang program to CUDA C++ and what launching it takes. TileLang is imported when something is lowered
(2 to 5 s), never by importing this.

`tilelang.lower` without device compilation starts no compiler; TileLang's own caches and launchers are not used.
"""

from __future__ import annotations

import contextlib
import functools
import importlib.util
import logging
import os
import re
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from dsabench.kernels.cuda.compile import ARCH
from dsabench.kernels.tilelang.facts import BufferFacts, Expression, KernelFacts
from dsabench.kernels.tilelang.launch import Constant, TileLangSource
from dsabench.kernels.user_cache import user_cache_root

_CACHE_ENV = "TILELANG_CACHE_DIR"
_UNSUPPORTED = {
    "use_cooperative_groups": "a cooperative launch",
    "has_cuda_pdl_sync": "programmatic dependent launch",
    "has_cuda_pdl_trigger": "programmatic dependent launch",
}
"""Attributes of the lowered kernel that ask the host for more than a plain launch."""
_DEFINITION = 'extern "C" __global__ void __launch_bounds__('
_BINARY = {"Add": "+", "Sub": "-", "Mul": "*", "FloorDiv": "//", "Div": "//", "FloorMod": "%", "Mod": "%"}


class LoweringError(Exception):
    """A program that TileLang refuses, or whose kernel cannot be launched with pointers and scalars alone; one line."""


@dataclass(frozen=True)
class Lowered:
    """source: CUDA C++ that includes TileLang's templates."""

    source: str
    facts: KernelFacts


def lower_program(
    source: TileLangSource, constants: Mapping[str, Constant], pass_configs: Mapping[str, Constant]
) -> Lowered:
    """Lowers `source` for ARCH. pass_configs: all of them. Raises LoweringError, and what the program itself raises."""
    tilelang = _tilelang()
    tvm = tilelang.tvm
    who = f"{source.file.name}, {source.entry}"
    entry = getattr(_program(source.file.resolve()), source.entry, None)
    if entry is None:
        raise LoweringError(f"{source.file.name} has no function {source.entry}")
    target = tvm.target.Target({"kind": "cuda", "arch": ARCH})
    with tvm.transform.PassContext(opt_level=3, config=dict(pass_configs)), target:
        function = entry(**constants)
        if not isinstance(function, tvm.tirx.PrimFunc):
            raise LoweringError(f"{who}: returned {type(function).__name__}, no PrimFunc")
        lowered = tilelang.lower(function, target=target)
    kernels = list(lowered.device_mod.functions.items())
    if len(kernels) != 1:
        raise LoweringError(f"{who}: has {len(kernels)} kernels, a launch is of one")
    ((name, kernel),) = kernels
    _check_plain(who, kernel.attrs, lowered)
    facts = _facts(who, name.name_hint, function, kernel)
    return Lowered(_with_cluster(lowered.kernel_source, facts.cluster), facts)


@functools.cache
def _tilelang() -> Any:
    """Its import makes the folder of a cache that is never used: beside ours, where the user names none."""
    with _variable(_CACHE_ENV, str(user_cache_root() / "tilelang")):
        import tilelang
    logging.getLogger("tilelang").setLevel(logging.WARNING)
    return tilelang


@contextlib.contextmanager
def _variable(name: str, value: str) -> Iterator[None]:
    if name in os.environ:
        yield
        return
    os.environ[name] = value
    try:
        yield
    finally:
        del os.environ[name]


@functools.cache
def _program(file: Path) -> ModuleType:
    """The program's module. TileLang reads its source through `inspect`, which wants it among the loaded modules."""
    name = f"dsabench_tilelang_{abs(hash(str(file))):x}"
    spec = importlib.util.spec_from_file_location(name, file)
    if spec is None or spec.loader is None:
        raise LoweringError(f"{file} is not a Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module


def _check_plain(who: str, attributes: Any, lowered: Any) -> None:
    if "CUtensorMap" in lowered.kernel_source:
        raise LoweringError(
            f"{who}: its kernel takes TMA descriptors, which a launch cannot pass; say T.copy(..., disable_tma=True), or leave "
            "tl.disable_tma_lower and tl.disable_warp_specialized True"
        )
    for attribute, what in _UNSUPPORTED.items():
        if attributes.get(attribute):
            raise LoweringError(f"{who}: asks for {what}, which a launch here does not do")
    if any(function.attrs.get("l2_persistent_map") for function in lowered.host_mod.functions.values()):
        raise LoweringError(f"{who}: asks for persistence in L2, which the host would set up")


def _facts(who: str, entry: str, function: Any, kernel: Any) -> KernelFacts:
    attributes = kernel.attrs
    extents = dict(attributes["thread_extent"].items())
    block = [_expression(who, extents.get(f"threadIdx.{axis}", 1)) for axis in "xyz"]
    if not all(isinstance(threads, int) for threads in block):
        raise LoweringError(f"{who}: the number of threads depends on a dimension")
    buffers, scalars = {}, {}
    for parameter in function.params:
        buffer = function.buffer_map.get(parameter)
        if buffer is None:
            scalars[parameter.name] = str(parameter.dtype)
            continue
        shape = [_expression(who, size) for size in buffer.shape]
        strides = [_expression(who, stride) for stride in buffer.strides] or _dense(shape)
        buffers[buffer.data.name] = BufferFacts(str(buffer.dtype), shape, strides)
        scalars |= {name: type_ for size in (*buffer.shape, *buffer.strides) for name, type_ in _dimensions(size)}
    parameters = [parameter.name for parameter in kernel.params]
    unknown = [name for name in parameters if name not in buffers and name not in scalars]
    if unknown or len(set(parameters)) != len(parameters):
        raise LoweringError(f"{who}: its kernel's parameters {', '.join(parameters)} are not those of the PrimFunc")
    cluster = [int(size) for size in attributes.get("cluster_dims") or [1]]
    if any(size != 1 for size in cluster[1:]):
        raise LoweringError(f"{who}: has clusters of {cluster} blocks, a launch has them along x alone")
    return KernelFacts(
        entry=entry,
        parameters=parameters,
        block=[int(threads) for threads in block if isinstance(threads, int)],
        shared_bytes=int(attributes.get("dyn_shared_memory_buf") or 0),
        cluster=cluster[0] if cluster[0] > 1 else None,
        grid=[_expression(who, extents.get(f"blockIdx.{axis}", 1)) for axis in "xyz"],
        buffers=buffers,
        scalars=scalars,
    )


def _expression(who: str, value: Any) -> Expression:
    """TVM's expression of an extent as plain data."""
    if isinstance(value, int):
        return value
    kind = type(value).__name__
    if kind == "IntImm":
        return int(value)
    if kind == "Var":
        return str(value.name)
    if kind == "Cast":
        return _expression(who, value.value)
    operator = {"Min": "min", "Max": "max"}.get(kind) or _BINARY.get(kind)
    if operator is None:
        raise LoweringError(f"{who}: an extent is {value}, which is no arithmetic of dimensions")
    return [operator, _expression(who, value.a), _expression(who, value.b)]


def _dimensions(value: Any) -> list[tuple[str, str]]:
    """(name, type) of the variables in an extent."""
    if type(value).__name__ == "Var":
        return [(str(value.name), str(value.dtype))]
    parts = [getattr(value, name) for name in ("a", "b", "value") if hasattr(value, name)]
    return [found for part in parts if not isinstance(part, int) for found in _dimensions(part)]


def _dense(shape: list[Expression]) -> list[Expression]:
    strides: list[Expression] = [1]
    for size in reversed(shape[1:]):
        strides.insert(0, ["*", strides[0], size])
    return strides[: len(shape)]


def _with_cluster(source: str, cluster: int | None) -> str:
    """TileLang leaves a cluster's size to the launch's attributes; CuPy has none, and a plain launch honours what the kernel
    declares."""
    if cluster is None:
        return source
    declared = _DEFINITION.replace("__launch_bounds__", f"__cluster_dims__({cluster}, 1, 1) __launch_bounds__")
    changed, times = re.subn(re.escape(_DEFINITION), declared, source)
    if times != 1:
        raise LoweringError(f"TileLang's source has {times} kernels with launch bounds, one was to be of a cluster")
    return changed
