"""What NVIDIA says of the Hopper chips: leads that stand beside measured ceilings, and the base of a prediction without a GPU."""

from __future__ import annotations

from dsabench.bench.records import VendorFigures
from dsabench.kernels.op import UnknownNameError

_PRODUCT = {"bf16": 989e12, "fp8": 1979e12}

CHIPS = {
    "h100": VendorFigures(chip="H100 SXM", bandwidth=3.35e12, product=_PRODUCT),
    "h200": VendorFigures(chip="H200", bandwidth=4.8e12, product=_PRODUCT),
    "h800": VendorFigures(chip="H800 SXM", bandwidth=3.35e12, product=_PRODUCT),
}
"""NVIDIA's data sheets, dense (without structured sparsity), SXM boards."""


def get_chip(name: str) -> VendorFigures:
    """Raises UnknownNameError."""
    if name not in CHIPS:
        raise UnknownNameError("chip", name, list(CHIPS))
    return CHIPS[name]


def vendor_figures(device_name: str) -> VendorFigures | None:
    """The figures of the GPU that its driver calls `device_name`; None for another chip, and for the PCIe and NVL boards of
    these, whose rates differ."""
    words = device_name.lower().replace("-", " ").split()
    if {"pcie", "nvl"} & set(words):
        return None
    return next((figures for name, figures in CHIPS.items() if name in words), None)
