"""Tokens of the 656-byte cache to bf16 rows in CUDA C++ for Hopper, one launch; `dequantize_kv_cache.cu` tells how."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from dsabench.kernels.cache_rows.cuda_rows import TOKEN, TUNABLES, constraint, default_config, launch_rows
from dsabench.kernels.cuda.implementation import cuda_implementation
from dsabench.kernels.cuda.source import CudaLaunch, CudaSource
from dsabench.kernels.implementation import Config
from dsabench.kernels.op import Outputs

if TYPE_CHECKING:
    from dsabench.kernels.dequantize_kv_cache.contract import Inputs

SOURCE = CudaSource(Path(__file__).with_name("dequantize_kv_cache.cu"), "dequantize_rows")


def plan(inputs: Inputs, outputs: Outputs, config: Config) -> list[CudaLaunch]:
    """One launch; no workspace."""
    num_blocks, page = inputs.kv_cache.shape[:2]
    return [launch_rows(SOURCE, config, (inputs.kv_cache, inputs.slots, outputs[0]), num_blocks * page, TOKEN)]


IMPLEMENTATION = cuda_implementation(
    op="dequantize_kv_cache",
    summary="a warp a row: codes through float16, times the group's scale, 16-byte loads and stores",
    tunables=TUNABLES,
    default_config=default_config,
    constraint=constraint,
    plan=plan,
)
