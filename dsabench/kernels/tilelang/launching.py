"""Launches of TileLang kernels, by the code that launches our CUDA C++."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from dsabench.kernels.cuda.launching import LoadedKernel
from dsabench.kernels.tilelang.cache import program_of
from dsabench.kernels.tilelang.facts import argument_type, check_launch
from dsabench.kernels.tilelang.launch import TileLangLaunch


class _Program:
    """A kernel loaded on one device. fitting: grids and dimensions of the launches that were checked."""

    def __init__(self, launch: TileLangLaunch) -> None:
        program = program_of(launch)
        self.facts = program.facts
        self.kernel = LoadedKernel(program.cubin, self.facts.entry, self.facts.cluster)
        self.fitting: set[Any] = set()


_programs: dict[Any, _Program] = {}
"""By device and what decides the machine code within a process."""


def launch(launch: TileLangLaunch) -> None:
    """Queues one launch. Raises what lowering, compiling and CuPy raise, LaunchMismatchError when the first launch of its grid and
    dimensions does not fit the program."""
    arguments = launch.arguments
    key = (
        torch.cuda.current_device(),
        launch.source,
        *launch.constants.items(),
        *launch.pass_configs.items(),
        *(argument_type(argument) for argument in arguments.values()),
    )
    program = _programs.get(key)
    if program is None:
        program = _programs[key] = _Program(launch)
    facts = program.facts
    dimensions = (launch.grid, *(value for value in arguments.values() if isinstance(value, np.integer)))
    if dimensions not in program.fitting:
        check_launch(launch, facts)
        program.fitting.add(dimensions)
    given = (arguments[name] for name in facts.parameters)
    program.kernel.queue(launch.grid, tuple(facts.block), given, facts.shared_bytes)
