import torch


@torch.no_grad()
def run(q: torch.Tensor, kv: torch.Tensor, indices: torch.Tensor, sm_scale: float) -> tuple[torch.Tensor, torch.Tensor]:
    """Attention of query t over the rows indices[t] of kv; entries outside [0, s_kv) are skipped, the first 512 dims are V.

    lse is natural; a query without a valid entry gives out 0 and lse -inf.
    """
    s_q, h_q, _ = q.shape
    out = torch.zeros((s_q, h_q, 512), dtype=torch.bfloat16, device=q.device)
    lse = torch.full((s_q, h_q), -torch.inf, dtype=torch.float32, device=q.device)
    for t in range(s_q):
        chosen = indices[t, 0].long()
        rows = kv[chosen[(chosen >= 0) & (chosen < kv.shape[0])], 0].float()
        if len(rows):
            scores = q[t].float() @ rows.T * sm_scale
            lse[t] = torch.logsumexp(scores, dim=-1)
            out[t] = (torch.softmax(scores, dim=-1) @ rows[:, :512]).to(torch.bfloat16)
    return out, lse
