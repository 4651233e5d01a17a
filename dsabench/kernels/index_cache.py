"""The indexer's paged key cache: 132 bytes a token, uint8 [num_blocks, 64, 1, 132].

The shape is what serving engines allocate; the bytes of a block are laid out otherwise: first the 64×128 e4m3 key bytes
of its 64 tokens, then their 64 float32 scales (DeepGEMM's `fp8_paged_mqa_logits`, DeepSeek-V3.2's inference code).
"""

from __future__ import annotations

import torch

from dsabench.kernels.fp8 import quantize_e4m3

BLOCK_TOKENS = 64
HEAD_DIM = 128
TOKEN_BYTES = HEAD_DIM + 4
BLOCK_BYTES = BLOCK_TOKENS * TOKEN_BYTES
SCALES_OFFSET = BLOCK_TOKENS * HEAD_DIM
"""byte of a block at which its scales begin: 8192"""

_NAN_CODE = 0x7F


def key_codes(cache: torch.Tensor) -> torch.Tensor:
    """The key bytes of `cache` uint8 [num_blocks, 64, 1, 132] as a float8_e4m3fn view [num_blocks, 64, 128], no copy."""
    return _blocks(cache)[:, :SCALES_OFFSET].view(torch.float8_e4m3fn).unflatten(1, (BLOCK_TOKENS, HEAD_DIM))


def key_scales(cache: torch.Tensor) -> torch.Tensor:
    """The scales of `cache` uint8 [num_blocks, 64, 1, 132] as a float32 view [num_blocks, 64], no copy."""
    return _blocks(cache)[:, SCALES_OFFSET:].view(torch.float32)


def fill_unused(cache: torch.Tensor) -> None:
    """Writes what a slot that no token ever took must be taken to hold: NaN, in codes (0x7f) and scales."""
    key_codes(cache).view(torch.uint8).fill_(_NAN_CODE)
    key_scales(cache).fill_(torch.nan)


def pack_index_cache(codes: torch.Tensor, scales: torch.Tensor) -> torch.Tensor:
    """Packs `codes` float8_e4m3fn [n, 128] and `scales` float32 [n] into a cache uint8 [ceil(n / 64), 64, 1, 132], token s
    in block s // 64, slot s % 64. Slots past n hold NaN. Raises ValueError when the shapes do not fit together."""
    if codes.dim() != 2 or codes.shape[1] != HEAD_DIM or scales.shape != codes.shape[:1]:
        raise ValueError(
            f"codes must be [n, {HEAD_DIM}] and scales [n], got {list(codes.shape)} and {list(scales.shape)}"
        )
    n = codes.shape[0]
    whole, rest = divmod(n, BLOCK_TOKENS)
    cache = torch.empty((whole + bool(rest), BLOCK_TOKENS, 1, TOKEN_BYTES), dtype=torch.uint8, device=codes.device)
    key_codes(cache)[:whole] = codes[: n - rest].unflatten(0, (whole, BLOCK_TOKENS)) if whole else codes[:0, None]
    key_scales(cache)[:whole] = scales[: n - rest].unflatten(0, (whole, BLOCK_TOKENS)) if whole else scales[:0, None]
    if rest:
        fill_unused(cache[whole:])
        key_codes(cache)[whole, :rest] = codes[n - rest :]
        key_scales(cache)[whole, :rest] = scales[n - rest :]
    return cache


def unpack_index_cache(cache: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """The inverse of `pack_index_cache`: (codes float8_e4m3fn [num_blocks·64, 128], scales float32 [num_blocks·64]),
    copies, every slot of every block, used or not."""
    return key_codes(cache).contiguous().flatten(0, 1), key_scales(cache).contiguous().flatten()


def quantize_to_index_cache(keys: torch.Tensor, ue8m0: bool = False) -> torch.Tensor:
    """Quantizes `keys` (floating point [n, 128]) with one scale a token and packs them, see `quantize_e4m3`."""
    codes, scales = quantize_e4m3(keys, HEAD_DIM, ue8m0)
    return pack_index_cache(codes, scales.squeeze(-1))


def _blocks(cache: torch.Tensor) -> torch.Tensor:
    return cache.view(cache.shape[0], BLOCK_BYTES)
