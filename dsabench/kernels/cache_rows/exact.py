"""The formulas of the fp8 caches in exact arithmetic (REFERENCE §2), from float64 and the table of codes; no implementation's steps.

A quotient of two float32 that is rounded to float64 and then to float32 is the IEEE quotient (53 >= 2 · 24 + 2 bits: S. A. Figueroa,
"When is double rounding innocuous?", SIGNUM Newsletter 30, 1995), and a product of a code's 4 and a float32's 24 bits is exact in
float64. So outputs are compared byte by byte.
"""

from __future__ import annotations

import numpy as np
import torch

from dsabench.kernels.fp8 import AMAX_FLOOR, E4M3_MAX, E4M3_VALUES

NAN_CODE = 0x7F
NAN_BITS = 0x7FC00000

_CODES = E4M3_VALUES[:127].astype(np.float64)
_MIDDLES = (_CODES[1:] + _CODES[:-1]) / 2


def exact_codes(quotients: np.ndarray) -> np.ndarray:
    """uint8 e4m3 of float32 `quotients` of any shape: nearest, ties to the even code, beyond ±448 to ±448; NaN is 0x7f."""
    size = np.abs(quotients.astype(np.float64))
    below = np.searchsorted(_MIDDLES, size, side="left")  # a value on the middle of codes c and c + 1 gets c
    on_middle = (below < len(_MIDDLES)) & (_MIDDLES[np.minimum(below, len(_MIDDLES) - 1)] == size)
    codes = below + (on_middle & (below % 2 == 1))
    signed = codes.astype(np.uint8) | (np.signbit(quotients).astype(np.uint8) << 7)
    return np.where(np.isnan(quotients), np.uint8(NAN_CODE), signed)


def exact_quantized(rows: torch.Tensor, group: int, ue8m0: bool) -> tuple[np.ndarray, np.ndarray]:
    """(uint8 codes [n, width], float32 scales [n, width // group]) of bf16 rows [n, width]: scale = max(amax, 1e-4) / 448, as
    float32, with `ue8m0` the lowest power of two that is no less; code = e4m3 of the float32 value / scale.

    A group with a NaN has a NaN for its scale and NaN codes. One with an infinity and no NaN has the scale inf, for infinities NaN
    codes, for all else zeros of the value's sign.
    """
    with np.errstate(invalid="ignore"):
        values = rows.cpu().double().numpy().reshape(rows.shape[0], -1, group)
        amax = np.abs(values).max(-1)  # NaN where there is one
        scales = (np.maximum(amax, np.float64(np.float32(AMAX_FLOOR))) / E4M3_MAX).astype(np.float32)
        if ue8m0:
            fraction, exponent = np.frexp(scales)  # scale = fraction · 2^exponent, 1/2 <= fraction < 1
            powers = np.ldexp(np.float32(1), exponent - (fraction == 0.5)).astype(np.float32)
            scales = np.where(np.isfinite(scales), powers, scales)
        quotients = (values / scales.astype(np.float64)[..., None]).astype(np.float32)
    return exact_codes(quotients).reshape(rows.shape), scales


def exact_dequantized(codes: torch.Tensor, scales: torch.Tensor) -> torch.Tensor:
    """bf16 [n, width] of uint8 codes and float32 scales [n, groups]: code · scale as float32, rounded to bf16, ties to even; NaN where
    one of them is."""
    n, width = codes.shape
    with np.errstate(invalid="ignore", over="ignore"):
        values = E4M3_VALUES.astype(np.float64)[codes.cpu().numpy()].reshape(n, scales.shape[1], -1)
        products = (values * scales.cpu().numpy().astype(np.float64)[..., None]).astype(np.float32)
    bits = products.view(np.uint32).astype(np.uint64)
    rounded = (bits + 0x7FFF + ((bits >> 16) & 1)) >> 16
    words = np.where(np.isnan(products), NAN_BITS >> 16, rounded).astype(np.uint16)
    return torch.from_numpy(words.view(np.int16).reshape(n, width)).view(torch.bfloat16)
