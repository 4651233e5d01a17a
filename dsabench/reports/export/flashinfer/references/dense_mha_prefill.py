import torch


@torch.no_grad()
def run(
    q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, sm_scale: float, causal: bool
) -> tuple[torch.Tensor, torch.Tensor]:
    """Attention of every head over its own keys; with causal query t sees the first s_kv - (s_q - 1 - t). lse is natural."""
    s_q, h_q, _ = q.shape
    s_kv = k.shape[0]
    out = torch.empty((s_q, h_q, 128), dtype=torch.bfloat16, device=q.device)
    lse = torch.empty((s_q, h_q), dtype=torch.float32, device=q.device)
    hidden = torch.zeros((s_q, s_kv), dtype=torch.bool, device=q.device)
    if causal:
        visible = s_kv - (s_q - 1) + torch.arange(s_q, device=q.device)
        hidden = torch.arange(s_kv, device=q.device) >= visible[:, None]
    for h in range(h_q):
        scores = q[:, h].float() @ k[:, h].float().T * sm_scale
        scores = scores.masked_fill(hidden, -torch.inf)
        lse[:, h] = torch.logsumexp(scores, dim=-1)
        out[:, h] = (torch.softmax(scores, dim=-1) @ v[:, h].float()).to(torch.bfloat16)
    return out, lse
