from __future__ import annotations

import math

import pytest
import torch

from dsabench.kernels.arguments import check_integer, check_same_device, check_scalar, check_size, check_tensor


def test_names_bind_at_their_first_use_and_hold_after():
    sizes: dict[str, int] = {}
    check_tensor("q", torch.zeros(3, 5), torch.float32, ("rows", 5), sizes)
    assert sizes == {"rows": 3}
    check_tensor("w", torch.zeros(3), torch.float32, ("rows",), sizes)
    with pytest.raises(
        ValueError, match=r"w must have shape \[rows\] \(rows = 3 from an earlier argument\), got \[4\]"
    ):
        check_tensor("w", torch.zeros(4), torch.float32, ("rows",), sizes)


@pytest.mark.parametrize(
    ("value", "error", "message"),
    [
        ([1.0], TypeError, r"^x must be a torch\.Tensor, got list$"),
        (None, TypeError, r"^x must be a torch\.Tensor, got NoneType$"),
        (torch.zeros(2, 4, dtype=torch.float64), TypeError, r"^x must have dtype float32, got float64$"),
        (torch.zeros(4), ValueError, r"^x must have shape \[n, 4\], got \[4\]$"),
        (torch.zeros(2, 3), ValueError, r"^x must have shape \[n, 4\], got \[2, 3\]: dim 1 is 3$"),
        (torch.zeros(4, 2).T, ValueError, r"^x must be contiguous .* got strides \(1, 2\) for shape \[2, 4\]$"),
        (torch.zeros(2, 8)[:, ::2], ValueError, r"^x must be contiguous"),
    ],
)
def test_a_wrong_tensor_is_named_with_what_was_expected(value, error, message):
    with pytest.raises(error, match=message):
        check_tensor("x", value, torch.float32, ("n", 4), {})


def test_data_is_never_looked_at():
    check_tensor("cache", torch.full((2, 4), torch.nan), torch.float32, ("n", 4), {})


def test_devices_must_be_one():
    here, there = torch.zeros(1), torch.zeros(1, device="meta")
    assert check_same_device(q=here, k=here, sink=None) == torch.device("cpu")
    with pytest.raises(ValueError, match=r"^k is on meta but q is on cpu; put all on one device$"):
        check_same_device(q=here, sink=None, k=there)


@pytest.mark.parametrize("value", [0.5, 3, -1e30])
def test_finite_numbers_pass(value):
    check_scalar("sm_scale", value)


@pytest.mark.parametrize(
    ("value", "error", "message"),
    [
        (math.nan, ValueError, "^sm_scale must be finite, got nan$"),
        (-math.inf, ValueError, "^sm_scale must be finite, got -inf$"),
        ("1", TypeError, "^sm_scale must be a number, got str$"),
        (True, TypeError, "^sm_scale must be a number, got bool$"),
    ],
)
def test_a_wrong_number_is_named(value, error, message):
    with pytest.raises(error, match=message):
        check_scalar("sm_scale", value)


@pytest.mark.parametrize(
    ("value", "error", "message"),
    [
        (0, ValueError, r"^k must be in \[1, 4096\], got 0$"),
        (4097, ValueError, r"^k must be in \[1, 4096\], got 4097$"),
        (2.0, TypeError, "^k must be an int, got float$"),
        (True, TypeError, "^k must be an int, got bool$"),
    ],
)
def test_integers_outside_their_range_are_named(value, error, message):
    with pytest.raises(error, match=message):
        check_integer("k", value, 1, 4096)
    check_integer("k", 4096, 1, 4096)


def test_sizes_outside_their_range_are_named():
    check_size("q: s_q", 1, 1, 8)
    with pytest.raises(ValueError, match=r"^q: s_q must be in \[1, 8\], got 0$"):
        check_size("q: s_q", 0, 1, 8)
