import torch


@torch.no_grad()
def run(kv_cache: torch.Tensor, slots: torch.Tensor) -> torch.Tensor:
    """The tokens in the given slots (block * page + offset) as bfloat16 rows; zeros where a slot is out of range.

    A token of kv_cache (bytes): 512 e4m3 codes, 4 float32 scales of 128 of them each, 64 bfloat16 rope dims. A latent dim is code
    times scale in float32, rounded to bfloat16.
    """
    tokens = kv_cache.view(torch.uint8).flatten(0, 2)
    kv = torch.zeros((slots.shape[0], 576), dtype=torch.bfloat16, device=slots.device)
    valid = (slots >= 0) & (slots < tokens.shape[0])
    mine = tokens[slots[valid].long()]
    codes = mine[:, :512].contiguous().view(torch.float8_e4m3fn).float()
    scales = mine[:, 512:528].contiguous().view(torch.float32)
    latent = codes * scales.repeat_interleave(128, dim=1)
    kv[valid] = torch.cat([latent.to(torch.bfloat16), mine[:, 528:].contiguous().view(torch.bfloat16)], dim=1)
    return kv
