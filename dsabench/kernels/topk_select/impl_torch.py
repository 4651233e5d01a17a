"""`topk_select` as a user writes it in eager torch: `torch.topk` over rows masked to their windows.

`torch.topk` ranks NaN highest and cannot tell -inf inside the window from the mask. Both show in what it returns (a NaN,
or a column outside the window where the window has enough), and such rows are selected again by integer keys.
The deterministic mode is a stable sort, or a threshold and a running count of its ties.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from dsabench.kernels.implementation import Config, ConfigValue, Implementation, Tunable
from dsabench.kernels.op import Axes, Outputs

if TYPE_CHECKING:
    from dsabench.kernels.topk_select.contract import Inputs

MAX_MASKED_BYTES = 32 << 20
"""of the masked copy of the scores; the int64 columns that `torch.sort` returns take twice that again"""

_OUTSIDE = -(2**31)
_NAN = _OUTSIDE + 1


def run(inputs: Inputs, outputs: Outputs, config: Config) -> None:
    (indices,) = outputs
    rows = inputs.logits.shape[0]
    if config["MASK"] == "narrow":
        _select_narrow(inputs, indices, bool(config["SORTED"]))
        return
    step = int(config["ROWS_PER_CALL"])
    for first in range(0, rows, step):
        part = slice(first, first + step)
        logits, starts, ends = inputs.logits[part], inputs.starts[part, None], inputs.ends[part, None]
        if not inputs.deterministic:
            indices[part] = _select(logits, starts, ends, inputs.k, bool(config["SORTED"]))
        elif config["TIES"] == "sort":
            indices[part] = _select_by_sort(logits, starts, ends, inputs.k)
        else:
            indices[part] = _select_by_threshold(logits, starts, ends, inputs.k)


def _select(logits: torch.Tensor, starts: torch.Tensor, ends: torch.Tensor, k: int, in_order: bool) -> torch.Tensor:
    """int32 [r, k] of logits [r, L] with starts, ends [r, 1]."""
    width = logits.shape[1]
    columns = torch.arange(width, device=logits.device, dtype=torch.int32)
    masked = torch.where((columns >= starts) & (columns < ends), logits, -torch.inf)
    scores, chosen = torch.topk(masked, min(k, width), sorted=in_order)
    count = (ends - starts).clamp(0, k)
    inside = (chosen >= starts) & (chosen < ends)
    again = scores.isnan().any(-1) | (inside.sum(-1, keepdim=True) < count).squeeze(-1)
    if bool(again.any()):
        keys = _keys(logits[again], starts[again], ends[again])
        chosen[again] = torch.topk(keys, min(k, width), sorted=in_order).indices
        inside = (chosen >= starts) & (chosen < ends)
    if bool((count < chosen.shape[1]).any()):
        # What lies outside goes to the end, the rest keeps its order.
        chosen = torch.where(inside, chosen, -1)
        chosen = chosen.gather(1, torch.sort(inside, descending=True, stable=True).indices)
    return _padded(chosen, k)


def _select_narrow(inputs: Inputs, indices: torch.Tensor, in_order: bool) -> None:
    for row, (start, end) in enumerate(zip(inputs.starts.tolist(), inputs.ends.tolist(), strict=True)):
        count = min(inputs.k, max(end - start, 0))
        indices[row, count:] = -1
        if not count:
            continue
        window = inputs.logits[row, start:end]
        scores, chosen = torch.topk(window, count, sorted=in_order)
        if bool(scores.isnan().any()):
            chosen = torch.topk(_ordered(window), count, sorted=in_order).indices
        indices[row, :count] = chosen + start


def _select_by_sort(logits: torch.Tensor, starts: torch.Tensor, ends: torch.Tensor, k: int) -> torch.Tensor:
    keys, order = torch.sort(_keys(logits, starts, ends), dim=-1, descending=True, stable=True)
    return _ascending(order[:, :k], keys[:, :k] != _OUTSIDE, k)


def _select_by_threshold(logits: torch.Tensor, starts: torch.Tensor, ends: torch.Tensor, k: int) -> torch.Tensor:
    keys = _keys(logits, starts, ends)
    top = torch.topk(keys, min(k, keys.shape[1]), sorted=False)
    cut = top.values.amin(-1, keepdim=True)
    above = top.values > cut
    # The ties that are still wanted are those of the lowest columns: the first by a running count.
    tied = keys == cut
    wanted = (~above).sum(-1, keepdim=True)
    taken = (keys > cut) | (tied & (tied.cumsum(-1, dtype=torch.int32) <= wanted))
    columns = taken.nonzero()[:, 1].view(keys.shape[0], -1)
    return _ascending(columns, keys.gather(1, columns) != _OUTSIDE, k)


def _ascending(columns: torch.Tensor, inside: torch.Tensor, k: int) -> torch.Tensor:
    last = torch.iinfo(torch.int64).max
    ordered = torch.where(inside, columns, last).sort(-1).values
    return _padded(torch.where(ordered == last, -1, ordered), k)


def _padded(chosen: torch.Tensor, k: int) -> torch.Tensor:
    return torch.nn.functional.pad(chosen.int(), (0, k - chosen.shape[1]), value=-1)


def _keys(logits: torch.Tensor, starts: torch.Tensor, ends: torch.Tensor) -> torch.Tensor:
    columns = torch.arange(logits.shape[1], device=logits.device, dtype=torch.int32)
    return torch.where((columns >= starts) & (columns < ends), _ordered(logits), _OUTSIDE)


def _ordered(scores: torch.Tensor) -> torch.Tensor:
    """int32 keys in the contract's order: NaN below -inf, +0 equal to -0."""
    bits = (scores + 0.0).view(torch.int32)  # -0 + 0 is +0
    return torch.where(scores.isnan(), _NAN, bits ^ ((bits >> 31) & 0x7FFFFFFF))


def default_config(axes: Axes) -> dict[str, ConfigValue]:
    """One masked call over all rows, as far as the memory bound allows."""
    legal = [c for c in _ROWS.choices if int(c) * axes["s_kv"] * 4 <= MAX_MASKED_BYTES and int(c) < 2 * axes["rows"]]
    return {"MASK": "copy", "SORTED": True, "ROWS_PER_CALL": max(legal, key=int), "TIES": "sort"}


def constraint(config: Config, axes: Axes) -> str | None:
    step = int(config["ROWS_PER_CALL"])
    if config["MASK"] == "narrow" and axes["deterministic"]:
        return "MASK = narrow has no deterministic form"
    if not axes["deterministic"] and config["TIES"] != "sort":
        return "TIES matters in the deterministic mode only"
    if axes["deterministic"] and not config["SORTED"]:
        return "SORTED matters in the default mode only"
    if config["MASK"] == "narrow" and step != 1:
        return "MASK = narrow takes one row a call: ROWS_PER_CALL must be 1"
    if step * axes["s_kv"] * 4 > MAX_MASKED_BYTES:
        return f"a masked copy of {step} x {axes['s_kv']} scores exceeds {MAX_MASKED_BYTES >> 20} MB"
    if step > 1 and step >= 2 * axes["rows"]:
        return f"ROWS_PER_CALL = {step} is more than the {axes['rows']} rows need"
    return None


_ROWS = Tunable("ROWS_PER_CALL", (1, 4, 16, 64, 256), "rows that one call masks and selects from")

IMPLEMENTATION = Implementation(
    op="topk_select",
    name="torch",
    summary="torch.topk over rows masked to their windows",
    device_types=("cpu", "cuda"),
    tunables=(
        Tunable("MASK", ("copy", "narrow"), "mask a copy of the rows, or call on each row's window by itself"),
        Tunable("SORTED", (True, False), "torch.topk's `sorted`: True is its default"),
        _ROWS,
        Tunable("TIES", ("sort", "threshold"), "deterministic mode: a stable sort, or a threshold and a count of ties"),
    ),
    default_config=default_config,
    run=run,
    constraint=constraint,
)
