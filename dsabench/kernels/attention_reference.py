"""Float64 attention for the references: one group of rows that share their keys, streamed in chunks."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch

KeyLoader = Callable[[int, int], tuple[torch.Tensor, torch.Tensor]]

# 1024 keys of 576 float64 are 4.7 MB: chunks stay near the cache, and scores of 1024 rows at 8 MB.
_KEYS = 1024
_ROWS = 1024
# Loading (gather, dequantize, widen) an element of a key costs about as much as this many FLOPs of the float64 product.
_LOAD_FLOPS = 30
# Rows are sampled for about this many FLOPs (`workload.sample_rows`); only used to judge how far loads are shared.
_SAMPLE_FLOPS = 4e9


def groups(group: torch.Tensor) -> Iterator[tuple[int, torch.Tensor]]:
    """(value, positions) of each different value of `group` [rows] int64."""
    order = torch.argsort(group, stable=True)
    values, counts = torch.unique_consecutive(group[order], return_counts=True)
    yield from zip(values.tolist(), order.split(counts.tolist()), strict=True)


def attend(
    q: torch.Tensor, visible: torch.Tensor, load: KeyLoader, sm_scale: float, d_v: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """Attention of `q` [rows, d_qk] float64, row i over the first visible[i] keys. `load(first, last)` gives these keys
    float64 [n, d_qk] and values [n, d_v]; it is called once per chunk of keys and block of rows.

    Returns out [rows, d_v], lse [rows] (natural), float64; a row that sees no key gives 0 and -inf."""
    outs, lses = zip(
        *(
            _attend_block(q[at : at + _ROWS], visible[at : at + _ROWS], load, sm_scale, d_v)
            for at in range(0, q.shape[0], _ROWS)
        ),
        strict=True,
    )
    return torch.cat(outs), torch.cat(lses)


def _attend_block(
    q: torch.Tensor, visible: torch.Tensor, load: KeyLoader, sm_scale: float, d_v: int
) -> tuple[torch.Tensor, torch.Tensor]:
    peak = torch.full((q.shape[0], 1), -torch.inf, dtype=torch.float64)
    total = torch.zeros((q.shape[0], 1), dtype=torch.float64)
    out = torch.zeros((q.shape[0], d_v), dtype=torch.float64)
    keys = max(int(visible.max()), 0)
    for first in range(0, keys, _KEYS):
        last = min(first + _KEYS, keys)
        k, v = load(first, last)
        scores = (q @ k.T) * sm_scale
        scores.masked_fill_(torch.arange(first, last) >= visible[:, None], -torch.inf)
        new_peak = torch.maximum(peak, scores.amax(1, keepdim=True))
        shift = torch.where(torch.isneginf(new_peak), 0.0, new_peak)
        decay = torch.exp(peak - shift)
        weights = torch.exp(scores - shift)
        total = total * decay + weights.sum(1, keepdim=True)
        out = out * decay + weights @ v
        peak = new_peak
    seen = total > 0
    out = torch.where(seen, out / torch.where(seen, total, 1.0), 0.0)
    return out, (peak + torch.log(total))[:, 0]


def apply_sink(out: torch.Tensor, lse: torch.Tensor, sink: torch.Tensor) -> torch.Tensor:
    """out [rows, d_v] · exp(lse)/(exp(lse) + exp(sink)); lse, sink [rows]; all float64. Empty rows stay 0; sink -inf changes
    nothing, sink +inf gives 0."""
    exponent = torch.where(torch.isneginf(lse), -torch.inf, lse - sink)
    return out * torch.sigmoid(exponent)[:, None]


def estimated_row_flops(keys: float, d_qk: int, d_v: int, group_count: int) -> float:
    """FLOPs of one row over `keys` keys, plus its share of loading them. Loads are shared by the checked rows of a group,
    so their share falls when there are fewer groups than rows in the sample."""
    products = max(2.0 * keys * (d_qk + d_v), 1.0)
    return products + keys * max(d_qk, d_v) * _LOAD_FLOPS * min(1.0, group_count * products / _SAMPLE_FLOPS)


def sparse_reference(
    q: torch.Tensor,
    indices: torch.Tensor,
    counted: torch.Tensor,
    load_rows: Callable[[torch.Tensor], torch.Tensor],
    sm_scale: float,
    attn_sink: torch.Tensor | None,
    rows: torch.Tensor,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Sparse MLA of the rows (query · h_q + head) in `rows` [n] int64.

    q [queries, h_q, 576]; indices [queries, k] and counted (bool) on the CPU; load_rows(index int64 [m]) → float64 [m, 576]
    on the CPU, called once per query and chunk. Returns out [n, 512], lse [n] float64."""
    h_q = q.shape[1]
    out = torch.empty((rows.numel(), 512), dtype=torch.float64)
    lse = torch.empty(rows.numel(), dtype=torch.float64)
    for query, positions in groups(rows // h_q):
        keys = indices[query][counted[query]].long()

        def load(first: int, last: int, keys: torch.Tensor = keys) -> tuple[torch.Tensor, torch.Tensor]:
            kv = load_rows(keys[first:last])
            return kv, kv[:, :512]

        heads = rows[positions] % h_q
        visible = torch.full((positions.numel(),), keys.numel())
        q_rows = q[query].cpu()[heads].double()
        out[positions], lse[positions] = attend(q_rows, visible, load, sm_scale, 512)
    if attn_sink is not None:
        out = apply_sink(out, lse, attn_sink.cpu().double()[rows % h_q])
    return out, lse
