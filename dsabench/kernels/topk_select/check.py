"""The verdict on selected indices (REFERENCE §4), exact and vectorised over all rows.

c distinct columns of a window are the c highest if and only if no key outside them is above their lowest: as many keys of
the window as of the selection are above it. That needs one pass and no sort, so every row can be judged.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from dsabench.kernels.op import Check, Outputs
from dsabench.kernels.topk_select.reference import order_keys

if TYPE_CHECKING:
    from dsabench.kernels.topk_select.contract import Inputs

_TILE = 2 * 1024 * 1024  # scores looked at at a time
_SCORE_BUDGET = 1 << 28
"""scores passed over in one check, about 2 s on two cores; beyond it the scores of a sample of rows"""

RULE = (
    "per row: the selected scores are those of a full sort; no duplicate, all inside the window, count min(k, window), "
)
RULE_FREE = RULE + "-1 after them"
RULE_DETERMINISTIC = RULE + "-1 after them; the lowest columns of equal scores, ascending"


def check(inputs: Inputs, outputs: Outputs, rows: torch.Tensor, expected: Outputs) -> Check:
    indices = outputs[0]
    total = indices.shape[0]
    worst = {"higher_scores_left": 0.0}
    reason = _form_fault(inputs, indices)
    judged = _judged_rows(inputs, rows).to(indices.device)
    if not reason:
        left, reason = _score_fault(inputs, indices, judged)
        worst["higher_scores_left"] = float(left)
    reason = reason or _reference_fault(inputs, indices, rows, expected[0].to(indices.device))
    rule = RULE_DETERMINISTIC if inputs.deterministic else RULE_FREE
    return Check(not reason, len(judged), total, rule, worst, reason)


def _judged_rows(inputs: Inputs, rows: torch.Tensor) -> torch.Tensor:
    """All rows where their scores fit the budget, else as many as do, evenly spaced, and `rows`."""
    total, columns = inputs.logits.shape
    count = _SCORE_BUDGET // columns
    if total <= count:
        return torch.arange(total)
    return torch.cat([rows, torch.linspace(0, total - 1, count).long()]).unique()


def _form_fault(inputs: Inputs, indices: torch.Tensor) -> str:
    """Padding, range and duplicates, on every row; "" or the first fault."""
    k = inputs.k
    step = max(1, _TILE // k)
    places = torch.arange(k, device=indices.device)
    for first in range(0, indices.shape[0], step):
        part = indices[first : first + step]
        low = inputs.starts[first : first + step, None].long()
        high = inputs.ends[first : first + step, None].long()
        count = (high - low).clamp(0, k)
        valid = places < count
        outside = valid & ((part < low) | (part >= high))
        if bool(outside.any()):
            row, place = _first(outside)
            window = f"[{int(low[row])}, {int(high[row])})"
            got = int(part[row, place])
            what = f"of {int(count[row])} to select is" if got == -1 else "is"
            return f"indices: row {first + row}, place {place} {what} {got}, expected a column in the window {window}"
        unpadded = ~valid & (part != -1)
        if bool(unpadded.any()):
            row, place = _first(unpadded)
            return (
                f"indices: row {first + row}, place {place} is {int(part[row, place])}, expected the padding -1 after the "
                f"{int(count[row])} keys of the window"
            )
        # Padding becomes distinct negative numbers, so that equal neighbours are duplicates.
        ordered = torch.where(valid, part.long(), -1 - places).sort(-1).values
        twice = ordered[:, 1:] == ordered[:, :-1]
        if bool(twice.any()):
            row, place = _first(twice)
            return f"indices: row {first + row} holds column {int(ordered[row, place])} more than once"
        if inputs.deterministic:
            falling = valid[:, 1:] & (part[:, 1:] <= part[:, :-1])
            if bool(falling.any()):
                row, place = _first(falling)
                return (
                    f"indices: row {first + row}, place {place + 1}: column {int(part[row, place + 1])} follows "
                    f"{int(part[row, place])}; the deterministic mode returns ascending columns"
                )
    return ""


def _score_fault(inputs: Inputs, indices: torch.Tensor, judged: torch.Tensor) -> tuple[int, str]:
    """(the most scores of one row that are above its lowest selected one and not selected, "" or the first fault). Needs
    valid indices."""
    columns = torch.arange(inputs.logits.shape[1], device=indices.device, dtype=torch.int32)
    worst, reason = 0, ""
    for rows in judged.split(max(1, _TILE // len(columns))):
        low, high = inputs.starts[rows, None], inputs.ends[rows, None]
        inside = (columns >= low) & (columns < high)
        keys = order_keys(inputs.logits[rows])
        part = indices[rows].long()
        valid = part >= 0
        chosen = torch.where(valid, keys.gather(1, part.clamp_min(0)), 2**31 - 1)
        lowest = chosen.amin(-1, keepdim=True)
        left = ((keys > lowest) & inside).sum(-1) - ((chosen > lowest) & valid).sum(-1)
        worst = max(worst, int(left.max()))
        if worst and not reason:
            row = int(left.argmax())
            column = int(part[row, chosen[row].argmin()])
            reason = (
                f"indices: row {int(rows[row])} selects column {column} of score "
                f"{float(inputs.logits[rows[row], column]):.7g} and leaves {int(left[row])} higher scores of its window"
            )
        if inputs.deterministic and not reason:
            tied = inside & (keys == lowest)
            last = torch.where(valid & (chosen == lowest), part, -1).amax(-1, keepdim=True)
            skipped = (tied & (columns <= last)).sum(-1) - (valid & (chosen == lowest)).sum(-1)
            if bool((skipped > 0).any()):
                row = int(skipped.argmax())
                reason = (
                    f"indices: row {int(rows[row])} takes column {int(last[row])} but leaves {int(skipped[row])} lower "
                    f"columns of equal score; the deterministic mode takes the lowest first"
                )
    return worst, reason


def _reference_fault(inputs: Inputs, indices: torch.Tensor, rows: torch.Tensor, expected: torch.Tensor) -> str:
    """The same verdict on the sampled rows from the full sort itself: it shares no step with the pass above."""
    if inputs.deterministic:
        wrong = (indices[rows.to(indices.device)] != expected).any(-1)
        return f"indices: row {int(rows[wrong.cpu()][0])} differs from the full sort's" if bool(wrong.any()) else ""
    for place, row in enumerate(rows.tolist()):
        got, want = (i[i >= 0].long() for i in (indices[row], expected[place]))
        scores = inputs.logits[row]
        if len(got) != len(want) or not torch.equal(
            order_keys(scores[got]).sort()[0], order_keys(scores[want]).sort()[0]
        ):
            return f"indices: row {row}: the selected scores differ from those of a full sort"
    return ""


def _first(wrong: torch.Tensor) -> tuple[int, int]:
    row, column = wrong.nonzero()[0].tolist()
    return row, column
