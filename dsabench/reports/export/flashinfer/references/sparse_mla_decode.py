import torch


@torch.no_grad()
def run(
    q: torch.Tensor, kv_cache: torch.Tensor, indices: torch.Tensor, sm_scale: float
) -> tuple[torch.Tensor, torch.Tensor]:
    """Attention of each query over the slots (block * page + offset) in its row of indices; entries out of range are skipped.

    A token of kv_cache (bytes): 512 e4m3 codes (the latent, V), 4 float32 scales of 128 dims each, 64 bfloat16 rope dims.
    lse is natural; a query without a valid entry gives out 0 and lse -inf.
    """
    b, s_q, h_q, _ = q.shape
    tokens = kv_cache.view(torch.uint8).flatten(0, 2)
    out = torch.zeros((b, s_q, h_q, 512), dtype=torch.bfloat16, device=q.device)
    lse = torch.full((b, s_q, h_q), -torch.inf, dtype=torch.float32, device=q.device)
    for i in range(b):
        for t in range(s_q):
            chosen = indices[i, t].long()
            mine = tokens[chosen[(chosen >= 0) & (chosen < tokens.shape[0])]]
            if not len(mine):
                continue
            codes = mine[:, :512].contiguous().view(torch.float8_e4m3fn).float()
            scales = mine[:, 512:528].contiguous().view(torch.float32)
            rope = mine[:, 528:].contiguous().view(torch.bfloat16).float()
            latent = codes * scales.repeat_interleave(128, dim=1)
            scores = q[i, t].float() @ torch.cat([latent, rope], dim=1).T * sm_scale
            lse[i, t] = torch.logsumexp(scores, dim=-1)
            out[i, t] = (torch.softmax(scores, dim=-1) @ latent).to(torch.bfloat16)
    return out, lse
