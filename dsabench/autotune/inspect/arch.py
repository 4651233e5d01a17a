"""The GPU architectures that kernels can be compiled for and looked at, with their limits per streaming multiprocessor (SM)."""

from __future__ import annotations

from dataclasses import dataclass

from dsabench.kernels.op import UnknownNameError


@dataclass(frozen=True)
class Arch:
    """Limits from NVIDIA's `cuda_occupancy.h` and the CUDA C++ Programming Guide, table of compute capabilities.

    capability             Triton's number, 90 for 9.0
    registers_per_sm       32-bit registers; a quarter of them belongs to each of four sub-partitions
    register_unit          registers are given to a warp in this many
    shared_per_sm, shared_per_block, shared_reserved, shared_unit   bytes; `reserved` is taken from each block by the system
    grid                   largest grid per dimension
    """

    name: str
    capability: int
    title: str
    blocks_per_sm: int = 32
    warps_per_sm: int = 64
    threads_per_block: int = 1024
    registers_per_sm: int = 65536
    registers_per_thread: int = 255
    register_unit: int = 256
    sub_partitions: int = 4
    shared_per_sm: int = 228 * 1024
    shared_per_block: int = 227 * 1024
    shared_reserved: int = 1024
    shared_unit: int = 128
    grid: tuple[int, int, int] = (2**31 - 1, 65535, 65535)


ARCHES = {arch.name: arch for arch in (Arch("sm_90a", 90, "Hopper: H100, H200, H800, H20"),)}
DEFAULT_ARCH = "sm_90a"


def get_arch(name: str) -> Arch:
    """Raises UnknownNameError."""
    if name not in ARCHES:
        raise UnknownNameError("arch", name, list(ARCHES))
    return ARCHES[name]
