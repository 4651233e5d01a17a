"""Explicit converters between conventions of the log-sum-exp. Nothing converts silently.

| who | base | row with no valid key |
|---|---|---|
| dsabench (REFERENCE §2) | e | -inf, the identity when partial results are merged |
| FlashMLA since 2026-01 | e | +inf |
| FlashMLA before, sparse prefill | 2 | -inf |
| flashinfer-bench | 2 | -inf |
"""

from __future__ import annotations

import math

import torch

_LN_2 = math.log(2.0)


def to_base_2(lse: torch.Tensor) -> torch.Tensor:
    """Natural LSE (floating, any shape) to base 2; infinities stay. The form of flashinfer-bench, and of FlashMLA's sparse
    prefill before 2026-01."""
    return lse / _LN_2


def from_base_2(lse: torch.Tensor) -> torch.Tensor:
    """The inverse of `to_base_2`."""
    return lse * _LN_2


def to_flashmla(lse: torch.Tensor) -> torch.Tensor:
    """Natural LSE with -inf for empty rows to FlashMLA's form since 2026-01: natural, +inf for empty rows.

    Raises ValueError when `lse` already holds +inf: it is not in dsabench's form."""
    if bool(torch.isposinf(lse).any()):
        raise ValueError("lse holds +inf, which dsabench's convention (-inf for empty rows) does not have")
    return torch.where(torch.isneginf(lse), torch.inf, lse)


def from_flashmla(lse: torch.Tensor) -> torch.Tensor:
    """FlashMLA's form since 2026-01 (natural, +inf for empty rows) to dsabench's (-inf).

    Raises ValueError when `lse` holds -inf: it is in an older form."""
    if bool(torch.isneginf(lse).any()):
        raise ValueError(
            "lse holds -inf, which FlashMLA's convention since 2026-01 (+inf for empty rows) does not have"
        )
    return torch.where(torch.isposinf(lse), -torch.inf, lse)
