"""The tool that pretends: it must refuse what CUDA refuses, allow what CUDA allows, and compute what the CPU computes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode

from tests.pretend_cuda import PretendCuda, pretend_cuda

aten = torch.ops.aten


@pytest.fixture
def cuda() -> Iterator[None]:
    with pretend_cuda():
        yield


def three(device: str = "cuda") -> torch.Tensor:
    return torch.tensor([1.0, 2.0, 3.0]).to(device)


def index(device: str = "cpu") -> torch.Tensor:
    return torch.tensor([2, 0]).to(device)


def assert_there(tensor: torch.Tensor, values: list[Any]) -> None:
    assert isinstance(tensor, PretendCuda)
    assert tensor.is_cuda
    assert tensor.device == torch.device("cuda", 0)
    assert tensor.tolist() == values
    assert tensor.cpu().tolist() == values
    assert not tensor.cpu().is_cuda


@pytest.mark.usefixtures("cuda")
def test_tensors_are_made_there_and_moved_both_ways() -> None:
    assert_there(three(), [1, 2, 3])
    assert_there(three().to("cuda:0", torch.int32), [1, 2, 3])
    assert_there(torch.ones(2).cuda(), [1, 1])
    assert_there(torch.zeros(2, device="cuda"), [0, 0])
    assert_there(torch.full((2,), 7, device=three().device), [7, 7])
    assert_there(torch.arange(3, device="cuda"), [0, 1, 2])
    assert_there(torch.tensor([4, 5], device="cuda"), [4, 5])
    assert_there(torch.zeros_like(three()), [0, 0, 0])
    assert_there(three().new_ones(1), [1])
    assert_there(torch.zeros_like(torch.ones(1), device="cuda"), [0])
    assert not torch.empty_like(three(), device="cpu").is_cuda
    assert not three().to("cpu", torch.float64).is_cuda
    assert not torch.ones(2).is_cuda
    assert (float(three()[1]), int(three()[1]), three()[1].item(), bool(three()[1])) == (2.0, 2, 2.0, True)


@pytest.mark.usefixtures("cuda")
def test_views_share_memory_and_moves_do_not() -> None:
    tensor = three()
    tensor[1:].fill_(9)
    tensor.view(torch.uint8)[:4] = 0
    tensor[None].expand(2, 3)[0, 2:].mul_(2)
    assert_there(tensor, [0, 9, 18])
    torch.add(tensor, 1, out=tensor[:])
    assert tensor.add_(1) is tensor
    assert_there(tensor, [2, 11, 20])
    there = torch.zeros(2)
    there.to("cuda").fill_(1)
    assert there.tolist() == [0, 0]


@pytest.mark.usefixtures("cuda")
def test_results_are_those_of_the_cpu() -> None:
    x = torch.randn(4, 5, generator=torch.Generator().manual_seed(0))
    for function in (
        lambda t: t @ t.mT,
        lambda t: t.softmax(-1),
        lambda t: torch.sort(t, descending=True, stable=True).indices,
        lambda t: torch.topk(t, 2).values,
        lambda t: torch.where(t > 0, 0, t),
        lambda t: t.masked_fill(t > 0, -torch.inf),
        lambda t: t.nonzero(),
        lambda t: (~(t > 0)).contiguous(),
        lambda t: torch.nn.functional.pad(t, (0, 2)),
        lambda t: t.flatten().unique(return_inverse=True)[1],
    ):
        there = function(x.to("cuda"))
        assert there.is_cuda
        torch.testing.assert_close(there.cpu(), function(x), rtol=0, atol=0)
    half = x.to(torch.bfloat16)[None]
    product = torch.bmm(half.to("cuda"), half.mT.to("cuda"), out_dtype=torch.float32)
    torch.testing.assert_close(product.cpu(), torch.bmm(half.float(), half.float().mT), rtol=0, atol=0)


ALLOWED: dict[str, Callable[[], Any]] = {
    "0-dim on the right": lambda: three() + torch.tensor(1.0),
    "0-dim on the left": lambda: torch.maximum(torch.tensor(1.0), three()),
    "0-dim of both": lambda: torch.tensor(1.0) + three()[0],
    "comparison with 0-dim": lambda: three() > torch.tensor(1.0),
    "where with scalars": lambda: torch.where(three() > 1, 0.0, three()),
    "where with 0-dim": lambda: torch.where(three() > 1, torch.tensor(0.0), three()),
    "masked_fill with 0-dim": lambda: three().masked_fill_(three() > 1, torch.tensor(0.0)),
    "masked_fill with a number": lambda: three().masked_fill(three() > 1, 0.0),
    "CPU indices": lambda: three()[index()],
    "CPU mask": lambda: three()[torch.tensor([True, False, True])],
    "CPU indices, 0-dim value": lambda: three().__setitem__(index(), torch.tensor(0.0)),
    "CPU indices, number": lambda: three().__setitem__(index(), 0),
    "CPU indices, values there": lambda: three().__setitem__(index(), three()[:2]),
    "index_put": lambda: three().index_put_((index(),), three()[:2]),
    "slice assignment from the CPU": lambda: three().__setitem__(slice(0, 2), torch.ones(2)),
    "slice assignment to the CPU": lambda: torch.ones(3).__setitem__(slice(0, 2), three()[:2]),
    "copy_ from the CPU": lambda: three().copy_(torch.ones(3)),
    "copy_ to the CPU": lambda: torch.ones(3).copy_(three()),
    "equal there": lambda: torch.equal(three(), three()),
    "float8: cast, slice, bytes": lambda: three().to(torch.float8_e4m3fn)[0:].view(torch.uint8)[index("cuda")],
    "float8: to float": lambda: three().to(torch.float8_e4m3fn).float() + 1,
}

REFUSED: dict[str, Callable[[], Any]] = {
    "add": lambda: three() + torch.ones(3),
    "add, CPU first": lambda: torch.ones(3) + three(),
    "1-element vector": lambda: three() + torch.ones(1),
    "0-dim there, vector here": lambda: torch.ones(3) + three()[0],
    "in place here": lambda: torch.tensor(1.0).add_(three()[0]),
    "where, condition here": lambda: torch.where(torch.tensor([True, False, True]), three(), three()),
    "where, value here": lambda: torch.where(three() > 1, torch.ones(3), three()),
    "masked_fill, mask here": lambda: three().masked_fill_(torch.tensor([True, False, True]), 0.0),
    "masked_fill of a CPU tensor": lambda: torch.ones(3).masked_fill_(three() > 1, 0.0),
    "CPU tensor, indices there": lambda: torch.ones(3)[index("cuda")],
    "CPU tensor, mask there": lambda: torch.ones(3)[three() > 1],
    "values here": lambda: three().__setitem__(index(), torch.ones(2)),
    "index_put, values here": lambda: three().index_put_((index("cuda"),), torch.ones(2)),
    "CPU tensor, values there": lambda: torch.ones(3).__setitem__(index(), three()[:2]),
    "cat": lambda: torch.cat([three(), torch.ones(3)]),
    "stack": lambda: torch.stack([three()[0], torch.tensor(1.0)]),
    "gather": lambda: three().gather(0, index()),
    "index_select": lambda: three().index_select(0, index()),
    "index_add_": lambda: three().index_add_(0, index(), three()[:2]),
    "scatter_reduce_": lambda: three().scatter_reduce_(0, index(), three()[:2], "amax"),
    "matmul": lambda: three()[None] @ torch.ones(3, 1),
    "equal": lambda: torch.equal(three(), torch.ones(3)),
    "out here": lambda: torch.add(three(), 1, out=torch.empty(3)),
}


@pytest.mark.usefixtures("cuda")
@pytest.mark.parametrize("name", ALLOWED)
def test_what_cuda_allows_runs(name: str) -> None:
    ALLOWED[name]()


@pytest.mark.usefixtures("cuda")
@pytest.mark.parametrize("name", REFUSED)
def test_what_cuda_refuses_raises(name: str) -> None:
    with pytest.raises(RuntimeError, match=r"same device|on cpu or on the same device"):
        REFUSED[name]()


@pytest.mark.usefixtures("cuda")
def test_numpy_and_float8_arithmetic_are_refused() -> None:
    with pytest.raises(TypeError, match="can't convert cuda:0"):
        three().numpy()
    assert torch.from_numpy(three().cpu().numpy()).tolist() == [1, 2, 3]
    codes = three().to(torch.float8_e4m3fn)
    for operation in (
        lambda: codes[index()],
        lambda: codes[codes.float() > 1],
        lambda: codes.index_select(0, index("cuda")),
    ):
        with pytest.raises(NotImplementedError, match="float8"):
            operation()


def test_tensors_go_on_refusing_outside() -> None:
    with pretend_cuda():
        tensor = three()
    with pytest.raises(RuntimeError, match="same device"):
        tensor + torch.ones(3)
    assert_there(tensor[index()] + 1, [4, 2])


OPERATORS: dict[str, Callable[..., Any]] = {
    "add": lambda there, here, zero: aten.add(there, here),
    "add, 0-dim": lambda there, here, zero: aten.add(there, zero),
    "add_": lambda there, here, zero: aten.add_(here, there),
    "where, condition": lambda there, here, zero: aten.where(here > 0, there, there),
    "where, value": lambda there, here, zero: aten.where(there > 0, here, there),
    "where, 0-dim": lambda there, here, zero: aten.where(there > 0, zero, there),
    "masked_fill, mask": lambda there, here, zero: aten.masked_fill(there, here > 0, zero),
    "masked_fill, 0-dim": lambda there, here, zero: aten.masked_fill(there, there > 0, zero),
    "index": lambda there, here, zero: aten.index(there, [here.long()]),
    "index_put_, values": lambda there, here, zero: aten.index_put_(there, [there.long()], here),
    "index_put_, 0-dim": lambda there, here, zero: aten.index_put_(there, [here.long()], zero),
    "copy_": lambda there, here, zero: aten.copy_(there, here),
    "copy_ back": lambda there, here, zero: aten.copy_(here, there),
    "cat": lambda there, here, zero: aten.cat([there, here]),
    "gather": lambda there, here, zero: aten.gather(there, 0, here.long()),
    "index_select": lambda there, here, zero: aten.index_select(there, 0, here.long()),
    "logaddexp": lambda there, here, zero: aten.logaddexp(here, there),
    "maximum, 0-dim": lambda there, here, zero: aten.maximum(zero, there),
    "dot": lambda there, here, zero: aten.dot(there, here),
}


def refuses(operator: Callable[..., Any], context: Any) -> bool:
    with context:
        there, here, zero = torch.zeros(2, device="cuda:0"), torch.zeros(2), torch.zeros(())
        try:
            operator(there, here, zero)
        except RuntimeError as error:
            return "device" in str(error)
    return False


@pytest.mark.parametrize("name", OPERATORS)
def test_torchs_own_model_of_devices_agrees(name: str) -> None:
    """Fake tensors, which torch.compile trusts, hold no data and know the rules operator by operator."""
    assert refuses(OPERATORS[name], pretend_cuda()) == refuses(OPERATORS[name], FakeTensorMode())
