"""`python -m tests.autotune.simulated_machine tune …`: dsabench in a process that finds a Hopper GPU which is not there."""

from __future__ import annotations

import sys
from collections.abc import Callable

import torch

NAME = "NVIDIA H100 80GB HBM3"


def pretend(put: Callable[[object, str, object], None]) -> None:
    """`put(owner, name, value)` sets an attribute."""
    from dsabench.bench.gpu import selection
    from dsabench.kernels.cuda_driver import DriverDevice
    from dsabench.kernels.triton import runtime

    device = DriverDevice(NAME, "11111111-2222-3333-4444-555555555555", 132, (9, 0))
    put(selection, "driver_devices", lambda: [device])
    put(runtime, "driver_devices", lambda: [device])
    put(torch.version, "cuda", "13.0")
    put(torch.cuda, "is_available", lambda: True)


if __name__ == "__main__":
    from dsabench.cli.app import main

    pretend(setattr)
    sys.exit(main())
