"""Which register tile fits the rows of an attention call: the TILE tunable."""

from __future__ import annotations

from dsabench.kernels.cpu import products
from dsabench.kernels.cpu.attention_scratch import row_groups
from dsabench.kernels.cpu.microkernel import REGISTER_TILES
from dsabench.kernels.implementation import Config, Tunable
from dsabench.kernels.machine import cpu_isa

TILE = Tunable("TILE", REGISTER_TILES, "register tile: rows × vectors of 16 lanes")


def tile_constraint(config: Config, heads: int) -> str | None:
    """Why a register tile does not fit this many rows; None when it does."""
    _, lanes = row_groups(heads)
    if config["TILE"] in ("6x4", "4x4") and lanes < 64:
        return f"TILE={config['TILE']} needs 64 lanes, {heads} rows fill {lanes}"
    if config["TILE"] == "12x2" and lanes < 32:
        return f"TILE=12x2 needs 32 lanes, {heads} rows fill {lanes}"
    return products.missing_extension(config)


def default_tile(heads: int) -> str:
    """The largest register tile that the rows fill and the registers hold (AVX2 and Arm: 6x1)."""
    _, lanes = row_groups(heads)
    if "avx512f" not in cpu_isa() or lanes == 16:
        return "6x1"
    return "6x4" if lanes == 64 else "12x2"
