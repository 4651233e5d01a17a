"""The limits of a chip that a prediction is made for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from dsabench.bench.gpu.vendor import CHIPS
from dsabench.bench.records import Ceilings, DeviceRecord, VendorFigures
from dsabench.kernels.op import Cost

SMS = 132
"""of the SXM boards of H100 and H800, and of H200"""
L2_BYTES = 50 * 2**20
TENSOR_FLOPS_A_CLOCK = 4096
"""bf16, of an SM: with 132 SMs and the vendor's 989 TFLOPS a clock of 1.83 GHz"""
ASSUMED_L2_BANDWIDTH = 5.5e12
"""bytes a second. NVIDIA gives none for Hopper; published microbenchmarks scatter around this. Gather ceilings replace it"""


@dataclass(frozen=True)
class Machine:
    """name, basis: the chip, and where its figures come from, in words
    sms, clock_hz    streaming multiprocessors and their clock
    bandwidth        bytes a second of memory
    l2_bandwidth     bytes a second from L2, all SMs together; gather: the same by size of the rows gathered, where measured
    l2_bytes         capacity
    product          FLOP a second by dtype, all SMs together; holds `bf16` and `fp8`
    """

    name: str
    basis: str
    sms: int
    clock_hz: float
    bandwidth: float
    l2_bandwidth: float
    l2_bytes: int
    product: Mapping[str, float]
    gather: Mapping[int, float] = field(default_factory=dict)

    def l2_rate(self, row_bytes: int) -> float:
        return self.gather.get(row_bytes, self.l2_bandwidth)

    def bound_s(self, cost: Cost) -> float:
        """The roofline, as `bench.roofline` has it: no prediction is below it."""
        rates = [rate for name, rate in self.product.items() if name != "fp8" or cost.product_dtype == "fp8"]
        compute_s = cost.flops / max(rates) if cost.product_dtype else 0.0
        return max(compute_s, cost.compulsory_bytes / self.bandwidth)


def vendor_machine(figures: VendorFigures) -> Machine:
    """A chip that was not measured: the vendor's figures."""
    return Machine(
        name=figures.chip,
        basis="vendor's figures",
        sms=SMS,
        clock_hz=figures.product["bf16"] / (SMS * TENSOR_FLOPS_A_CLOCK),
        bandwidth=figures.bandwidth,
        l2_bandwidth=ASSUMED_L2_BANDWIDTH,
        l2_bytes=L2_BYTES,
        product=dict(figures.product),
    )


def measured_machine(device: DeviceRecord, ceilings: Ceilings, clock_hz: float | None = None) -> Machine:
    """The GPU of a journal, with its measured ceilings. clock_hz: of its SMs while it worked; None: as the vendor's product rate
    implies. A product rate that was not measured is the vendor's."""
    figures = ceilings.vendor or CHIPS["h100"]
    gather = {int(size): rate.value for size, rate in ceilings.gather.items()}
    return Machine(
        name=device.name,
        basis="measured ceilings",
        sms=device.cores,
        clock_hz=clock_hz or figures.product["bf16"] / (SMS * TENSOR_FLOPS_A_CLOCK),
        bandwidth=max(rate.value for rate in ceilings.bandwidth.values()),
        l2_bandwidth=max(gather.values(), default=ASSUMED_L2_BANDWIDTH),
        l2_bytes=device.last_level_cache_bytes,
        product={**figures.product, **{name: rate.value for name, rate in ceilings.product.items()}},
        gather=gather,
    )
