"""The verdict on indexer logits, row by row (REFERENCE §4). The paged op is judged by the same rules."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

import torch

from dsabench.kernels.compare_rows import row_cosine_difference, same_special_values
from dsabench.kernels.indexer_logits.reference import reference
from dsabench.kernels.op import Check, Outputs

if TYPE_CHECKING:
    from dsabench.kernels.indexer_logits.contract import Inputs

COSINE_LIMIT = 5e-6
SPAN_LIMIT = {"cpu": 2e-5}
GPU_SPAN_LIMIT = 5e-4
"""Hopper's fp8 products accumulate with about 14 bits"""
SHORT_WINDOW = 64
"""Below this many keys a row's span says little: one key with cancelling weights has a score far below its terms."""

_POISON = float(torch.full((4,), 0x7F, dtype=torch.uint8).view(torch.float32))
"""3.39e38: what an output filled with 0x7f bytes holds before the call, where a kernel writes nothing"""

_TILE = 4 * 1024 * 1024  # elements of the output looked at at a time

# (rows, columns), int64 [n] each -> bool [n]: whether the inputs themselves make that score NaN.
NanTest = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
# rows, int64 on the CPU -> float64 [len(rows), n]: the scores under |weights|, the scale of the terms each score is made of.
Magnitudes = Callable[[torch.Tensor], torch.Tensor]


def check(inputs: Inputs, outputs: Outputs, rows: torch.Tensor, expected: Outputs) -> Check:
    def is_nan(at_rows: torch.Tensor, columns: torch.Tensor) -> torch.Tensor:
        # Indexed as bytes: not every device indexes float8.
        q, k = inputs.q.view(torch.uint8)[at_rows], inputs.k.view(torch.uint8)[columns]
        in_query = nan_codes(q).any(-1) | inputs.weights[at_rows].isnan().any(-1)
        return in_query | nan_codes(k) | inputs.k_scale[columns].isnan()

    def magnitudes(at_rows: torch.Tensor) -> torch.Tensor:
        return reference(replace(inputs, weights=inputs.weights.abs()), at_rows)[0]

    return check_logits(outputs[0], inputs.ks, inputs.ke, rows, expected[0], is_nan, magnitudes)


def nan_codes(codes: torch.Tensor) -> torch.Tensor:
    """Whether there is a NaN among the last dim of `codes` float8_e4m3fn or uint8 [..., n]: bool [...]."""
    return ((codes.view(torch.uint8) & 0x7F) == 0x7F).any(-1)


def check_logits(
    logits: torch.Tensor,
    starts: torch.Tensor,
    ends: torch.Tensor,
    rows: torch.Tensor,
    expected: torch.Tensor,
    is_nan: NanTest,
    magnitudes: Magnitudes,
) -> Check:
    """logits float32 [R, n] with windows starts, ends int32 [R] on one device, where they are judged; expected float64
    [len(rows), n] for rows int64, both on the CPU."""
    span_limit = SPAN_LIMIT.get(logits.device.type, GPU_SPAN_LIMIT)
    rule = (
        f"per row: cosine difference < {COSINE_LIMIT:g}, no element off by more than {span_limit:g} of the row's span; "
        "on every row -inf outside the window exactly, NaN inside only where the inputs hold NaN"
    )
    worst, reason = _compare(logits, starts, ends, rows, expected, span_limit, magnitudes)
    reason = mask_fault(logits, starts, ends, is_nan) or reason
    return Check(not reason, len(rows), logits.shape[0], rule, worst, reason)


def mask_fault(logits: torch.Tensor, starts: torch.Tensor, ends: torch.Tensor, is_nan: NanTest) -> str:
    """ "" when every row of `logits` is -inf exactly outside its window and a written score inside, NaN only where its
    inputs call for it; else a sentence naming the first fault."""
    total, n = logits.shape
    columns = torch.arange(n, device=logits.device, dtype=torch.int32)
    step = max(1, _TILE // n)
    for first in range(0, total, step):
        part = logits[first : first + step]
        low, high = starts[first : first + step, None], ends[first : first + step, None]
        inside = (columns >= low) & (columns < high)
        wrong = torch.isneginf(part) == inside
        if bool(wrong.any()):
            row, column = (int(i) for i in wrong.nonzero()[0])
            want = "a score" if bool(inside[row, column]) else "-inf"
            return (
                f"logits: -inf mask: row {first + row}, column {column}: got {float(part[row, column])}, expected {want} "
                f"for the window [{int(low[row, 0])}, {int(high[row, 0])})"
            )
        odd = inside & ~(part.abs() < _POISON)  # NaN, infinities and what was never written
        if not bool(odd.any()):
            continue
        places = odd.nonzero()
        for some in places.split(65536):
            at_row, column = some[:, 0], some[:, 1]
            bad = ~(part[at_row, column].isnan() & is_nan(at_row + first, column))
            if bool(bad.any()):
                r, c = (int(i) for i in some[bad.nonzero()[0, 0]])
                return f"logits: row {first + r}, column {c}: got {float(part[r, c])}, expected a score"
    return ""


def _compare(
    logits: torch.Tensor,
    starts: torch.Tensor,
    ends: torch.Tensor,
    rows: torch.Tensor,
    expected: torch.Tensor,
    span_limit: float,
    magnitudes: Magnitudes,
) -> tuple[dict[str, float], str]:
    device = logits.device
    expected, there = expected.to(device), rows.to(device)
    actual = logits[there].double()
    both = torch.isfinite(expected) & torch.isfinite(actual)
    want, got = torch.where(both, expected, 0.0), torch.where(both, actual, 0.0)
    # A score of 0 (no head sees the key) is always possible, so 0 belongs to the span.
    span = want.amax(-1).clamp_min(0) - want.amin(-1).clamp_max(0)
    difference = row_cosine_difference(got, want)
    short = ((ends - starts)[there] < SHORT_WINDOW).nonzero()[:, 0]
    if len(short):
        terms = torch.where(both[short], magnitudes(rows[short.cpu()]).to(device), 0.0)
        span[short] = torch.maximum(span[short], terms.amax(-1))
        squares = got[short].square().sum(-1) + want[short].square().sum(-1)
        enlarged = torch.maximum(squares, 2 * terms.square().sum(-1))
        difference[short] *= squares / enlarged.clamp_min(torch.finfo(torch.float64).tiny)
    error = (got - want).abs()
    share = error.amax(-1) / span.clamp_min(torch.finfo(torch.float64).tiny)
    share = share.clamp_max(1e30)  # an error on a row of zeros; stays a JSON number
    worst = {
        "logits_row_cosine_difference": float(difference.max()),
        "logits_error_of_span": float(share.max()),
        "logits_max_abs": float(error.max()),
    }
    special = same_special_values("logits", actual, expected)
    if special:
        return worst, special
    if bool((share > span_limit).any()):
        row = int(share.argmax())
        column = int(error[row].argmax())
        return worst, (
            f"logits: row {int(rows[row])}, column {column}: got {float(actual[row, column]):.7g}, expected "
            f"{float(expected[row, column]):.7g}, off by {float(share[row]):.3g} of the row's span, limit {span_limit:g}"
        )
    if bool((difference >= COSINE_LIMIT).any()):
        row = int(difference.argmax())
        return worst, (
            f"logits: row {int(rows[row])} has cosine difference {float(difference[row]):.3g}, limit {COSINE_LIMIT:g}"
        )
    return worst, ""
