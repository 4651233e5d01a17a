"""The check that the four attention ops share: special values on all rows, tolerances on the checked ones."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from dsabench.kernels.compare_rows import compare_cosine, compare_elements
from dsabench.kernels.op import Check, Outputs


@dataclass(frozen=True)
class Tolerance:
    """Limits of `out`: each element abs < out_abs or rel < out_rel, each row's cosine difference < cosine; of `lse`: each
    element abs < lse_abs or rel < lse_rel (REFERENCE §4)."""

    out_abs: float
    out_rel: float
    cosine: float = 1e-5
    lse_abs: float = 1e-6
    lse_rel: float = 8.01 / 65536

    @property
    def rule(self) -> str:
        return (
            f"per row: out abs < {self.out_abs:g} or rel < {self.out_rel:.4g}, cosine difference < {self.cosine:g}; "
            f"lse abs < {self.lse_abs:g} or rel < {self.lse_rel:.4g}; all rows: finite, empty rows out 0 and lse -inf"
        )


PREFILL = Tolerance(out_abs=8e-4, out_rel=3.01 / 128)
DECODE = Tolerance(out_abs=1e-3, out_rel=2.01 / 128)

_SCAN = 1 << 24  # elements looked at in one step, so that the scan of all rows needs tens of MB


def check_attention(
    outputs: Outputs, has_key: torch.Tensor, rows: torch.Tensor, expected: Outputs, tolerance: Tolerance
) -> Check:
    """outputs = (out […, h_q, d_v], lse […, h_q]); has_key bool [queries] on the CPU: the query sees at least one key;
    expected = (out [n, d_v], lse [n]) float64 of `rows` [n], rows counted as query · h_q + head."""
    out, lse = outputs[0].flatten(0, -3), outputs[1].flatten(0, -2)
    total = lse.numel()
    reason = _scan(out, lse, has_key)
    at = rows.to(lse.device)
    actual_out = out.flatten(0, 1)[at].cpu().double()
    actual_lse = lse.flatten()[at].cpu().double()[:, None]
    comparisons = (
        compare_elements("lse", actual_lse, expected[1][:, None], tolerance.lse_abs, tolerance.lse_rel),
        compare_elements("out", actual_out, expected[0], tolerance.out_abs, tolerance.out_rel),
        compare_cosine("out", actual_out, expected[0], tolerance.cosine),
    )
    worst: dict[str, float] = {}
    for comparison in comparisons:
        worst |= comparison.worst
        if not reason and comparison.reason:
            reason = f"{comparison.reason}; checked rows are {rows.numel()} of {total}"
    return Check(not reason, rows.numel(), total, tolerance.rule, worst, reason)


def _scan(out: torch.Tensor, lse: torch.Tensor, has_key: torch.Tensor) -> str:
    """out [queries, h_q, d_v], lse [queries, h_q]: "" or the first rule broken anywhere. Inputs are finite where they
    count, so every output is finite but the lse of empty rows."""
    step = max(1, _SCAN // max(1, out[0].numel()))
    for first in range(0, out.shape[0], step):
        piece, piece_lse = out[first : first + step], lse[first : first + step]
        empty = ~has_key[first : first + step].to(out.device)[:, None].expand_as(piece_lse)
        for label, wrong, values in (
            ("out: not finite", ~torch.isfinite(piece).all(-1), None),
            ("lse: not finite though the query sees a key", ~empty & ~torch.isfinite(piece_lse), piece_lse),
            ("lse: not -inf though the query sees no key", empty & ~torch.isneginf(piece_lse), piece_lse),
            ("out: not 0 though the query sees no key", empty & (piece != 0).any(-1), None),
        ):
            if bool(wrong.any()):
                query, head = (int(i) for i in wrong.nonzero()[0])
                got = "" if values is None else f", got {float(values[query, head])}"
                row = (first + query) * out.shape[1] + head
                return f"{label}: row {row} (query {first + query}, head {head}){got}"
    return ""
