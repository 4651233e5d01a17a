"""Row-by-row comparison of an output with its reference. A global measure hides a wrong row, so none is used."""

from __future__ import annotations

from dataclasses import dataclass

import torch


@dataclass(frozen=True)
class RowComparison:
    """worst: largest error by measure over the finite elements; reason: "" or the first broken rule."""

    worst: dict[str, float]
    reason: str


def row_cosine_difference(actual: torch.Tensor, expected: torch.Tensor) -> torch.Tensor:
    """1 − 2⟨x,y⟩/(‖x‖²+‖y‖²) of each row of two float64 [rows, n]; 0 where both rows are zero (REFERENCE §4)."""
    # ‖x−y‖²/(‖x‖²+‖y‖²) is the same number without the cancellation of the usual form.
    scale = actual.square().sum(-1) + expected.square().sum(-1)
    gap = (actual - expected).square().sum(-1)
    return torch.where(scale > 0, gap / scale.clamp_min(torch.finfo(torch.float64).tiny), gap)


def same_special_values(name: str, actual: torch.Tensor, expected: torch.Tensor) -> str:
    """ "" when +inf, -inf and NaN stand at exactly the same places, else a sentence that names the first difference.
    Both [rows, n]."""
    for label, test in (("NaN", torch.isnan), ("-inf", torch.isneginf), ("+inf", torch.isposinf)):
        wrong = test(actual) != test(expected)
        if bool(wrong.any()):
            row, column = (int(i) for i in wrong.nonzero()[0])
            got, want = float(actual[row, column]), float(expected[row, column])
            count = int(wrong.sum())
            return f"{name}: {label} mask differs at checked row {row}, column {column}: got {got}, expected {want} ({count} in all)"
    return ""


def compare_elements(
    name: str, actual: torch.Tensor, expected: torch.Tensor, abs_limit: float, rel_limit: float
) -> RowComparison:
    """Each finite element must have |error| < abs_limit or |error| < rel_limit·|expected|. Both float64 [rows, n]."""
    special = same_special_values(name, actual, expected)
    finite = torch.isfinite(expected) & torch.isfinite(actual)
    error = torch.where(finite, (actual - expected).abs(), 0.0)
    magnitude = torch.where(finite, expected.abs(), 1.0)
    worst = {f"{name}_max_abs": float(error.max()) if error.numel() else 0.0}
    if special:
        return RowComparison(worst, special)
    wrong = (error >= abs_limit) & (error >= rel_limit * magnitude)
    if bool(wrong.any()):
        excess = torch.where(wrong, error / torch.maximum(torch.tensor(abs_limit), rel_limit * magnitude), 0.0)
        row, column = divmod(int(excess.argmax()), actual.shape[-1])
        got, want = float(actual[row, column]), float(expected[row, column])
        return RowComparison(
            worst,
            f"{name}: checked row {row}, column {column}: got {got:.7g}, expected {want:.7g}; "
            f"limit abs {abs_limit:g} or rel {rel_limit:.3g} ({int(wrong.sum())} elements off)",
        )
    return RowComparison(worst, "")


def compare_cosine(name: str, actual: torch.Tensor, expected: torch.Tensor, limit: float) -> RowComparison:
    """The cosine difference of every row, over its finite elements, must stay below `limit`. Both float64 [rows, n]."""
    finite = torch.isfinite(expected) & torch.isfinite(actual)
    difference = row_cosine_difference(torch.where(finite, actual, 0.0), torch.where(finite, expected, 0.0))
    largest = float(difference.max()) if difference.numel() else 0.0
    worst = {f"{name}_row_cosine_difference": largest}
    if largest >= limit:
        row = int(difference.argmax())
        return RowComparison(worst, f"{name}: checked row {row} has cosine difference {largest:.3g}, limit {limit:g}")
    return RowComparison(worst, "")
