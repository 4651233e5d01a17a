import torch


@torch.no_grad()
def run(
    q: torch.Tensor, k: torch.Tensor, k_scale: torch.Tensor, weights: torch.Tensor, ks: torch.Tensor, ke: torch.Tensor
) -> torch.Tensor:
    """logits[t, s] = k_scale[s] * sum over heads of weights[t, h] * relu(q[t, h] . k[s]) for ks[t] <= s < ke[t], else -inf."""
    keys = k.float()
    columns = torch.arange(k.shape[0], device=k.device)
    logits = torch.empty((q.shape[0], k.shape[0]), dtype=torch.float32, device=q.device)
    for t in range(q.shape[0]):
        scores = weights[t] @ torch.relu(q[t].float() @ keys.T) * k_scale
        outside = (columns < ks[t]) | (columns >= ke[t])
        logits[t] = scores.masked_fill(outside, -torch.inf)
    return logits
