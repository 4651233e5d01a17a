"""bf16 rows into the 656-byte cache in CUDA C++ for Hopper, one launch; `quantize_kv_cache.cu` tells how."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from dsabench.kernels.cache_rows.cuda_rows import FORMULA, TOKEN, TUNABLES, constraint, default_config, launch_rows
from dsabench.kernels.cuda.implementation import cuda_implementation
from dsabench.kernels.cuda.source import CudaLaunch, CudaSource
from dsabench.kernels.implementation import Config
from dsabench.kernels.op import Outputs

if TYPE_CHECKING:
    from dsabench.kernels.quantize_kv_cache.contract import Inputs

SOURCE = CudaSource(Path(__file__).with_name("quantize_kv_cache.cu"), "quantize_rows")


def plan(inputs: Inputs, outputs: Outputs, config: Config) -> list[CudaLaunch]:
    """One launch; no workspace."""
    constants = {**TOKEN, **FORMULA, "UE8M0": int(inputs.ue8m0)}
    tensors = (inputs.kv, inputs.slots, outputs[0])
    return [launch_rows(SOURCE, config, tensors, inputs.num_blocks * inputs.page, constants)]


IMPLEMENTATION = cuda_implementation(
    op="quantize_kv_cache",
    summary="a warp a row: amax by shuffles, quotients by one inverse a group, 16-byte loads and stores",
    tunables=TUNABLES,
    default_config=default_config,
    constraint=constraint,
    plan=plan,
)
