"""How the CPU implementations share rows among threads."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch

from dsabench.kernels.cpu.parallel import parallel_for
from dsabench.kernels.implementation import Config, ConfigValue, Tunable
from dsabench.kernels.op import Axes

ROWS_A_TASK = Tunable("ROWS_A_TASK", (32, 128, 512, 2048), "rows that a thread takes at a time")


def default_config(axes: Axes) -> dict[str, ConfigValue]:
    """512 rows read and write 0.9 MB: long beside the handing out of a task, which needs the GIL (see `cpu.parallel`)."""
    return {ROWS_A_TASK.name: 512}


def for_rows(rows: int, config: Config, move: Callable[[int, int], None]) -> None:
    """Calls move(first, last) for all rows, a task at a time, on all threads."""
    step = int(config[ROWS_A_TASK.name])

    def task(number: int, slot: int) -> None:
        move(number * step, min(rows, (number + 1) * step))

    parallel_for(-(-rows // step), task)


def bf16_words(tensor: torch.Tensor) -> np.ndarray:
    """The bits of a bf16 tensor, uint16, flat; a view."""
    return tensor.view(torch.int16).numpy().view(np.uint16).reshape(-1)
