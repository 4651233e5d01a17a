"""CPU tensors that pretend to be on an NVIDIA GPU, for tests of code that handles tensors of both.

    with pretend_cuda():
        x = torch.zeros(3).to("cuda")  # x.device is cuda:0, x.is_cuda is True
        x + torch.ones(3)              # RuntimeError, as on a GPU

Every operator runs on the CPU data underneath and its result pretends in turn. What CUDA refuses is refused first:

- operands on both devices. Allowed, as torch's CUDA operators allow it: a 0-dim CPU tensor as one operand of a binary
  pointwise operator, of `where`, as the value of `masked_fill` and of an indexed assignment; CPU indices in advanced
  indexing; any devices in `copy_` (which plain slice assignment is) and in `to`.
- `.numpy()`.
- float8 in anything but casts, copies, views and shape changes: what else takes float8 on CUDA differs between versions of
  torch.

Stricter than a GPU where torch's rules differ from operator to operator (0-dim CPU operands of ternary operators). Not shown:
what differs in arithmetic, order of sums, memory, speed, and that a GPU runs behind its host. `torch.cuda.synchronize` does
nothing. `bmm` with `out_dtype`, which torch has on CUDA only, is computed in that dtype.
"""

from __future__ import annotations

import functools
import operator
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from unittest import mock

import torch
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten, tree_map_only

aten = torch.ops.aten
CUDA = torch.device("cuda", 0)

# Methods whose binding, written by hand, sets the current device: the operators that they end in.
_OPERATOR_OF = {
    torch.Tensor.copy_: aten.copy_,
    torch.Tensor.contiguous: aten.contiguous,
    torch.Tensor.nonzero: aten.nonzero,
    torch.Tensor.__invert__: aten.bitwise_not,
}
_NUMBER_OF = {torch.Tensor.__float__: float, torch.Tensor.__int__: int, torch.Tensor.__index__: operator.index}

_FLOAT8 = (torch.float8_e4m3fn, torch.float8_e5m2)
_INDEXING = (aten.index.Tensor, aten.index_put.default, aten.index_put_.default, aten._unsafe_index.Tensor)
_MASKED_FILL = (aten.masked_fill.Tensor, aten.masked_fill_.Tensor)
_FLOAT8_COPIES = (aten._to_copy, aten.copy_, aten.clone, aten.cat, aten.empty_like, aten.fill_, aten.zero_)


class PretendCuda(torch.Tensor):
    """A tensor whose data are in the CPU tensor `inner` and whose device is cuda:0."""

    inner: torch.Tensor

    @staticmethod
    def __new__(cls, inner: torch.Tensor) -> PretendCuda:
        made = torch.Tensor._make_wrapper_subclass(
            cls,
            inner.shape,
            strides=inner.stride(),
            storage_offset=inner.storage_offset(),
            dtype=inner.dtype,
            device=CUDA,
        )
        made.inner = inner
        return made

    def __repr__(self) -> str:
        return f"PretendCuda({self.inner!r})"

    @classmethod
    def __torch_function__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        with torch._C.DisableTorchFunctionSubclass():
            return _call(func, args, kwargs or {})

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return _run(func, args, kwargs or {})


class _Calls(TorchFunctionMode):
    """Sees the calls of Python before torch looks for the CUDA it was built with."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        with torch._C.DisableTorchFunctionSubclass():
            return _call(func, args, kwargs or {})


class _Factories(TorchDispatchMode):
    """Sees operators without a tensor on the GPU, among them those that make one."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return _run(func, args, kwargs or {})


@contextmanager
def pretend_cuda() -> Iterator[None]:
    """Within it `device="cuda"` gives PretendCuda tensors. They go on refusing what CUDA refuses after it."""
    torch._C._ensureCUDADeviceGuardSet()  # a torch built with CUDA, on a machine without a GPU
    with (
        mock.patch.object(torch.cuda, "_lazy_init"),
        mock.patch.object(torch.cuda, "synchronize"),
        _Factories(),
        _Calls(),
    ):
        yield


def _call(func: Any, args: Any, kwargs: dict[str, Any]) -> Any:
    """A function of torch's Python side. What these do in C++ asks for a CUDA that is not there, or is refused for every
    subclass of Tensor; all others end in operators."""
    if func is torch.Tensor.__getitem__:
        return _get_item(*args)
    if func is torch.Tensor.__setitem__:
        return _set_item(*args)
    if func in (torch.Tensor.to, torch.Tensor.cuda):
        args, kwargs = tree_map_only((torch.device, str), _with_index, (args, kwargs))
        return args[0].to(CUDA) if func is torch.Tensor.cuda else func(*args, **kwargs)
    if func is torch.tensor and torch.device(kwargs.get("device") or "cpu").type == "cuda":
        return torch.tensor(*args, **{**kwargs, "device": "cpu"}).to(CUDA)
    if func in _OPERATOR_OF and any(isinstance(arg, PretendCuda) for arg in args):
        return _OPERATOR_OF[func](*args, **kwargs)
    if args and isinstance(args[0], PretendCuda):
        if func in _NUMBER_OF:
            return _NUMBER_OF[func](args[0].item())
        if func is torch.Tensor.numpy:
            raise TypeError("can't convert cuda:0 device type tensor to numpy. Use Tensor.cpu() first.")
        if func is torch.Tensor.tolist:
            return args[0].inner.tolist()
        if func is torch.Tensor.data_ptr:
            return args[0].inner.data_ptr()
    return func(*args, **kwargs)


def _with_index(device: torch.device | str) -> torch.device:
    found = torch.device(device)
    return CUDA if found.type == "cuda" else found


def _get_item(tensor: torch.Tensor, index: Any) -> torch.Tensor:
    there = isinstance(tensor, PretendCuda)
    _refuse_indices(tensor, index)
    plain = _inner(tensor)[_inner(index)]
    return PretendCuda(plain) if there else plain


def _set_item(tensor: torch.Tensor, index: Any, value: Any) -> None:
    """Without index tensors this is a copy, which crosses devices; with them the values must be where the tensor is."""
    if _refuse_indices(tensor, index) and isinstance(value, torch.Tensor):
        there = isinstance(value, PretendCuda)
        if there != isinstance(tensor, PretendCuda) and (there or value.dim() > 0):
            raise _mixed("index_put_")
    _inner(tensor)[_inner(index)] = _inner(value)


def _refuse_indices(tensor: torch.Tensor, index: Any) -> bool:
    """Raises when a tensor on the CPU is indexed by one on the GPU, or float8 by a tensor; whether there are index tensors."""
    # A 0-dim integer is read and used as a number.
    indices = [
        leaf
        for leaf in (index if isinstance(index, tuple) else (index,))
        if isinstance(leaf, torch.Tensor) and (leaf.dim() > 0 or leaf.dtype == torch.bool)
    ]
    if isinstance(tensor, PretendCuda):
        if indices:
            _refuse_float8(aten.index.Tensor, [tensor])
    elif any(isinstance(leaf, PretendCuda) for leaf in indices):
        raise RuntimeError("indices should be either on cpu or on the same device as the indexed tensor (cpu)")
    return bool(indices)


def _inner(tree: Any) -> Any:
    return tree_map_only(PretendCuda, lambda tensor: tensor.inner, tree)


def _mixed(func: Any) -> RuntimeError:
    return RuntimeError(
        f"Expected all tensors to be on the same device, but found at least two devices, cuda:0 and cpu! (in {func})"
    )


def _run(func: Any, args: Any, kwargs: dict[str, Any]) -> Any:
    tensors = [leaf for leaf in tree_flatten((args, kwargs))[0] if isinstance(leaf, torch.Tensor)]
    there = [tensor for tensor in tensors if isinstance(tensor, PretendCuda)]
    if there:
        _refuse_mixed(func, args, kwargs, tensors)
        _refuse_float8(func, there)
    on_gpu = bool(there)
    if kwargs.get("device") is not None:
        on_gpu = torch.device(kwargs["device"]).type == "cuda"
        kwargs = {**kwargs, "device": torch.device("cpu"), "pin_memory": False} if on_gpu else kwargs
        if "pin_memory" not in {argument.name for argument in func._schema.arguments}:
            kwargs.pop("pin_memory", None)
    if func is aten.copy_.default:
        on_gpu = isinstance(args[0], PretendCuda)
    wrappers = {id(tensor.inner): tensor for tensor in there}
    plain_args, plain_kwargs = _inner((args, kwargs))
    result = _on_cpu(func)(*plain_args, **plain_kwargs)
    for tensor in there:
        if tensor.shape != tensor.inner.shape or tensor.stride() != tensor.inner.stride():
            raise AssertionError(f"{func} changed a shape in place, which PretendCuda does not follow")

    def place(tensor: torch.Tensor) -> torch.Tensor:
        if id(tensor) in wrappers:  # the `self` of an in-place operator, an `out`
            return wrappers[id(tensor)]
        # Moving a tensor to where it is leaves it alone, and so may an operator that returned its argument.
        return PretendCuda(tensor) if on_gpu else tensor

    return tree_map_only(torch.Tensor, place, result)


def _on_cpu(func: Any) -> Callable[..., Any]:
    if func in (aten.bmm.dtype, aten.mm.dtype):
        product = torch.bmm if func is aten.bmm.dtype else torch.mm
        return lambda left, right, dtype: product(left.to(dtype), right.to(dtype))
    return func


def _refuse_mixed(func: Any, args: Any, kwargs: dict[str, Any], tensors: list[torch.Tensor]) -> None:
    """Raises RuntimeError when CUDA would, given operands on both devices."""
    at_home = [tensor for tensor in tensors if not isinstance(tensor, PretendCuda)]
    if not at_home or func is aten.copy_.default:
        return
    if func in _INDEXING:
        at_home = [t for t in (args[0], *args[2:3]) if isinstance(t, torch.Tensor) and not isinstance(t, PretendCuda)]
        allowed = all(tensor is not args[0] and tensor.dim() == 0 for tensor in at_home)
    elif func in _MASKED_FILL:
        allowed = at_home == [args[2]] and args[2].dim() == 0
    elif func is aten.where.self or (len(tensors) == 2 and torch.Tag.pointwise in func.tags):
        allowed = all(tensor.dim() == 0 for tensor in at_home)
    else:
        allowed = False
    if not allowed or any(not isinstance(t, PretendCuda) for t in _written(func, args, kwargs)):
        raise _mixed(func)


def _written(func: Any, args: Any, kwargs: dict[str, Any]) -> list[Any]:
    """The arguments that an operator writes into."""
    arguments = func._schema.arguments
    given = dict(zip((argument.name for argument in arguments), args, strict=False)) | kwargs
    return [given[a.name] for a in arguments if a.alias_info and a.alias_info.is_write and a.name in given]


def _refuse_float8(func: Any, there: list[PretendCuda]) -> None:
    """Raises NotImplementedError for float8 in what not every torch has kernels of."""
    if not any(tensor.dtype in _FLOAT8 for tensor in there):
        return
    if not _is_view(func) and func.overloadpacket not in _FLOAT8_COPIES:
        raise NotImplementedError(f"{func} may not be implemented for float8 on CUDA; use its bytes")


@functools.cache
def _is_view(func: Any) -> bool:
    """Its result shares memory with an argument that it does not write to."""
    returns = [result.alias_info for result in func._schema.returns]
    return bool(returns) and all(alias is not None and not alias.is_write for alias in returns)
