"""The contracts of the three ops: what inputs, outputs and costs are, and what is refused."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch

import dsabench
from dsabench.kernels.index_cache import key_codes, key_scales, quantize_to_index_cache
from dsabench.kernels.kv_cache import dequantize_tokens, flatten_pages, quantize_tokens
from dsabench.kernels.registry import get_op
from dsabench.kernels.workload import Workload

OPS = ("quantize_kv_cache", "quantize_index_cache", "dequantize_kv_cache")
by_op = pytest.mark.parametrize("op", OPS)


def inputs_of(op: str, distribution: str = "normal", rows: int = 20) -> Any:
    return Workload.of(op, {"s_kv": rows}, distribution).make_inputs()


@by_op
def test_inputs_of_every_distribution_are_valid_and_empty_ones_alike(op: str) -> None:
    contract = get_op(op)
    for distribution in contract.distributions:
        for rows in (1, 70):
            workload = Workload.of(op, {"s_kv": rows}, distribution, 3)
            inputs = workload.make_inputs()
            contract.validate(inputs)
            assert contract.axes_of(inputs) == workload.axis_values
            assert contract.row_count(inputs) == rows
            empty = contract.empty_inputs(workload.axis_values, torch.device("meta"))
            contract.validate(empty)
            for name, value in vars(inputs).items():
                other = getattr(empty, name)
                if not isinstance(value, torch.Tensor):
                    assert other == value
                elif distribution != "int32_slots":
                    assert (other.shape, other.dtype) == (value.shape, value.dtype)
            assert contract.empty_outputs(empty)[0].shape == contract.empty_outputs(inputs)[0].shape


def test_costs_are_a_copys_bytes() -> None:
    bytes_a_row = {
        "quantize_kv_cache": 1152 + 656,
        "quantize_index_cache": 256 + 132,
        "dequantize_kv_cache": 656 + 1152,
    }
    for op, each in bytes_a_row.items():
        cost = get_op(op).cost(inputs_of(op))
        assert (cost.flops, cost.product_dtype) == (0, None)
        assert cost.compulsory_bytes == cost.gather_bytes == 20 * (8 + each)
        assert get_op(op).cost(inputs_of(op, "int32_slots")).compulsory_bytes == 20 * (4 + each)
        zeros = 10 * 1152 if op == "dequantize_kv_cache" else 0
        assert get_op(op).cost(inputs_of(op, "padded")).compulsory_bytes == 20 * 8 + 10 * each + zeros
    repeated = get_op("dequantize_kv_cache").cost(inputs_of("dequantize_kv_cache", "repeated"))
    assert repeated.gather_bytes == 20 * (8 + 1152 + 656)
    assert repeated.compulsory_bytes <= 20 * (8 + 1152) + 7 * 656


@pytest.mark.parametrize(
    ("op", "change", "error", "message"),
    [
        ("quantize_kv_cache", {"kv": torch.zeros(20, 576)}, TypeError, "kv must have dtype bfloat16, got float32"),
        ("quantize_kv_cache", {"kv": torch.zeros(20, 512).bfloat16()}, ValueError, r"kv must have shape \[n, 576\]"),
        ("quantize_kv_cache", {"slots": torch.zeros(20)}, TypeError, "slots must have dtype int64, got float32"),
        ("quantize_kv_cache", {"slots": torch.zeros(19).long()}, ValueError, r"slots must have shape \[n\] \(n = 20"),
        ("quantize_kv_cache", {"ue8m0": 1}, TypeError, "ue8m0 must be a bool, got int"),
        ("quantize_kv_cache", {"num_blocks": 0}, ValueError, r"kv_cache: num_blocks \(dim 0\) must be in \[1, "),
        (
            "quantize_index_cache",
            {"keys": torch.zeros(20, 64).bfloat16()},
            ValueError,
            r"keys must have shape \[n, 128\]",
        ),
        ("quantize_index_cache", {"slots": [1]}, TypeError, "slots must be a torch.Tensor, got list"),
        ("quantize_index_cache", {"ue8m0": None}, TypeError, "ue8m0 must be a bool, got NoneType"),
        ("dequantize_kv_cache", {"kv_cache": torch.zeros(2, 64, 656).byte()}, ValueError, "kv_cache must have shape"),
        (
            "dequantize_kv_cache",
            {"slots": torch.zeros(20).short()},
            TypeError,
            "slots must have dtype int64, got int16",
        ),
    ],
)
def test_what_is_refused(op: str, change: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        get_op(op).validate(replace(inputs_of(op), **change))


def test_a_view_that_is_not_aligned_is_refused() -> None:
    storage = torch.zeros(1 + 20 * 576, dtype=torch.bfloat16)
    with pytest.raises(ValueError, match="kv must start at a multiple of 16 bytes, got a view that starts 2 past one"):
        get_op("quantize_kv_cache").validate(replace(inputs_of("quantize_kv_cache"), kv=storage[1:].view(20, 576)))
    bytes_ = torch.zeros(1 + 64 * 656, dtype=torch.uint8)[1:].view(1, 64, 1, 656)
    with pytest.raises(ValueError, match="kv_cache must start at a multiple of 16 bytes"):
        dsabench.dequantize_kv_cache(bytes_, torch.zeros(2, dtype=torch.int64))
    with pytest.raises(ValueError, match="kv_cache must start at a multiple of 16 bytes"):
        dsabench.quantize_kv_cache(torch.zeros(2, 576).bfloat16(), torch.zeros(2, dtype=torch.int64), bytes_)


class TestLibrary:
    """The functions write where they are told, and the caches are those of the other ops."""

    slots = torch.tensor([5, -1, 131, 64, 10_000])

    @pytest.mark.parametrize("ue8m0", [False, True])
    def test_latent_rows(self, ue8m0: bool) -> None:
        kv = torch.randn((5, 576), generator=torch.Generator().manual_seed(0)).bfloat16()
        cache = torch.full((3, 64, 1, 656), 0x55, dtype=torch.uint8)
        expected = flatten_pages(cache).clone()
        kept = [0, 2, 3]
        expected[self.slots[kept]] = quantize_tokens(kv[kept], ue8m0)
        assert dsabench.quantize_kv_cache(kv, self.slots, cache, ue8m0) is cache
        assert torch.equal(flatten_pages(cache), expected)
        read = dsabench.dequantize_kv_cache(cache, self.slots)
        assert torch.equal(read[kept], dequantize_tokens(expected[self.slots[kept]]).bfloat16())
        assert (read[[1, 4]] == 0).all()

    @pytest.mark.parametrize("ue8m0", [False, True])
    def test_keys(self, ue8m0: bool) -> None:
        keys = torch.randn((5, 128), generator=torch.Generator().manual_seed(0)).bfloat16()
        cache = torch.full((3, 64, 1, 132), 0x55, dtype=torch.uint8)
        codes, scales = key_codes(cache).view(torch.uint8).clone(), key_scales(cache).clone()
        packed = quantize_to_index_cache(keys, ue8m0)
        for row, slot in ((0, 5), (2, 131), (3, 64)):
            codes[slot // 64, slot % 64] = key_codes(packed).view(torch.uint8)[0, row]
            scales[slot // 64, slot % 64] = key_scales(packed)[0, row]
        assert dsabench.quantize_index_cache(keys, self.slots, cache, ue8m0) is cache
        assert torch.equal(key_codes(cache).view(torch.uint8), codes)
        assert torch.equal(key_scales(cache), scales)

    @pytest.mark.parametrize(
        ("cache", "error", "message"),
        [
            (torch.zeros(3, 64, 1, 656), TypeError, "kv_cache must have dtype uint8"),
            (
                torch.zeros(3, 64, 656, dtype=torch.uint8),
                ValueError,
                r"kv_cache must have shape \[num_blocks, page, 1, 656\]",
            ),
            (torch.zeros(3, 128, 1, 656, dtype=torch.uint8)[:, ::2], ValueError, "kv_cache must be contiguous"),
        ],
    )
    def test_a_wrong_cache_is_named(self, cache: torch.Tensor, error: type[Exception], message: str) -> None:
        with pytest.raises(error, match=message):
            dsabench.quantize_kv_cache(torch.zeros(5, 576).bfloat16(), self.slots, cache)

    def test_a_wrong_index_cache_is_named(self) -> None:
        with pytest.raises(ValueError, match=r"cache must have shape \[num_blocks, 64, 1, 132\]"):
            dsabench.quantize_index_cache(
                torch.zeros(5, 128).bfloat16(), self.slots, torch.zeros((3, 32, 1, 132), dtype=torch.uint8)
            )


def test_a_wrong_number_of_a_dequantized_row_is_named() -> None:
    op = get_op("dequantize_kv_cache")
    inputs = inputs_of("dequantize_kv_cache", "padded")
    rows = torch.arange(20)
    expected = op.reference(inputs, rows)
    right = expected[0].clone()
    assert op.check(inputs, (right,), rows, expected).passed
    for row, dim, bits in ((4, 100, 1), (6, 575, 1), (3, 0, -32768)):  # the last: -0 in a row of zeros
        wrong = right.clone()
        wrong.view(torch.int16)[row, dim] ^= bits
        found = op.check(inputs, (wrong,), rows, expected)
        assert not found.passed
        assert f"checked row {row} of slot {int(inputs.slots[row])}, dim {dim}: got" in found.reason
    assert "(1 numbers differ)" in found.reason
