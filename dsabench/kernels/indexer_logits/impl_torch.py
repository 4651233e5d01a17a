"""`indexer_logits` as a user writes it in eager torch: cast the keys to float32, one product, ReLU, weighted sum.

Float32 products: bf16 ones round each head's score and miss the contract's tolerance. Of a default call the cast takes
2 to 5 ns a key element on a CPU (torch's own `.float()`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from dsabench.kernels.fp8 import decode_e4m3
from dsabench.kernels.implementation import Config, ConfigValue, Implementation, Tunable
from dsabench.kernels.op import Axes, Outputs

if TYPE_CHECKING:
    from dsabench.kernels.indexer_logits.contract import Inputs

MAX_SCORE_BYTES = 32 << 20
"""per-head scores alive at a time: a whole row of 128K keys under 64 heads"""
MAX_KEY_BYTES = 64 << 20
"""float32 keys alive at a time: 128K of them"""

BLOCK_KV = Tunable("BLOCK_KV", (0, 1024, 4096, 16384, 65536), "keys a product covers; 0: the whole row")
CAST = Tunable(
    "CAST",
    ("torch", "table", "bits"),
    "fp8 to float32 by torch's cast, a table of 256 values, or shifted bits of a bf16",
)


def run(inputs: Inputs, outputs: Outputs, config: Config) -> None:
    (logits,) = outputs
    s_q = inputs.q.shape[0]
    s_kv = inputs.k.shape[0]
    block_q = int(config["BLOCK_Q"])
    block_kv = int(config["BLOCK_KV"]) or s_kv
    q = inputs.q.float()
    for first in range(0, s_kv, block_kv):
        last = min(first + block_kv, s_kv)
        k = cast_keys(inputs.k[first:last], str(config["CAST"]))
        columns = torch.arange(first, last, device=k.device)
        for t in range(0, s_q, block_q):
            part = slice(t, t + block_q)
            scores = weighted_scores(q[part], k, inputs.weights[part]) * inputs.k_scale[first:last]
            inside = (columns >= inputs.ks[part, None]) & (columns < inputs.ke[part, None])
            logits[part, first:last] = torch.where(inside, scores, -torch.inf)


def cast_keys(codes: torch.Tensor, how: str) -> torch.Tensor:
    """float32 values of e4m3 `codes` [n, 128]; NaN codes stay NaN."""
    if how == "torch":
        return codes.float()
    if how == "table":
        return decode_e4m3(codes)
    # The exponent and mantissa of e4m3 in the place of bf16's, 120 = 127 - 7 exponents too low: subnormals come out
    # right too. Code 0x7f would be 480, a value that no other code has.
    shifted = codes.view(torch.int8).to(torch.int16).bitwise_left_shift_(4).bitwise_and_(-0x7810)
    values = shifted.view(torch.bfloat16).float().mul_(2.0**120)
    return values.masked_fill_(values.abs() == 480.0, torch.nan)


def weighted_scores(q: torch.Tensor, k: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
    """Σ_h weights · relu(q·k): float32 [r, n] of q [r, h, 128], k [n, 128] and weights [r, h]."""
    r, h, dim = q.shape
    heads = (q.reshape(r * h, dim) @ k.T).relu_().view(r, h, -1)
    return torch.bmm(weights.unsqueeze(1), heads).squeeze(1)


def default_config(axes: Axes) -> dict[str, ConfigValue]:
    block_kv = 0 if memory_reason(axes["s_kv"], axes["h"]) is None else 65536
    return {"BLOCK_Q": 1, "BLOCK_KV": block_kv, "CAST": "torch"}


def memory_reason(keys: int, score_rows: int) -> str | None:
    """Why a product of `score_rows` rows (queries × heads) by `keys` keys holds too much at a time; None when it does not."""
    if keys * 128 * 4 > MAX_KEY_BYTES:
        return f"{keys} float32 keys at a time exceed {MAX_KEY_BYTES >> 20} MB"
    if score_rows * keys * 4 > MAX_SCORE_BYTES:
        return f"{score_rows} x {keys} float32 scores at a time exceed {MAX_SCORE_BYTES >> 20} MB"
    return None


def block_reason(block_kv: int, s_kv: int) -> str | None:
    return f"BLOCK_KV = {block_kv} covers the row, as 0 does" if block_kv >= s_kv else None


def constraint(config: Config, axes: Axes) -> str | None:
    block_q, block_kv = int(config["BLOCK_Q"]), int(config["BLOCK_KV"])
    if block_q > 1 and block_q >= 2 * axes["s_q"]:
        return f"BLOCK_Q = {block_q} is more than the {axes['s_q']} queries need"
    keys = block_kv or axes["s_kv"]
    return block_reason(block_kv, axes["s_kv"]) or memory_reason(keys, block_q * axes["h"])


IMPLEMENTATION = Implementation(
    op="indexer_logits",
    name="torch",
    summary="eager torch in float32: cast, product, ReLU, weighted sum",
    device_types=("cpu", "cuda"),
    tunables=(Tunable("BLOCK_Q", (1, 4, 16, 64), "queries a product covers"), BLOCK_KV, CAST),
    default_config=default_config,
    run=run,
    constraint=constraint,
    describe=lambda config: f"float32 products of eager torch, keys cast by {config['CAST']}",
)
