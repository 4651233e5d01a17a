"""`sparse_mla_decode` in eager torch: gather and dequantize the selected slots, then two batched products."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from dsabench.kernels.attention_torch import VALUE_PRODUCT, attend, f32_scores, sink_factor
from dsabench.kernels.implementation import Config, ConfigValue, Implementation, Tunable
from dsabench.kernels.kv_cache import D_QK, GROUP, LATENT, ROPE_OFFSET, SCALE_OFFSET, flatten_pages
from dsabench.kernels.op import Axes, Outputs
from dsabench.kernels.sparse_entries import flat_entries

if TYPE_CHECKING:
    from dsabench.kernels.sparse_mla_decode.contract import Inputs


def _default_config(axes: Axes) -> dict[str, ConfigValue]:
    return {"BLOCK_Q": 1, "PV": "bf16"}


def _constraint(config: Config, axes: Axes) -> str | None:
    block, queries = int(config["BLOCK_Q"]), axes["b"] * axes["s_q"]
    if block > 1 and block > queries:
        return f"BLOCK_Q = {block} is more than the {queries} queries"
    gathered = block * axes["topk"] * 576 * 4
    if block > 1 and gathered > 64 << 20:
        return f"BLOCK_Q = {block} would gather {gathered >> 20} MiB at once; the limit is 64"
    return None


def run(inputs: Inputs, outputs: Outputs, config: Config) -> None:
    """Writes out bf16 [b, s_q, h_q, 512] and lse f32 [b, s_q, h_q] into `outputs`."""
    out, lse = outputs[0].flatten(0, 1), outputs[1].flatten(0, 1)
    block = int(config["BLOCK_Q"])
    tokens, q = flatten_pages(inputs.kv_cache), inputs.q.flatten(0, 1)
    indices, counted, _ = flat_entries(inputs.indices, inputs.topk_length, inputs.kv_cache)
    for first in range(0, q.shape[0], block):
        here = slice(first, first + block)
        valid = counted[here]
        gathered = _dequantize(tokens[torch.where(valid, indices[here], 0).long()])
        if not bool(valid.all()):
            gathered.masked_fill_(~valid[..., None], 0)  # an unused slot may hold NaN, and 0 · NaN is NaN
        scores = f32_scores(q[here], gathered, inputs.sm_scale)
        scores.masked_fill_(~valid[:, None], -torch.inf)
        result, row_lse = attend(scores, gathered[..., :512], str(config["PV"]))
        if inputs.attn_sink is not None:
            result = result * sink_factor(row_lse[..., 0], inputs.attn_sink)[..., None]
        out[here] = result
        lse[here] = row_lse[..., 0]


def _dequantize(tokens: torch.Tensor) -> torch.Tensor:
    """uint8 [n, k, 656] → float32 [n, k, 576] with torch's own casts."""
    n, k, _ = tokens.shape
    kv = torch.empty((n, k, D_QK), device=tokens.device)
    codes = tokens[..., :SCALE_OFFSET].view(torch.float8_e4m3fn)
    scales = tokens[..., SCALE_OFFSET:ROPE_OFFSET].contiguous().view(torch.float32)
    grouped = codes.float().view(n, k, LATENT // GROUP, GROUP)
    torch.mul(grouped, scales[..., None], out=kv[..., :LATENT].view(n, k, LATENT // GROUP, GROUP))
    kv[..., LATENT:] = tokens[..., ROPE_OFFSET:].contiguous().view(torch.bfloat16)
    return kv


def describe(config: Config) -> str:
    return f"eager torch {torch.__version__}, {torch.get_num_threads()} threads, QK f32, PV {config['PV']}"


IMPLEMENTATION = Implementation(
    op="sparse_mla_decode",
    name="torch",
    summary="eager torch: gather, dequantize to f32, bmm, softmax, bmm",
    device_types=("cpu", "cuda"),
    tunables=(Tunable("BLOCK_Q", (1, 2, 4, 8), "queries gathered and multiplied at once"), VALUE_PRODUCT),
    default_config=_default_config,
    constraint=_constraint,
    run=run,
    describe=describe,
)
