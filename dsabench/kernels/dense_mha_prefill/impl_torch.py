"""`dense_mha_prefill` in eager torch: per head and tile, either two products around a softmax, or torch's fused attention.

torch's public scaled_dot_product_attention gives no lse, so CALL = sdpa uses the operator under it, which on a CPU wants
values as wide as keys (they are padded). Its causal mask is aligned at the start, so keys before the queries are attended
in a call of their own and merged; no s_q × s_kv mask is built.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from dsabench.kernels.attention_torch import VALUE_PRODUCT, RunningSoftmax, attend, f32_scores
from dsabench.kernels.implementation import Config, ConfigValue, Implementation, Tunable
from dsabench.kernels.op import Axes, Outputs

if TYPE_CHECKING:
    from dsabench.kernels.dense_mha_prefill.contract import Inputs


def _default_config(axes: Axes) -> dict[str, ConfigValue]:
    return {"CALL": "matmul", "BLOCK_Q": 256, "BLOCK_KV": 4096, "PV": "bf16"}


def _constraint(config: Config, axes: Axes) -> str | None:
    if config["CALL"] == "sdpa":
        default = _default_config(axes)
        for name in ("BLOCK_Q", "BLOCK_KV", "PV"):
            if config[name] != default[name]:
                return f"{name} plays no role with CALL = sdpa; only {name} = {default[name]} is run"
    return None


def run(inputs: Inputs, outputs: Outputs, config: Config) -> None:
    """Writes out bf16 [s_q, h_q, 128] and lse f32 [s_q, h_q] into `outputs`. Raises ValueError for CALL = sdpa with tensors
    that are not on a CPU."""
    if config["CALL"] == "sdpa":
        _run_sdpa(inputs, outputs)
    else:
        _run_matmul(inputs, outputs, config)


def _run_matmul(inputs: Inputs, outputs: Outputs, config: Config) -> None:
    out, lse = outputs
    s_q, h_q, _ = inputs.q.shape
    s_kv, device = inputs.k.shape[0], inputs.q.device
    block_q, block_kv = int(config["BLOCK_Q"]), int(config["BLOCK_KV"])
    before = s_kv - s_q  # keys that causal query 0 sees besides itself
    for head in range(h_q):
        for start in range(0, s_q, block_q):
            stop = min(start + block_q, s_q)
            q = inputs.q[start:stop, head][None]
            end = before + stop if inputs.causal else s_kv
            merged = RunningSoftmax(1, stop - start, 128, device)
            for first in range(0, end, block_kv):
                last = min(first + block_kv, end)
                scores = f32_scores(q, inputs.k[first:last, head][None], inputs.sm_scale)
                if inputs.causal and last > before + start + 1:
                    position = before + torch.arange(start, stop, device=device)
                    hidden = torch.arange(first, last, device=device) > position[:, None]
                    scores.masked_fill_(hidden, -torch.inf)
                merged.add(*attend(scores, inputs.v[first:last, head][None], str(config["PV"])))
            out[start:stop, head] = merged.out[0]
            lse[start:stop, head] = merged.lse[0]


def _run_sdpa(inputs: Inputs, outputs: Outputs) -> None:
    if inputs.q.device.type != "cpu":
        raise ValueError(f"CALL = sdpa runs on the CPU only, got tensors on {inputs.q.device}; use CALL = matmul")
    out, lse = outputs
    s_q, h_q, _ = inputs.q.shape
    before = inputs.k.shape[0] - s_q if inputs.causal else 0
    for head in range(h_q):
        q, k = inputs.q[:, head], inputs.k[:, head]
        v = torch.nn.functional.pad(inputs.v[:, head], (0, 64))
        merged = RunningSoftmax(1, s_q, 128, q.device)
        if before:
            merged.add(*_sdpa(q, k[:before], v[:before], inputs.sm_scale, False))
        merged.add(*_sdpa(q, k[before:], v[before:], inputs.sm_scale, inputs.causal))
        out[:, head] = merged.out[0]
        lse[:, head] = merged.lse[0]


def _sdpa(
    q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, sm_scale: float, causal: bool
) -> tuple[torch.Tensor, torch.Tensor]:
    out, lse = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu(
        q[None, None], k[None, None], v[None, None], 0.0, causal, scale=sm_scale
    )
    return out[0, :, :, :128].float(), lse[0, :, :, None]


def describe(config: Config) -> str:
    threads = f"eager torch {torch.__version__}, {torch.get_num_threads()} threads"
    if config["CALL"] == "sdpa":
        return f"{threads}, fused attention in bf16 with f32 sums"
    return f"{threads}, QK f32, PV {config['PV']}"


IMPLEMENTATION = Implementation(
    op="dense_mha_prefill",
    name="torch",
    summary="eager torch: per head bmm, softmax, bmm, or torch's fused CPU attention",
    device_types=("cpu", "cuda"),
    tunables=(
        Tunable("CALL", ("matmul", "sdpa"), "two products around a softmax, or torch's fused attention"),
        Tunable("BLOCK_Q", (64, 256), "queries of a head multiplied at once"),
        Tunable("BLOCK_KV", (1024, 4096), "keys of a head multiplied at once"),
        VALUE_PRODUCT,
    ),
    default_config=_default_config,
    constraint=_constraint,
    run=run,
    describe=describe,
)
