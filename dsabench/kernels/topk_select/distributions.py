"""Scores and windows for `topk_select`: what the indexer gives, and what broke real selection kernels."""

from __future__ import annotations

import torch

DISTRIBUTIONS = {
    "normal": "random scores, every row's window is the whole row",
    "causal": "random scores, windows end-aligned: row t sees [0, L - rows + t + 1)",
    "relu_scores": "most scores are exactly 0 and fewer than k above: the cut lies among ties",
    "equal": "all scores of a row are equal",
    "zeros": "all scores are 0",
    "one_bin": "all scores in [1.0, 1.245): one bin of a histogram over the leading bits",
    "near_ties": "two adjacent floats stand at the cut",
    "signed_zeros": "+0 and -0 mixed around the cut; they are equal",
    "denormals": "all scores are float32 subnormals of either sign",
    "ascending": "scores grow with the column: each beats all before it",
    "clustered": "the k highest stand side by side near the end: a strided sample sees few of them",
    "k_valid": "windows of exactly k keys, starting anywhere",
    "k_minus_1_valid": "windows of k - 1 keys, starting anywhere",
    "empty_windows": "half of the windows are empty, some of them with starts > ends",
    "ragged_windows": "every row has a window of its own, not starting at 0",
    "garbage_outside": "ragged windows with +inf, NaN, -inf and huge numbers outside",
    "minus_inf_inside": "fewer than k scores above -inf, a few of them +inf",
    "nan_inside": "NaN of either sign among the scores; in every other row too few others to fill k",
}


def draw(
    name: str, rows: int, columns: int, k: int, generator: torch.Generator
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """(logits float32 [rows, columns], starts, ends int32 [rows]) on the CPU."""
    logits = _scores(name, rows, columns, k, generator)
    starts, ends = _windows(name, rows, columns, k, generator)
    if name == "garbage_outside":
        garbage = torch.tensor([torch.inf, torch.nan, -torch.inf, 3e38])
        column = torch.arange(columns, dtype=torch.int32)
        outside = (column < starts[:, None]) | (column >= ends[:, None])
        logits = torch.where(outside, garbage[column % len(garbage)], logits)
    return logits, starts, ends


def _scores(name: str, rows: int, columns: int, k: int, generator: torch.Generator) -> torch.Tensor:
    shape = (rows, columns)
    few = min(0.5, k / (2 * columns))  # a share of the columns that comes to about k/2
    if name == "zeros":
        return torch.zeros(shape)
    if name == "equal":
        return torch.randn((rows, 1), generator=generator).repeat(1, columns)
    if name == "one_bin":
        return torch.rand(shape, generator=generator) * 0.245 + 1.0
    if name == "denormals":
        bits = torch.randint(1, 1 << 23, shape, generator=generator, dtype=torch.int32)
        sign = torch.randint(0, 2, shape, generator=generator, dtype=torch.int32) << 31
        return (bits | sign).view(torch.float32)
    scores = torch.randn(shape, generator=generator)
    if name == "ascending":
        return scores.mul_(0.25).add_(torch.arange(columns)).div_(columns)
    if name == "clustered":
        first = max(0, columns - k - 7)
        scores[:, first : first + k] += 20.0
        return scores
    if name not in ("relu_scores", "near_ties", "signed_zeros", "minus_inf_inside", "nan_inside"):
        return scores
    chance = torch.rand(shape, generator=generator)
    if name == "relu_scores":
        return torch.where(chance < few, scores.abs_(), 0.0)
    if name == "near_ties":
        tie = torch.full((rows, 1), 0.7)
        above = torch.nextafter(tie, torch.tensor(torch.inf))
        return torch.where(chance < few / 2, scores.abs_().add_(1.0), torch.where(chance < few, above, tie))
    if name == "signed_zeros":
        zero = torch.where(scores < 0, -0.0, 0.0)
        size = scores.abs()
        return torch.where(chance < few / 2, size, torch.where(chance > 0.9, -size, zero))
    if name == "minus_inf_inside":
        return torch.where(chance < few / 8, torch.inf, torch.where(chance < few, scores, -torch.inf))
    share = torch.full((rows, 1), 0.01)
    share[1::2] = 1.0 - few
    nan = torch.where(scores < 0, -torch.nan, torch.nan)
    lowest = torch.where(chance > 0.995, -torch.inf, scores)
    return torch.where(chance < share, nan, lowest)


def _windows(
    name: str, rows: int, columns: int, k: int, generator: torch.Generator
) -> tuple[torch.Tensor, torch.Tensor]:
    starts = torch.zeros(rows, dtype=torch.int32)
    ends = torch.full((rows,), columns, dtype=torch.int32)
    if name == "causal":
        ends = (columns - rows + 1 + torch.arange(rows, dtype=torch.int32)).clamp_min_(0)
    elif name in ("k_valid", "k_minus_1_valid"):
        length = min(columns, k - (name == "k_minus_1_valid"))
        starts = torch.randint(0, columns - length + 1, (rows,), generator=generator, dtype=torch.int32)
        ends = starts + length
    elif name in ("ragged_windows", "garbage_outside", "empty_windows"):
        a = torch.randint(0, columns, (rows,), generator=generator, dtype=torch.int32)
        b = torch.randint(0, columns, (rows,), generator=generator, dtype=torch.int32)
        starts, ends = torch.minimum(a, b), torch.maximum(a, b) + 1
        if name == "empty_windows":
            starts[::4], ends[::4] = ends[::4].clone(), starts[::4].clone()
            ends[1::4] = starts[1::4]
    return starts, ends
