"""bf16 keys into the 132-byte cache in CUDA C++ for Hopper, one launch; `quantize_index_cache.cu` tells how."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from dsabench.kernels.cache_rows.cuda_rows import FORMULA, TUNABLES, constraint, default_config, launch_rows
from dsabench.kernels.cuda.implementation import cuda_implementation
from dsabench.kernels.cuda.source import CudaLaunch, CudaSource
from dsabench.kernels.implementation import Config
from dsabench.kernels.index_cache import BLOCK_BYTES, BLOCK_TOKENS, HEAD_DIM, SCALES_OFFSET
from dsabench.kernels.op import Outputs

if TYPE_CHECKING:
    from dsabench.kernels.quantize_index_cache.contract import Inputs

SOURCE = CudaSource(Path(__file__).with_name("quantize_index_cache.cu"), "quantize_keys")


def plan(inputs: Inputs, outputs: Outputs, config: Config) -> list[CudaLaunch]:
    """One launch; no workspace."""
    layout = {
        "GROUP": HEAD_DIM,
        "BLOCK_TOKENS": BLOCK_TOKENS,
        "BLOCK_BYTES": BLOCK_BYTES,
        "SCALES_OFFSET": SCALES_OFFSET,
    }
    constants = {**layout, **FORMULA, "UE8M0": int(inputs.ue8m0)}
    tensors = (inputs.keys, inputs.slots, outputs[0])
    keys = 32 * int(config["VALUES"]) // HEAD_DIM
    return [launch_rows(SOURCE, config, tensors, inputs.num_blocks * BLOCK_TOKENS, constants, keys)]


IMPLEMENTATION = cuda_implementation(
    op="quantize_index_cache",
    summary="2 or 4 keys a warp at a time: amax by shuffles, quotients by one inverse a key",
    tunables=TUNABLES,
    default_config=default_config,
    constraint=constraint,
    plan=plan,
)
