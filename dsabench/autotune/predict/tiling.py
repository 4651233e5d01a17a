"""How the ops of this package are cut into tiles: what a tile's rows share, which neither machine code nor cost can say.

By the names of axes and tunables that all implementations here use (`BLOCK_H`: heads a tile, `BLOCK_Q`: queries a tile,
`NUM_SPLITS`). For a kernel that names its tile otherwise and states no rows, padding and reuse are taken as perfect.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from dsabench.kernels.op import Axes, Cost

_MLA_FLOPS = 2 * (576 + 512)


@dataclass(frozen=True)
class Tiling:
    """rows(axes)       rows that attend to, or score, the same keys
    tile                tunable: how many of them a tile holds
    pair_flops(axes)    FLOPs of one row and one key
    key_bytes           of one key as the kernel loads it
    dependent_loads     loads of a tile that wait for one another: 2 where rows are gathered through indices
    partial_bytes(axes) of one split's results, in float32
    """

    rows: Callable[[Axes], int]
    tile: str
    pair_flops: Callable[[Axes], int]
    key_bytes: int
    dependent_loads: int = 1
    partial_bytes: Callable[[Axes], int] = lambda axes: 0

    def size(self, config: Mapping[str, object], stated: int | None) -> int | None:
        """Rows of a tile: the config's, or else those that the kernel's author states. None: not known."""
        size = config.get(self.tile)
        return size if isinstance(size, int) and size > 0 else stated

    def tiles(self, axes: Axes, size: int | None) -> int:
        """Tiles of `size` that the rows of one set of keys make: each loads every key."""
        return -(-self.rows(axes) // size) if size else 1

    def padding(self, axes: Axes, size: int | None) -> float:
        """Rows computed for each row that there is."""
        return self.tiles(axes, size) * size / self.rows(axes) if size else 1.0

    def read_bytes(self, axes: Axes, cost: Cost) -> float:
        """Bytes of keys when each set of rows reads its own once."""
        return min(cost.flops / (self.pair_flops(axes) * self.rows(axes)) * self.key_bytes, cost.gather_bytes)


def _heads(axes: Axes) -> int:
    return axes["h_q"]


def _mla_partial(axes: Axes) -> int:
    return axes["b"] * axes["s_q"] * axes["h_q"] * (512 + 1) * 4


TILINGS = {
    "indexer_logits": Tiling(lambda axes: axes["s_q"], "BLOCK_Q", lambda axes: 2 * axes["h"] * 128, 132),
    "paged_indexer_logits": Tiling(lambda axes: axes["next_n"], "BLOCK_Q", lambda axes: 2 * axes["h"] * 128, 132),
    "sparse_mla_prefill": Tiling(_heads, "BLOCK_H", lambda axes: _MLA_FLOPS, 1152, 2),
    "sparse_mla_decode": Tiling(_heads, "BLOCK_H", lambda axes: _MLA_FLOPS, 656, 2, _mla_partial),
    "dense_mla_decode": Tiling(
        lambda axes: axes["s_q"] * axes["h_q"], "BLOCK_H", lambda axes: _MLA_FLOPS, 1152, 1, _mla_partial
    ),
    "dense_mha_prefill": Tiling(
        lambda axes: axes["s_q"], "BLOCK_Q", lambda axes: 2 * (192 + 128), 640, 1,
        lambda axes: axes["s_q"] * axes["h_q"] * (128 + 1) * 4,
    ),
}  # fmt: skip


def partial_bytes(op: str, axes: Axes, config: Mapping[str, object]) -> int:
    """Bytes of all splits' results; 0 where nothing is split."""
    splits = config.get("NUM_SPLITS", 1)
    tiling = TILINGS.get(op)
    return splits * tiling.partial_bytes(axes) if tiling and isinstance(splits, int) and splits > 1 else 0
