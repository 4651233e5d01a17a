from __future__ import annotations

from dataclasses import FrozenInstanceError, replace

import pytest
import torch

from dsabench.kernels.fp8 import decode_e4m3
from dsabench.kernels.indexer_logits.contract import DISTRIBUTIONS, OP, make_inputs, validate
from dsabench.kernels.workload import Workload

CPU = torch.device("cpu")


def inputs_of(distribution: str = "normal", **axes: int):
    return Workload.of("indexer_logits", {"s_q": 6, "s_kv": 50, "h": 8, **axes}, distribution).make_inputs()


@pytest.mark.parametrize("distribution", DISTRIBUTIONS)
@pytest.mark.parametrize(("s_q", "s_kv"), [(1, 1), (6, 50), (5, 3)])
def test_every_distribution_is_valid_at_every_shape(distribution, s_q, s_kv):
    inputs = inputs_of(distribution, s_q=s_q, s_kv=s_kv)
    validate(inputs)
    (logits,) = OP.empty_outputs(inputs)
    assert logits.shape == (s_q, s_kv)
    assert logits.dtype == torch.float32
    assert OP.row_count(inputs) == s_q


def test_causal_windows_end_with_the_last_key():
    inputs = inputs_of(causal=1)
    assert inputs.ks.tolist() == [0] * 6
    assert inputs.ke.tolist() == [45, 46, 47, 48, 49, 50]
    assert inputs_of(causal=0).ke.tolist() == [50] * 6
    assert inputs_of(causal=1, s_kv=2).ke.tolist() == [0, 0, 0, 0, 1, 2]


def test_axes_come_back_from_a_call():
    for causal in (0, 1):
        assert OP.axes_of(inputs_of(causal=causal)) == {"s_q": 6, "s_kv": 50, "h": 8, "causal": causal}


def test_normal_data_is_random_and_scaled_like_the_model():
    inputs = inputs_of(s_q=64, s_kv=4096, h=64)
    k = decode_e4m3(inputs.k) * inputs.k_scale[:, None]
    assert 0.9 < float(k.std()) < 1.3
    assert (decode_e4m3(inputs.k).abs().amax(-1) == 448).all()
    assert inputs.k_scale.unique().numel() > 4000
    assert (inputs.weights > 0).any()
    assert (inputs.weights < 0).any()


def test_more_keys_than_are_drawn_do_not_repeat_their_scores():
    inputs = inputs_of(s_q=1, s_kv=70000)
    repeated = (inputs.k.view(torch.uint8)[:32768] == inputs.k.view(torch.uint8)[32768:65536]).all(-1)
    assert repeated.all()
    assert (inputs.k_scale[:32768] != inputs.k_scale[32768:65536]).float().mean() > 0.99


def test_distributions_hold_what_they_promise():
    assert (decode_e4m3(inputs_of("zeros").q) == 0).all()
    equal = inputs_of("equal")
    assert (decode_e4m3(equal.k) == decode_e4m3(equal.k[:1])).all()
    assert equal.k_scale.unique().numel() == 1
    amax_zero = inputs_of("amax_zero")
    assert (decode_e4m3(amax_zero.k[::2]) == 0).all()
    assert torch.equal(amax_zero.k_scale[::2], torch.full((25,), 1e-4) / 448)
    assert (torch.frexp(inputs_of("ue8m0").k_scale).mantissa == 0.5).all()
    assert (inputs_of("negative_weights").weights < 0).all()
    assert (decode_e4m3(inputs_of("saturated").k).abs() == 448).all()
    assert (decode_e4m3(inputs_of("subnormal_codes").k).abs() < 2.0**-6).all()
    assert (decode_e4m3(inputs_of("subnormal_codes").k) != 0).any()
    empty = inputs_of("empty_windows", s_q=40)
    assert ((empty.ks >= empty.ke).sum() == 20) & (empty.ks > empty.ke).any()
    ragged = inputs_of("ragged_windows", s_q=40)
    assert ((ragged.ks < ragged.ke) & (ragged.ks > 0)).sum() > 20
    outside = inputs_of("nan_outside")
    reached = torch.zeros(50, dtype=torch.bool)
    for start, end in zip(outside.ks, outside.ke, strict=True):
        reached[start:end] = True
    assert not decode_e4m3(outside.k)[reached].isnan().any()
    assert outside.k_scale.isnan().sum() >= 25


def test_ue8m0_scales_stay_powers_of_two_past_the_drawn_keys():
    assert (torch.frexp(inputs_of("ue8m0", s_q=1, s_kv=40000).k_scale).mantissa == 0.5).all()


def test_inputs_are_frozen():
    with pytest.raises(FrozenInstanceError):
        inputs_of().q = torch.zeros(1)


@pytest.mark.parametrize("h", [9, 12, 24, 63])
def test_head_counts_that_no_kernel_takes(h):
    with pytest.raises(ValueError, match=rf"axis h must be one of \[8, 16, 32, 64\], got {h}"):
        make_inputs({"s_q": 1, "s_kv": 8, "h": h, "causal": 1}, "normal", 0, CPU)


FLOAT8 = torch.float8_e4m3fn


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"q": torch.zeros(6, 8, 128)}, TypeError, "^q must have dtype float8_e4m3fn, got float32"),
        ({"q": torch.zeros(6, 8, 64).to(FLOAT8)}, ValueError, r"^q must have shape \[s_q, h, 128\].*dim 2 is 64"),
        ({"q": torch.zeros(6, 128).to(FLOAT8)}, ValueError, r"^q must have shape \[s_q, h, 128\], got \[6, 128\]"),
        ({"q": torch.zeros(0, 8, 128).to(FLOAT8), "weights": torch.zeros(0, 8), "ks": torch.zeros(0, dtype=torch.int32),
          "ke": torch.zeros(0, dtype=torch.int32)}, ValueError, "^q: s_q"),
        ({"q": torch.zeros(6, 12, 128).to(FLOAT8), "weights": torch.zeros(6, 12)}, ValueError,
         r"^q must have h in \[8, 16, 32, 64\] heads, got 12"),
        ({"q": None}, TypeError, r"^q must be a torch\.Tensor, got NoneType"),
        ({"k": torch.zeros(50, 1, 128).to(FLOAT8)}, ValueError, r"^k must have shape \[s_kv, 128\]"),
        ({"k": torch.zeros(50, 128, dtype=torch.uint8)}, TypeError, "^k must have dtype float8_e4m3fn, got uint8"),
        ({"k": torch.zeros(50, 256).to(FLOAT8)[:, ::2]}, ValueError, "^k must be contiguous"),
        ({"k": torch.zeros(0, 128).to(FLOAT8), "k_scale": torch.zeros(0)}, ValueError, "^k: s_kv"),
        ({"k_scale": torch.zeros(49)}, ValueError, r"^k_scale must have shape \[s_kv\] \(s_kv = 50.*got \[49\]"),
        ({"k_scale": torch.zeros(50, 1)}, ValueError, "^k_scale must have shape"),
        ({"k_scale": torch.zeros(50, dtype=torch.float64)}, TypeError, "^k_scale must have dtype float32, got float64"),
        ({"weights": torch.zeros(6, 16)}, ValueError, r"^weights must have shape .*h = 8.*got \[6, 16\]"),
        ({"weights": torch.zeros(5, 8)}, ValueError, r"^weights .*s_q = 6"),
        ({"weights": torch.zeros(6, 8, dtype=torch.bfloat16)}, TypeError, "^weights must have dtype float32, got bfloat16"),
        ({"ks": torch.zeros(6, dtype=torch.int64)}, TypeError, "^ks must have dtype int32, got int64"),
        ({"ke": torch.zeros(7, dtype=torch.int32)}, ValueError, "^ke must have shape"),
        ({"ks": torch.tensor([0, 0, -1, 0, 0, 0], dtype=torch.int32)}, ValueError, r"^ks must be in \[0, 50\], got -1 at \[2\]"),
        ({"ke": torch.tensor([0, 0, 0, 0, 0, 51], dtype=torch.int32)}, ValueError, r"^ke must be in \[0, 50\], got 51 at \[5\]"),
        ({"weights": torch.zeros(6, 8, device="meta")}, ValueError, "^weights is on meta but q is on cpu"),
        ({"ke": torch.zeros(6, dtype=torch.int32, device="meta")}, ValueError, "^ke is on meta but q is on cpu"),
    ],
)  # fmt: skip
def test_wrong_arguments_are_named(change, error, message):
    with pytest.raises(error, match=message):
        validate(replace(inputs_of(), **change))


def test_keys_that_are_nan_are_not_looked_at():
    inputs = inputs_of()
    validate(replace(inputs, k=torch.full((50, 128), 0x7F, dtype=torch.uint8).view(FLOAT8)))
