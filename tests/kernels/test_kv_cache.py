import math
import struct

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from dsabench.kernels import kv_cache
from tests.kernels.naive_attention import token_values


def random_tokens(n: int, seed: int = 0) -> torch.Tensor:
    return torch.randn((n, 576), generator=torch.Generator().manual_seed(seed)) * 0.3


def test_the_layout_is_656_bytes():
    assert (kv_cache.SCALE_OFFSET, kv_cache.ROPE_OFFSET, kv_cache.TOKEN_BYTES) == (512, 528, 656)
    assert kv_cache.BF16_TOKEN_BYTES == 1152


def test_every_byte_stands_where_the_layout_says():
    codes = torch.arange(512, dtype=torch.int64).to(torch.uint8)[None]
    scales = torch.tensor([[1.5, 2.5e-3, 1e-30, 7.0]])
    rope = torch.arange(64.0)[None] - 31.5
    token = bytes(kv_cache.pack_tokens(codes, scales, rope)[0].tolist())
    assert token[:512] == bytes(i % 256 for i in range(512))
    assert token[512:528] == struct.pack("<4f", *scales[0].tolist())
    for i in range(64):  # bf16 is the upper half of a float32, and these values need no rounding
        assert token[528 + 2 * i : 530 + 2 * i] == struct.pack("<f", i - 31.5)[2:]
    assert len(token) == 656


def test_unpack_gives_back_what_was_packed():
    codes = torch.randint(0, 256, (7, 512), dtype=torch.uint8)
    scales, rope = torch.rand(7, 4) + 0.1, torch.randn(7, 64).bfloat16()
    unpacked = kv_cache.unpack_tokens(kv_cache.pack_tokens(codes, scales, rope))
    for got, want in zip(unpacked, (codes, scales, rope), strict=True):
        assert got.dtype == want.dtype
        assert torch.equal(got, want)


def test_dequantize_agrees_with_a_byte_by_byte_reading():
    tokens = kv_cache.quantize_tokens(random_tokens(3))
    expected = torch.tensor([token_values(token) for token in tokens.tolist()], dtype=torch.float64)
    assert torch.equal(kv_cache.dequantize_tokens(tokens, torch.float64), expected)


def test_bytes_of_0xff_are_nan_everywhere():
    assert bool(kv_cache.dequantize_tokens(torch.full((2, 656), 0xFF, dtype=torch.uint8)).isnan().all())


@pytest.mark.parametrize("ue8m0", [False, True])
@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10_000), exponent=st.integers(-20, 20))
def test_quantization_error_is_half_a_step_of_e4m3(ue8m0, seed, exponent):
    kv = random_tokens(4, seed) * 2.0**exponent
    tokens = kv_cache.quantize_tokens(kv, ue8m0)
    _, scales, rope = kv_cache.unpack_tokens(tokens)
    back = kv_cache.dequantize_tokens(tokens, torch.float64)
    error = (back - kv.double())[:, :512].abs()
    limit = (
        kv[:, :512].abs().double() * 2**-4 * 1.0001 + scales.double().repeat_interleave(128, dim=1) * 2**-10 * 1.0001
    )
    assert bool((error <= limit).all())
    assert torch.equal(rope, kv[:, 512:].bfloat16())
    if ue8m0:
        assert bool((torch.frexp(scales)[0] == 0.5).all())


def test_a_zero_token_has_positive_scales_and_stays_zero():
    tokens = kv_cache.quantize_tokens(torch.zeros(2, 576))
    assert bool((kv_cache.unpack_tokens(tokens)[1] > 0).all())
    assert not kv_cache.dequantize_tokens(tokens).any()


def test_groups_are_scaled_apart():
    kv = torch.ones(1, 576)
    kv[0, 128:256] = 1e4
    back = kv_cache.dequantize_tokens(kv_cache.quantize_tokens(kv))
    torch.testing.assert_close(back, kv, rtol=1e-6, atol=0)


@pytest.mark.parametrize("page", [1, 2, 53, 64])
def test_sequence_slots_follow_the_block_table(page):
    blocks = torch.randperm(9)[:5].to(torch.int32)
    table = torch.cat([blocks, torch.tensor([-1, 2**31 - 1], dtype=torch.int32)])
    length = 5 * page
    slots = kv_cache.sequence_slots(table, page, 0, length)
    assert slots.tolist() == [int(blocks[j // page]) * page + j % page for j in range(length)]
    assert torch.equal(kv_cache.sequence_slots(table, page, length // 3, length - 1), slots[length // 3 : length - 1])
    assert kv_cache.sequence_slots(table, page, 4, 4).numel() == 0


def test_slots_do_not_overflow_32_bits():
    table = torch.tensor([2**31 - 1], dtype=torch.int32)
    assert kv_cache.sequence_slots(table, 64, 0, 1).item() == (2**31 - 1) * 64


def test_flatten_pages_is_a_view_in_slot_order():
    cache = torch.arange(3 * 4 * 5).view(3, 4, 1, 5)
    flat = kv_cache.flatten_pages(cache)
    assert flat.data_ptr() == cache.data_ptr()
    assert torch.equal(flat[2 * 4 + 3], cache[2, 3, 0])


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: kv_cache.quantize_tokens(torch.zeros(2, 512)), r"kv must have shape \[n, 576\], got \[2, 512\]"),
        (
            lambda: kv_cache.unpack_tokens(torch.zeros(2, 655, dtype=torch.uint8)),
            r"uint8 \[n, 656\], got uint8 \[2, 655\]",
        ),
        (lambda: kv_cache.unpack_tokens(torch.zeros(2, 656)), "got float32"),
    ],
)
def test_wrong_shapes_are_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_a_nan_stays_in_its_place():
    tokens = kv_cache.quantize_tokens(random_tokens(1))
    tokens[0, 5] = 0x7F
    values = kv_cache.dequantize_tokens(tokens)[0]
    assert [i for i, v in enumerate(values.tolist()) if math.isnan(v)] == [5]
