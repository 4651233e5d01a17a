import torch


@torch.no_grad()
def run(
    q: torch.Tensor,
    kv_cache: torch.Tensor,
    block_table: torch.Tensor,
    cache_seqlens: torch.Tensor,
    sm_scale: float,
    causal: bool,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Attention over the first cache_seqlens[i] tokens of sequence i, with causal the first cache_seqlens[i] - (s_q - 1 - t).

    The first 512 dims are V. lse is natural; a query that sees no key gives out 0 and lse -inf.
    """
    b, s_q, h_q, _ = q.shape
    page = kv_cache.shape[1]
    out = torch.zeros((b, s_q, h_q, 512), dtype=torch.bfloat16, device=q.device)
    lse = torch.full((b, s_q, h_q), -torch.inf, dtype=torch.float32, device=q.device)
    for i in range(b):
        length = int(cache_seqlens[i])
        keys = kv_cache[block_table[i, : (length + page - 1) // page].long()].flatten(0, 2)[:length].float()
        for t in range(s_q):
            seen = keys[: max(length - (s_q - 1 - t), 0)] if causal else keys
            if len(seen):
                scores = q[i, t].float() @ seen.T * sm_scale
                lse[i, t] = torch.logsumexp(scores, dim=-1)
                out[i, t] = (torch.softmax(scores, dim=-1) @ seen[:, :512]).to(torch.bfloat16)
    return out, lse
