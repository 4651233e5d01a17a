"""The verdict on a cache that was written into: it can fail, and says where."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

from dsabench.kernels.op import Check, Outputs
from dsabench.kernels.registry import get_implementation, get_op
from dsabench.kernels.workload import Workload
from tests.kernels.running import check_all_rows, run_poisoned

OPS = ("quantize_kv_cache", "quantize_index_cache")
both = pytest.mark.parametrize("op", OPS)


def written(op: str, distribution: str = "padded") -> tuple[Any, Outputs]:
    inputs = Workload.of(op, {"s_kv": 20}, distribution, 1).make_inputs()
    return inputs, run_poisoned(get_op(op), get_implementation(op, "torch"), inputs)


def verdict(op: str, change: Callable[[Any, torch.Tensor], None], distribution: str = "padded") -> Check:
    inputs, outputs = written(op, distribution)
    assert check_all_rows(get_op(op), inputs, outputs).passed
    change(inputs, outputs[0].flatten(1))  # blocks of bytes
    return check_all_rows(get_op(op), inputs, outputs)


@both
def test_one_bit_of_a_code_of_the_last_row(op: str) -> None:
    def change(inputs: Any, blocks: torch.Tensor) -> None:
        slot = int(inputs.slots[18])
        width = 656 if op == "quantize_kv_cache" else 128
        blocks[slot // 64, slot % 64 * width + 100] ^= 1

    found = verdict(op, change)
    assert not found.passed
    assert "checked row 18 in slot" in found.reason
    assert "code 100: got" in found.reason
    assert "(1 bytes differ)" in found.reason
    assert found.worst == {"wrong_bytes": 1.0}


@both
def test_one_bit_of_a_scale(op: str) -> None:
    def change(inputs: Any, blocks: torch.Tensor) -> None:
        slot = int(inputs.slots[0])
        place = slot % 64 * 656 + 512 + 4 + 2 if op == "quantize_kv_cache" else 64 * 128 + slot % 64 * 4 + 2
        blocks[slot // 64, place] ^= 0x40

    scale = 1 if op == "quantize_kv_cache" else 0
    assert f"checked row 0 in slot 0, byte 2 of scale {scale}: got" in verdict(op, change).reason


def test_one_bit_of_a_rope_dim() -> None:
    def change(inputs: Any, blocks: torch.Tensor) -> None:
        blocks[0, 655] ^= 0x80

    assert "row 0 in slot 0, byte 127 behind the scales: got" in verdict("quantize_kv_cache", change).reason


@both
def test_a_write_to_a_slot_that_no_row_names(op: str) -> None:
    for byte in (0, 100) if op == "quantize_index_cache" else (0, 520, 655):

        def change(inputs: Any, blocks: torch.Tensor, byte: int = byte) -> None:
            last = 63 * (656 if op == "quantize_kv_cache" else 128)
            blocks[-1, last + byte] = 0

        found = verdict(op, change)
        assert not found.passed
        assert "slot 63, which no row names, was written to" in found.reason


def test_a_write_to_the_scale_of_a_slot_that_no_row_names() -> None:
    def change(inputs: Any, blocks: torch.Tensor) -> None:
        blocks[-1, -1] = 0

    assert "slot 63, which no row names" in verdict("quantize_index_cache", change).reason


@both
def test_a_row_with_slot_minus_one_that_is_written_anyway(op: str) -> None:
    """To the last slot, as an index of -1 does in Python."""

    def change(inputs: Any, blocks: torch.Tensor) -> None:
        blocks[-1, 63 * 128 : 64 * 128] = 1

    assert not verdict(op, change).passed


@both
def test_any_nan_is_right_where_one_is_expected_and_wrong_elsewhere(op: str) -> None:
    def other_nan(inputs: Any, blocks: torch.Tensor) -> None:
        codes, scales = _first_token(op, blocks)
        assert (codes[:128] & 0x7F == 0x7F).all()
        codes[:128] ^= 0x80
        scales[:4] = torch.tensor([0x01, 0x00, 0x80, 0xFF], dtype=torch.uint8)

    assert verdict(op, other_nan, "nonfinite").passed

    def to_nan(inputs: Any, blocks: torch.Tensor) -> None:
        _first_token(op, blocks)[0][5] = 0xFF

    assert "code 5: got 0xff" in verdict(op, to_nan).reason

    def to_number(inputs: Any, blocks: torch.Tensor) -> None:
        _first_token(op, blocks)[0][5] = 0x7E

    assert "code 5: got 0x7e, expected 0x7f" in verdict(op, to_number, "nonfinite").reason


def _first_token(op: str, blocks: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Codes and scales of slot 0, which row 0 names: there is one block."""
    if op == "quantize_kv_cache":
        return blocks[0, :512], blocks[0, 512:528]
    return blocks[0, :128], blocks[0, 8192:8196]
