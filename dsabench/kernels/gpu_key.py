"""The key under which results of a GPU are kept."""

from __future__ import annotations

import functools
import re

import torch


def gpu_device_key(name: str, sms: int) -> str:
    """Names GPUs whose results may be mixed: the driver's name and the streaming multiprocessors, which tell a MIG slice from the
    whole; e.g. `cuda-nvidia-h100-80gb-hbm3-132sm`. Safe as a file name."""
    return f"cuda-{re.sub(r'[^a-z0-9]+', '-', name.lower()).strip('-')}-{sms}sm"


def current_gpu_key(device: torch.device) -> str:
    """The key of a CUDA device that torch can use; one without an index is the current one."""
    return _key_of(torch.cuda.current_device() if device.index is None else device.index)


@functools.cache
def _key_of(index: int) -> str:
    properties = torch.cuda.get_device_properties(index)
    return gpu_device_key(properties.name, properties.multi_processor_count)
