"""bf16 rows to quantize: ordinary ones, and what breaks a quantizer."""

from __future__ import annotations

import torch

from dsabench.kernels.fp8 import AMAX_FLOOR, E4M3_MAX, E4M3_VALUES

VALUE_DISTRIBUTIONS = {
    "zeros": "all rows are zero, of either sign: the smallest scale there is",
    "tiny": "groups around the floor of amax, 1e-4, and bf16 subnormals",
    "halves": "scales are powers of two and values lie exactly between two codes, or beside that",
    "edges": "quotients at ±448 and beside, at the smallest codes and below; amax at and beside powers of two times 448",
    "spread": "within a group values from 2^-120 to 2^120: most codes are zero or subnormal",
    "huge": "values up to the largest bf16",
    "nonfinite": "a NaN, +inf or -inf in every third group, NaN of any bits where nothing is quantized",
    "any_bits": "every 16 bits there are, as they come",
}
"""What a row's values can be; slots are normal then."""

_LARGEST_EXPONENT = 118
"""448 · 2^118 is below the largest bf16, 2^128 − 2^120"""


def draw_rows(distribution: str, rows: int, width: int, group: int, generator: torch.Generator) -> torch.Tensor:
    """bf16 [rows, width] on the CPU; the leading width // group · group numbers of a row are quantized in groups. Any name that is
    not in VALUE_DISTRIBUTIONS draws normal values, whose size varies from row to row."""
    if distribution == "zeros":
        return torch.where(_chance((rows, width), generator) < 0.5, -0.0, 0.0).bfloat16()
    if distribution == "any_bits":
        return _bits(torch.randint(0, 1 << 16, (rows, width), generator=generator))
    if distribution in ("halves", "edges"):
        return _between_codes(distribution, rows, width, group, generator)
    values = torch.randn((rows, width), generator=generator)
    if distribution == "spread":
        values *= torch.exp2(torch.randint(-120, 121, (rows, width), generator=generator).float())
    elif distribution == "huge":
        values = values.clamp(-1, 1) * 3.3895e38
    elif distribution == "tiny":
        scale = torch.tensor([AMAX_FLOOR / 4, AMAX_FLOOR, 1e-38, 3e-40])
        values *= scale[torch.arange(-(-width // group)) % 4].repeat_interleave(group)[:width]
    else:
        values *= torch.exp2(torch.randn((rows, 1), generator=generator))
    drawn = values.bfloat16()
    if distribution == "nonfinite":
        _plant_nonfinite(drawn, group)
    return drawn


def _chance(shape: tuple[int, int], generator: torch.Generator) -> torch.Tensor:
    return torch.rand(shape, generator=generator)


def _bits(words: torch.Tensor) -> torch.Tensor:
    """The bf16 of integers in [0, 2^16)."""
    return words.to(torch.int32).to(torch.int16).view(torch.bfloat16)


def _between_codes(distribution: str, rows: int, width: int, group: int, generator: torch.Generator) -> torch.Tensor:
    """Rows of quotients between codes times a power of two, the largest of each group ±448 (`edges`: or beside)."""
    codes = torch.from_numpy(E4M3_VALUES[:127].copy())
    middles = (
        torch.cat([(codes[1:] + codes[:-1]) / 2, codes[:8] / 4])
        if distribution == "halves"
        else codes[[1, 2, 8, 125, 126]]
    )
    chosen = middles[torch.randint(0, len(middles), (rows, width), generator=generator)]
    sign = torch.where(_chance((rows, width), generator) < 0.5, -1.0, 1.0)
    # Of 7 bits after the point a bf16 has: one up, none, one down.
    beside = torch.randint(-1, 2, (rows, width), generator=generator).float() * torch.exp2(torch.tensor(-7.0))
    quotients = sign * chosen * (1 + beside)
    largest = torch.full((rows, -(-width // group)), E4M3_MAX)
    if distribution == "edges":
        # 446, 450: where rounding a scale up to a power of two doubles it or does not.
        largest = torch.tensor([446.0, 448.0, 450.0, 896.0])[torch.randint(0, 4, largest.shape, generator=generator)]
    quotients[:, group - 1 :: group] = largest[:, : len(range(group - 1, width, group))]
    quotients = quotients.clamp(
        -largest.repeat_interleave(group, 1)[:, :width], largest.repeat_interleave(group, 1)[:, :width]
    )
    # 2^-22 · 448 is just above the floor of amax.
    exponent = torch.randint(-21, _LARGEST_EXPONENT, (rows, 1), generator=generator)
    return (quotients * torch.exp2(exponent.float())).bfloat16()


def _plant_nonfinite(rows: torch.Tensor, group: int) -> None:
    """In place; groups are counted through all rows. What is behind the last whole group gets NaN with payloads."""
    count, width = rows.shape
    whole = width // group
    special = torch.tensor([torch.nan, torch.inf, -torch.inf]).bfloat16()
    for number in range(0, count * whole, 3):
        row, place = divmod(number, whole)
        rows[row, place * group + (37 * number + 5) % group] = special[number // 3 % 3]
    payloads = torch.tensor([0x7F81, 0xFFFF, 0x7F80, 0xFF80], dtype=torch.int32).to(torch.int16).view(torch.bfloat16)
    rest = width - whole * group
    if rest:
        rows[::2, whole * group :] = payloads[torch.arange(rest) % len(payloads)]
