"""The package's headers of Hopper's instructions, compiled for sm_90a: ptxas takes every one, and asks for no register twice."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from dsabench.kernels.cuda.compile import compile_launch
from dsabench.kernels.cuda.source import CudaLaunch, CudaSource

SOURCE = Path(__file__).with_name("hopper_headers.cu")
TENSOR = torch.empty(8, device="meta")


@pytest.mark.parametrize("width", [16, 32, 64, 128, 256])
def test_products(width: int) -> None:
    kernel = compile_launch(CudaLaunch(CudaSource(SOURCE, "multiply"), (1,), (256,), (TENSOR,), {"WIDTH": width}))
    assert kernel.ptx.count(f"wgmma.mma_async.sync.aligned.m64n{width}k16.f32.bf16.bf16") == 5
    assert kernel.ptx.count(f"wgmma.mma_async.sync.aligned.m64n{width}k32.f32.e4m3.e4m3") == 1
    assert " 0 bytes spill stores, 0 bytes spill loads" in kernel.log
    assert "serialized" not in kernel.log


def test_copies_and_barriers() -> None:
    kernel = compile_launch(CudaLaunch(CudaSource(SOURCE, "copies"), (2,), (256,), (TENSOR, TENSOR), cluster=2))
    for instruction in (
        "mbarrier.try_wait.parity.acquire.cluster",
        "cp.async.bulk.shared::cluster.shared::cta",
        "st.async",
        "mapa",
    ):
        assert instruction in kernel.ptx
