import torch


@torch.no_grad()
def run(logits: torch.Tensor, starts: torch.Tensor, ends: torch.Tensor, k: int, deterministic: bool) -> torch.Tensor:
    """The columns of the k highest of logits[r, starts[r]:ends[r]], ascending, -1 padded at the end. NaN ranks below -inf, +0 equals
    -0; of equal scores the lowest columns (without `deterministic` any of them, in any order, are right)."""
    indices = torch.full((logits.shape[0], k), -1, dtype=torch.int32, device=logits.device)
    for r in range(logits.shape[0]):
        start, end = int(starts[r]), int(ends[r])
        if end <= start:
            continue
        scores = logits[r, start:end]
        ranked = torch.sort(torch.where(scores.isnan(), -torch.inf, scores), descending=True, stable=True).indices
        nan_last = ranked[torch.sort(scores[ranked].isnan().int(), stable=True).indices]
        chosen = nan_last[:k].sort().values
        indices[r, : len(chosen)] = (chosen + start).int()
    return indices
