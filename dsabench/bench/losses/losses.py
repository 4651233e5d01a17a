"""What selecting k keys loses: recall of the FP8 indexer, attention mass kept, error of the output."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch

from dsabench.bench.losses.case import LossCase
from dsabench.bench.losses.dense import D_V, dense_attention
from dsabench.bench.losses.selection import exact_scores, fp8_scores, fp8_selections, ranked
from dsabench.bench.records import LossPoint, Spread
from dsabench.kernels.attention_reference import sparse_reference
from dsabench.kernels.compare_rows import row_cosine_difference
from dsabench.kernels.dispatch import call
from dsabench.kernels.sparse_mla_prefill.contract import Inputs as SparseInputs
from dsabench.kernels.topk_select.contract import MAX_K

LOSS_KS = (256, 512, 1024, 2048, 4096)
KERNEL_LIMIT = 0.01
"""Most that our sparse attention may differ from float64 over the same keys, ‖x − y‖/‖y‖ of a query's output: rounding
weights and output to bf16 costs 0.002."""


class KernelError(Exception):
    """The sparse attention that errors were to be measured with is itself wrong; the message says by how much."""


def check_ks(ks: Sequence[int]) -> None:
    """Raises ValueError unless `ks` are different numbers that `topk_select` takes, at least one."""
    if not ks:
        raise ValueError("ks must name at least one k, got none")
    for k in ks:
        if not 1 <= k <= MAX_K:
            raise ValueError(f"k must be in [1, {MAX_K}], got {k}")
    if len(set(ks)) != len(ks):
        raise ValueError(f"ks must differ, got {list(ks)}")


def measure_losses(
    case: LossCase, ks: Sequence[int], device: torch.device, tell: Callable[[str], None] = lambda _: None
) -> list[LossPoint]:
    """One point for each of `ks`, in their order. Our kernels run on `device`, what they are held against on the CPU; `tell`
    hears what is being done. Raises ValueError for bad `ks`, KernelError."""
    check_ks(ks)
    tell("dense attention")
    dense = dense_attention(case)
    tell("selections")
    selected = fp8_selections(case, fp8_scores(case, device), ks)
    exact = ranked(case, exact_scores(case), max(ks))
    best = ranked(case, dense.weights, max(ks))
    q, kv = case.q.to(device), case.kv.unsqueeze(1).to(device)
    points = []
    for k in ks:
        tell(f"sparse attention, k = {k}")
        indices = selected[k]
        sparse = call("sparse_mla_prefill", SparseInputs(q, kv, indices[:, None].to(device), case.sm_scale), None, None)
        out = sparse[0].cpu().double()
        _check_kernel(case, k, indices, out)
        points.append(
            LossPoint(
                structure=case.structure,
                synthetic=case.synthetic,
                context=case.context,
                k=k,
                queries=case.q.shape[0],
                h_q=case.q.shape[1],
                recall=spread(recall(indices, exact[:, :k], case.context)),
                mass=spread(mass(dense.weights, indices)),
                mass_exact=spread(mass(dense.weights, exact[:, :k])),
                mass_best=spread(mass(dense.weights, best[:, :k])),
                error=spread(relative_error(out, dense.out)),
                row_cosine=spread(row_cosine_difference(out.flatten(1), dense.out.flatten(1))),
                seed=case.seed,
            )
        )
    return points


def recall(selected: torch.Tensor, wanted: torch.Tensor, context: int) -> torch.Tensor:
    """float64 [n_q]: share of the keys `wanted` [n_q, k] that stand in `selected` [n_q, k]; both hold distinct positions and
    -1, and a row of `wanted` at least one position."""
    hits = _members(selected, context) & _members(wanted, context)
    return hits.sum(1).double() / (wanted >= 0).sum(1)


def _members(positions: torch.Tensor, context: int) -> torch.Tensor:
    """bool [n_q, context]."""
    held = torch.zeros((positions.shape[0], context + 1), dtype=torch.bool)
    held.scatter_(1, torch.where(positions < 0, context, positions.long()), True)
    return held[:, :context]


def mass(weights: torch.Tensor, positions: torch.Tensor) -> torch.Tensor:
    """float64 [n_q]: the sum of weights [n_q, context] at the distinct positions [n_q, k]; -1 counts nothing."""
    return weights.gather(1, positions.long().clamp_min(0)).masked_fill_(positions < 0, 0.0).sum(1)


def relative_error(actual: torch.Tensor, expected: torch.Tensor) -> torch.Tensor:
    """float64 [n_q]: ‖actual − expected‖ / ‖expected‖ of two float64 [n_q, …]; 0 where both are zero."""
    gap = (actual - expected).flatten(1).norm(dim=1)
    return gap / expected.flatten(1).norm(dim=1).clamp_min(torch.finfo(torch.float64).tiny)


def spread(values: torch.Tensor) -> Spread:
    """Of float64 [n]."""
    return Spread(low=float(values.min()), median=float(values.quantile(0.5)), high=float(values.max()))


def _check_kernel(case: LossCase, k: int, indices: torch.Tensor, out: torch.Tensor) -> None:
    expected, _ = sparse_reference(
        case.q,
        indices,
        indices >= 0,
        lambda rows: case.kv[rows].double(),
        case.sm_scale,
        None,
        torch.arange(case.q.shape[:2].numel()),
    )
    worst = float(relative_error(out, expected.view(-1, case.q.shape[1], D_V)).max())
    if not worst <= KERNEL_LIMIT:
        raise KernelError(
            f"sparse_mla_prefill differs from float64 over the same keys by {worst:.3g} of a query's output at k = {k}, "
            f"limit {KERNEL_LIMIT:g}; `dsabench verify --op sparse_mla_prefill` shows more"
        )
