import pytest

from dsabench.bench.gpu.vendor import CHIPS, get_chip, vendor_figures
from dsabench.kernels.op import UnknownNameError


@pytest.mark.parametrize(
    ("device", "chip"),
    [
        ("NVIDIA H100 80GB HBM3", "h100"),
        ("NVIDIA H200", "h200"),
        ("NVIDIA H800", "h800"),
        ("NVIDIA H100 PCIe", None),
        ("NVIDIA H100 NVL", None),
        ("NVIDIA A100-SXM4-80GB", None),
    ],
)
def test_figures_belong_to_the_board(device: str, chip: str | None) -> None:
    assert vendor_figures(device) == (CHIPS[chip] if chip else None)


def test_an_unknown_chip_names_the_known_ones() -> None:
    with pytest.raises(UnknownNameError, match="h100, h200, h800"):
        get_chip("h10")
