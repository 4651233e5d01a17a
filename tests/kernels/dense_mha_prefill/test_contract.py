import math
from dataclasses import replace

import pytest
import torch

from dsabench.kernels.dense_mha_prefill.contract import OP
from dsabench.kernels.workload import Workload

AXES = {"s_q": 6, "s_kv": 20, "h_q": 3, "causal": 1}


def make(distribution="normal", seed=0, **axes):
    return Workload.of(OP.name, {**AXES, **axes}, distribution, seed).make_inputs()


@pytest.mark.parametrize("distribution", OP.distributions)
def test_inputs_are_valid_and_reproducible(distribution):
    inputs, again, other = make(distribution, 3), make(distribution, 3), make(distribution, 4)
    OP.validate(inputs)
    assert OP.axes_of(inputs) == AXES
    for name in ("q", "k", "v"):
        assert bool(getattr(inputs, name).isfinite().all())
        assert torch.equal(getattr(inputs, name), getattr(again, name))
        assert torch.equal(getattr(inputs, name), getattr(other, name)) == (distribution == "zeros")


def test_heads_have_keys_of_their_own():
    inputs = make()
    assert not torch.equal(inputs.k[:, 0], inputs.k[:, 1])
    assert not torch.equal(inputs.v[:, 0], inputs.v[:, 1])


def test_outputs():
    out, lse = OP.empty_outputs(make())
    assert (out.shape, out.dtype) == ((6, 3, 128), torch.bfloat16)
    assert (lse.shape, lse.dtype) == ((6, 3), torch.float32)
    assert OP.row_count(make()) == 18


WRONG = [
    (
        {"q": torch.zeros(6, 3, 576, dtype=torch.bfloat16)},
        ValueError,
        r"q must have shape \[s_q, h_q, 192\], got \[6, 3, 576\]",
    ),
    ({"q": torch.zeros(6, 3, 192)}, TypeError, "q must have dtype bfloat16, got float32"),
    (
        {"q": torch.zeros(21, 3, 192, dtype=torch.bfloat16)},
        ValueError,
        "s_kv must be at least s_q = 21 when causal .* got 20",
    ),
    ({"k": torch.zeros(20, 1, 192, dtype=torch.bfloat16)}, ValueError, r"k .*h_q = 3.*got \[20, 1, 192\]"),
    ({"v": torch.zeros(20, 3, 192, dtype=torch.bfloat16)}, ValueError, r"v must have shape \[s_kv, h_q, 128\]"),
    ({"v": torch.zeros(19, 3, 128, dtype=torch.bfloat16)}, ValueError, "v .*s_kv = 20"),
    ({"sm_scale": math.inf}, ValueError, "sm_scale must be finite, got inf"),
    ({"causal": None}, TypeError, "causal must be a bool, got NoneType"),
    ({"v": torch.zeros(20, 3, 128, dtype=torch.bfloat16, device="meta")}, ValueError, "v is on meta but q is on cpu"),
]


@pytest.mark.parametrize(("change", "error", "message"), WRONG, ids=range(len(WRONG)))
def test_wrong_arguments_are_named(change, error, message):
    with pytest.raises(error, match=message) as raised:
        OP.validate(replace(make(), **change))
    assert "\n" not in str(raised.value)


def test_h_q_is_at_most_128():
    wide = {name: torch.zeros(2, 129, d, dtype=torch.bfloat16) for name, d in (("q", 192), ("k", 192), ("v", 128))}
    with pytest.raises(ValueError, match=r"h_q \(dim 1 of q\) must be in \[1, 128\], got 129"):
        OP.validate(replace(make(), **wide))


def test_more_queries_than_keys_need_causal_off():
    with pytest.raises(ValueError, match="at least s_q = 6 when causal"):
        make(s_kv=5)
    OP.validate(make(s_kv=5, causal=0))
