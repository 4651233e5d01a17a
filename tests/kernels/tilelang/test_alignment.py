from __future__ import annotations

import torch

from dsabench.kernels.tilelang.alignment import aligned
from dsabench.kernels.topk_select.contract import OP, Inputs
from dsabench.kernels.topk_select.impl_tilelang import IMPLEMENTATION, plan


def test_what_begins_at_16_bytes_is_not_copied() -> None:
    whole = torch.arange(64, dtype=torch.int32)
    assert aligned(whole) is whole
    assert aligned(whole[4:]).data_ptr() == whole[4:].data_ptr()


def test_what_does_not_is() -> None:
    whole = torch.arange(64, dtype=torch.int32)
    copy = aligned(whole[1:])
    assert copy.data_ptr() != whole[1:].data_ptr()
    assert copy.storage_offset() == 0
    assert torch.equal(copy, whole[1:])


def test_rows_and_windows_of_top_k_may_begin_anywhere() -> None:
    width = 4097
    logits = torch.randn(3 * width)[width:].view(2, width)
    windows = torch.tensor([[0, 0, 0], [width, width, 7]], dtype=torch.int32)
    inputs = Inputs(logits, windows[0, 1:], windows[1, 1:], k=64, deterministic=False)
    launches = plan(inputs, OP.empty_outputs(inputs), IMPLEMENTATION.default_config(OP.axes_of(inputs)))
    for launch in launches:
        for name in {"logits", "starts", "ends"} & launch.arguments.keys():
            argument = launch.arguments[name]
            assert isinstance(argument, torch.Tensor)
            assert argument.data_ptr() % 16 == 0
            assert torch.equal(argument, getattr(inputs, name))
