"""The contract of `indexer_logits` (REFERENCE §2): axes, inputs, argument checks."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from dsabench.kernels.arguments import check_same_device, check_size, check_tensor
from dsabench.kernels.index_data import HEAD_DIM, HEADS, VALUE_DISTRIBUTIONS, plant_nan_codes, random_index_data
from dsabench.kernels.indexer_logits.check import check
from dsabench.kernels.indexer_logits.cost import cost
from dsabench.kernels.indexer_logits.reference import reference, row_flops
from dsabench.kernels.op import Axes, Axis, Op, Outputs

MAX_CONTEXT = 1 << 20

DISTRIBUTIONS = VALUE_DISTRIBUTIONS | {
    "ragged_windows": "every query has a window of its own, starting anywhere",
    "empty_windows": "half of the windows are empty, some of them with ks > ke",
    "nan_outside": "keys that no window reaches hold NaN codes and NaN scales; their columns are -inf",
}


@dataclass(frozen=True, eq=False)
class Inputs:
    """I[t, s] = k_scale[s] · Σ_h weights[t, h] · relu(q[t, h, :] · k[s, :]) for ks[t] <= s < ke[t], else -inf.

    q         float8_e4m3fn [s_q, h, 128]; h is 8, 16, 32 or 64
    k         float8_e4m3fn [s_kv, 128], one key head for all query heads
    k_scale   float32 [s_kv]
    weights   float32 [s_q, h], any sign; the query's own scale and the softmax scales are folded in
    ks, ke    int32 [s_q], half-open windows in [0, s_kv]; ks >= ke is an empty window
    """

    q: torch.Tensor
    k: torch.Tensor
    k_scale: torch.Tensor
    weights: torch.Tensor
    ks: torch.Tensor
    ke: torch.Tensor


def make_inputs(axes: Axes, distribution: str, seed: int, device: torch.device) -> Inputs:
    s_q, s_kv, h = axes["s_q"], axes["s_kv"], axes["h"]
    generator = torch.Generator().manual_seed(seed)
    data = random_index_data(s_q, s_kv, h, distribution, generator)
    ks = torch.zeros(s_q, dtype=torch.int32)
    ke = torch.full((s_q,), s_kv, dtype=torch.int32)
    if axes["causal"]:
        ke = (s_kv - s_q + 1 + torch.arange(s_q, dtype=torch.int32)).clamp_min_(0)
    if distribution == "nan_key":
        plant_nan_codes(data.k, sorted({0, int(ke[-1]) // 2}))
    elif distribution == "ragged_windows":
        ks, ke = random_windows(s_q, 0, s_kv, generator)
    elif distribution == "empty_windows":
        ks, ke = random_windows(s_q, 0, s_kv, generator)
        ks[::4], ke[::4] = ke[::4].clone(), ks[::4].clone()
        ke[1::4] = ks[1::4]
    elif distribution == "nan_outside":
        low, high = s_kv // 4, max(s_kv // 4 + 1, 3 * s_kv // 4)
        ks, ke = random_windows(s_q, low, high, generator)
        outside = torch.ones(s_kv, dtype=torch.bool)
        outside[low:high] = False
        data.k.view(torch.uint8)[outside] = 0x7F
        data.k_scale[outside] = torch.nan
    return Inputs(*(t.to(device) for t in (data.q, data.k, data.k_scale, data.weights, ks, ke)))


def random_windows(rows: int, low: int, high: int, generator: torch.Generator) -> tuple[torch.Tensor, torch.Tensor]:
    """Non-empty int32 windows [start, end) inside [low, high), one a row; needs low < high."""
    a = torch.randint(low, high, (rows,), generator=generator, dtype=torch.int32)
    b = torch.randint(low, high, (rows,), generator=generator, dtype=torch.int32)
    return torch.minimum(a, b), torch.maximum(a, b) + 1


def empty_inputs(axes: Axes, device: torch.device) -> Inputs:
    """An `Inputs` of these axes with uninitialised tensors."""
    s_q, s_kv, h = axes["s_q"], axes["s_kv"], axes["h"]
    return Inputs(
        torch.empty((s_q, h, HEAD_DIM), dtype=torch.float8_e4m3fn, device=device),
        torch.empty((s_kv, HEAD_DIM), dtype=torch.float8_e4m3fn, device=device),
        torch.empty(s_kv, dtype=torch.float32, device=device),
        torch.empty((s_q, h), dtype=torch.float32, device=device),
        torch.empty(s_q, dtype=torch.int32, device=device),
        torch.empty(s_q, dtype=torch.int32, device=device),
    )


def validate(inputs: Inputs) -> None:
    sizes: dict[str, int] = {}
    check_tensor("q", inputs.q, torch.float8_e4m3fn, ("s_q", "h", HEAD_DIM), sizes)
    check_tensor("k", inputs.k, torch.float8_e4m3fn, ("s_kv", HEAD_DIM), sizes)
    check_tensor("k_scale", inputs.k_scale, torch.float32, ("s_kv",), sizes)
    check_tensor("weights", inputs.weights, torch.float32, ("s_q", "h"), sizes)
    check_tensor("ks", inputs.ks, torch.int32, ("s_q",), sizes)
    check_tensor("ke", inputs.ke, torch.int32, ("s_q",), sizes)
    check_same_device(
        q=inputs.q, k=inputs.k, k_scale=inputs.k_scale, weights=inputs.weights, ks=inputs.ks, ke=inputs.ke
    )
    check_heads("q", sizes["h"])
    check_size("q: s_q (dim 0)", sizes["s_q"], 1, MAX_CONTEXT)
    check_size("k: s_kv (dim 0)", sizes["s_kv"], 1, MAX_CONTEXT)
    check_values_in("ks", inputs.ks, 0, sizes["s_kv"])
    check_values_in("ke", inputs.ke, 0, sizes["s_kv"])


def check_heads(name: str, h: int) -> None:
    """Raises ValueError when the argument `name` has a head count that the indexer's kernels do not take."""
    if h not in HEADS:
        raise ValueError(f"{name} must have h in {list(HEADS)} heads, got {h}")


def check_values_in(name: str, values: torch.Tensor, minimum: int, maximum: int) -> None:
    """Raises ValueError naming the first of `values` outside [minimum, maximum]. Looks at tensors on the CPU only: on a
    GPU it would wait for every kernel in flight."""
    if values.device.type != "cpu" or not values.numel():
        return
    low, high = (int(v) for v in torch.aminmax(values))
    if low < minimum or high > maximum:
        flat = values.flatten()
        index = int(((flat < minimum) | (flat > maximum)).nonzero()[0])
        place = ", ".join(str(int(i)) for i in torch.unravel_index(torch.tensor(index), values.shape))
        raise ValueError(f"{name} must be in [{minimum}, {maximum}], got {int(flat[index])} at [{place}]")


def axes_of(inputs: Inputs) -> dict[str, int]:
    """`causal` is 0 when every one of several queries sees all keys. On a GPU the windows are not looked at: 1."""
    s_q, h = inputs.q.shape[:2]
    s_kv = inputs.k.shape[0]
    full = s_q > 1 and inputs.ks.device.type == "cpu" and bool((inputs.ks == 0).all() & (inputs.ke == s_kv).all())
    return {"s_q": s_q, "s_kv": s_kv, "h": h, "causal": int(not full)}


def empty_outputs(inputs: Inputs) -> Outputs:
    return (torch.empty((inputs.q.shape[0], inputs.k.shape[0]), dtype=torch.float32, device=inputs.q.device),)


OP = Op(
    name="indexer_logits",
    summary="the lightning indexer's FP8 scores of every (query, key) pair, windowed",
    axes=(
        Axis("s_q", "queries", 1, MAX_CONTEXT, 64),
        Axis("s_kv", "keys", 1, MAX_CONTEXT, 16384),
        Axis("h", "indexer heads: 8, 16, 32 or 64", min(HEADS), max(HEADS), 64),
        Axis("causal", "1: query t sees keys [0, s_kv - s_q + t + 1); 0: all keys", 0, 1, 1),
    ),
    distributions=DISTRIBUTIONS,
    output_names=("logits",),
    make_inputs=make_inputs,
    empty_inputs=empty_inputs,
    validate=validate,
    axes_of=axes_of,
    empty_outputs=empty_outputs,
    cost=cost,
    row_count=lambda inputs: inputs.q.shape[0],
    row_flops=row_flops,
    reference=reference,
    check=check,
)
