"""How many blocks of a kernel an SM holds at once, by the rules of NVIDIA's `cuda_occupancy.h`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from dsabench.autotune.inspect.arch import Arch

WARP = 32
Limit = Literal["blocks", "warps", "registers", "shared memory"]


@dataclass(frozen=True)
class Occupancy:
    """blocks, warps: resident on one SM (0 when a block does not fit); limited_by: what allows no more blocks."""

    blocks: int
    warps: int
    limited_by: Limit


def occupancy(arch: Arch, warps: int, registers: int, shared: int) -> Occupancy:
    """warps: of a block; registers: of a thread; shared: bytes of a block, without what the system reserves.

    Registers are given to whole warps, in units, from the sub-partition a warp runs on, so a sub-partition's remainder is
    lost; shared memory is rounded up per block. The default cache configuration is assumed: as much shared memory as fits.
    """
    per_warp = -(-registers * WARP // arch.register_unit) * arch.register_unit
    in_partition = arch.registers_per_sm // arch.sub_partitions // per_warp if per_warp else arch.warps_per_sm
    per_block = -(-(shared + arch.shared_reserved) // arch.shared_unit) * arch.shared_unit
    limits: dict[Limit, int] = {
        "shared memory": arch.shared_per_sm // per_block if shared <= arch.shared_per_block else 0,
        "registers": in_partition * arch.sub_partitions // warps,
        "warps": arch.warps_per_sm // warps,
        "blocks": arch.blocks_per_sm,
    }
    if warps * WARP > arch.threads_per_block or registers > arch.registers_per_thread:
        limits["warps" if warps * WARP > arch.threads_per_block else "registers"] = 0
    if per_warp * warps > arch.registers_per_sm:
        limits["registers"] = 0
    limit = min(limits, key=lambda name: limits[name])
    return Occupancy(limits[limit], limits[limit] * warps, limit)


def why_no_launch(arch: Arch, grid: tuple[int, ...], warps: int, registers: int, shared: int) -> str:
    """Why the driver would refuse this launch; "" when it would not. Nothing checks these limits at compile time."""
    if shared > arch.shared_per_block:
        return (
            f"needs {shared / 1024:.1f} KB of shared memory, a block has at most {arch.shared_per_block // 1024} KB "
            f"({shared} > {arch.shared_per_block} bytes)"
        )
    if warps * WARP > arch.threads_per_block:
        return f"{warps} warps are {warps * WARP} threads, a block has at most {arch.threads_per_block}"
    if occupancy(arch, warps, registers, shared).blocks == 0:
        return f"{warps} warps of {registers} registers a thread pass an SM's {arch.registers_per_sm} registers"
    for dimension, (size, most) in enumerate(zip(grid, arch.grid, strict=False)):
        if not 1 <= size <= most:
            return f"grid dimension {'xyz'[dimension]} is {size}, outside 1 to {most}"
    return ""
