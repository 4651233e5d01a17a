"""Layouts of paged KV caches: the 656-byte fp8 token of sparse MLA decode, and block tables.

One token of the fp8 cache, in bytes (REFERENCE §2, the layout of FlashMLA):

    0 … 511    512 e4m3 codes, the latent (V is these 512 dims, dequantized)
    512 … 527  4 float32 scales, little-endian, one per 128 dims
    528 … 655  64 bfloat16 rope dims, little-endian

The value of a latent dim is code · scale. Kernels that keep it in bf16 round it once more when the scale has more than
four significant bits; with `ue8m0` scales the product is exact in bf16.
"""

from __future__ import annotations

import torch

from dsabench.kernels.fp8 import dequantize_e4m3, quantize_e4m3

LATENT = 512
ROPE = 64
D_QK = LATENT + ROPE
GROUP = 128
SCALE_OFFSET = LATENT
ROPE_OFFSET = LATENT + 4 * (LATENT // GROUP)
TOKEN_BYTES = ROPE_OFFSET + 2 * ROPE
BF16_TOKEN_BYTES = 2 * D_QK


def quantize_tokens(kv: torch.Tensor, ue8m0: bool = False) -> torch.Tensor:
    """Tokens `kv` [n, 576] (floating) as fp8 cache tokens uint8 [n, 656]; `ue8m0` rounds the scales up to powers of two."""
    if kv.dim() != 2 or kv.shape[1] != D_QK:
        raise ValueError(f"kv must have shape [n, {D_QK}], got {list(kv.shape)}")
    codes, scales = quantize_e4m3(kv[:, :LATENT], GROUP, ue8m0)
    return pack_tokens(codes, scales, kv[:, LATENT:])


def pack_tokens(codes: torch.Tensor, scales: torch.Tensor, rope: torch.Tensor) -> torch.Tensor:
    """codes [n, 512] float8_e4m3fn or uint8, scales [n, 4] float32, rope [n, 64] (rounded to bf16) → uint8 [n, 656]."""
    tokens = torch.empty((codes.shape[0], TOKEN_BYTES), dtype=torch.uint8, device=codes.device)
    tokens[:, :SCALE_OFFSET] = codes.view(torch.uint8)
    tokens[:, SCALE_OFFSET:ROPE_OFFSET] = scales.float().contiguous().view(torch.uint8)
    tokens[:, ROPE_OFFSET:] = rope.to(torch.bfloat16).contiguous().view(torch.uint8)
    return tokens


def unpack_tokens(tokens: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """uint8 [n, 656] → codes uint8 [n, 512], scales float32 [n, 4], rope bfloat16 [n, 64]: the bytes, regrouped."""
    if tokens.dtype != torch.uint8 or tokens.dim() != 2 or tokens.shape[1] != TOKEN_BYTES:
        raise ValueError(
            f"tokens must be uint8 [n, {TOKEN_BYTES}], got {str(tokens.dtype).removeprefix('torch.')} {list(tokens.shape)}"
        )
    codes = tokens[:, :SCALE_OFFSET]
    scales = tokens[:, SCALE_OFFSET:ROPE_OFFSET].contiguous().view(torch.float32)
    rope = tokens[:, ROPE_OFFSET:].contiguous().view(torch.bfloat16)
    return codes, scales, rope


def dequantize_tokens(tokens: torch.Tensor, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    """uint8 [n, 656] → [n, 576] in `dtype`: code · scale (multiplied in `dtype`), then the rope dims."""
    codes, scales, rope = unpack_tokens(tokens)
    return torch.cat([dequantize_e4m3(codes, scales, dtype), rope.to(dtype)], dim=1)


def flatten_pages(kv_cache: torch.Tensor) -> torch.Tensor:
    """[num_blocks, page, 1, width] → [num_blocks·page, width], a view: row = physical slot = block·page + offset."""
    return kv_cache.flatten(0, 2)


def sequence_slots(block_table: torch.Tensor, page: int, first: int, last: int) -> torch.Tensor:
    """Physical slots int64 [last − first] of tokens first … last − 1 of a sequence; `block_table` [max_blocks] int32 is
    its row of the table. Only the blocks that hold these tokens are looked up."""
    tokens = torch.arange(first, last, device=block_table.device)
    return block_table[tokens // page].long() * page + tokens % page
