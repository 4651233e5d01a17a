"""Dense attention in the best form of its phase: absorbed MLA for decode, un-absorbed MHA for prefill."""

from __future__ import annotations

from dsabench.bench.pipeline.sides import KernelCall, Side, tuned_call
from dsabench.kernels.dense_mha_prefill.contract import Inputs as DensePrefill
from dsabench.kernels.dense_mla_decode.contract import Inputs as DenseDecode
from dsabench.kernels.implementation import Config
from dsabench.kernels.kv_cache import BF16_TOKEN_BYTES
from dsabench.kernels.registry import get_implementation, get_op

BASELINE = "torch"


class DensePipeline(Side):
    """One kernel. Prefill keeps the 1152-byte latents too; the keys and values that it attends over (640 bytes a head and token)
    are expanded for the call and count as buffers."""

    def __init__(
        self,
        inputs: DenseDecode | DensePrefill,
        name: str = "dense",
        impl: str | None = None,
        config: Config | None = None,
    ) -> None:
        op = "dense_mla_decode" if isinstance(inputs, DenseDecode) else "dense_mha_prefill"
        outputs = get_op(op).empty_outputs(inputs)
        call: KernelCall = tuned_call(op, inputs, outputs, impl, config)
        expanded = (inputs.k, inputs.v) if isinstance(inputs, DensePrefill) else ()
        super().__init__(name, call, [call.step("attention")], [*outputs, *expanded], [inputs], BF16_TOKEN_BYTES)


def eager_dense(dense: DensePipeline) -> DensePipeline:
    """The same computation on the same inputs as eager torch's default: what a user would write first."""
    call = dense.attention
    config = get_implementation(call.op.name, BASELINE).default_config(call.op.axes_of(call.inputs))
    return DensePipeline(call.inputs, "eager", BASELINE, config)
