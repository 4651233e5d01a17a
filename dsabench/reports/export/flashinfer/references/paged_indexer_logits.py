import torch


@torch.no_grad()
def run(
    q: torch.Tensor,
    k_cache: torch.Tensor,
    weights: torch.Tensor,
    context_lens: torch.Tensor,
    block_table: torch.Tensor,
    max_context_len: int,
) -> torch.Tensor:
    """Row i * next_n + j scores the first context_lens[i, j] tokens of sequence i; -inf from there on.

    A block of k_cache (bytes) holds 64 x 128 e4m3 keys, then the 64 float32 scales of its tokens.
    """
    b, next_n = q.shape[:2]
    blocks = k_cache.view(torch.uint8).flatten(1)
    logits = torch.full((b * next_n, max_context_len), -torch.inf, dtype=torch.float32, device=q.device)
    for i in range(b):
        longest = int(context_lens[i].max())
        mine = blocks[block_table[i, : (longest + 63) // 64].long()]
        keys = mine[:, :8192].reshape(-1, 128).view(torch.float8_e4m3fn)[:longest].float()
        scales = mine[:, 8192:].contiguous().view(torch.float32).flatten()[:longest]
        for j in range(next_n):
            row, length = i * next_n + j, int(context_lens[i, j])
            scores = weights[row] @ torch.relu(q[i, j].float() @ keys[:length].T) * scales[:length]
            logits[row, :length] = scores
    return logits
