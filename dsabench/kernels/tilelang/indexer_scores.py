"""What the plain and the paged indexer programs share: Σ_h weights · relu(q · k) on fp8 tensor cores, in TileLang.

Keys are the left operand: a product is [keys, 128] × [128, columns] for the columns = BLOCK_Q·HEADS of a tile's queries. wgmma gives
a thread two neighbouring columns of every eight, four threads share the eight (PTX ISA, wgmma accumulator D). A tile's queries are
therefore dealt to these four threads, as kernels.triton.triton_indexer does: of four queries and more every thread has its own with
all of its heads, and the sum over heads is multiply-adds in registers. Of two queries or one, 2 or 4 threads share a query, and add
up by one or two shuffles a key.
"""

# mypy: ignore-errors

from dataclasses import dataclass

import tilelang.language as T  # noqa: N812

THREADS = 128
"""One warpgroup. Two of them in a block would wait for each other at every tile, their products in turn and their sums at once; two
blocks on an SM drift apart, and the sums of one hide behind the products of the other."""

_RELU = r"""
#ifdef __CUDA_ARCH__
static __device__ __forceinline__ float relu_nan(float x) {
  float y;
  asm("max.NaN.f32 %0, %1, 0f00000000;" : "=f"(y) : "f"(x));
  return y;
}
#else
static inline float relu_nan(float x) { return x < 0.0f ? 0.0f : x; }
#endif
"""
"""max(x, 0) that stays NaN, one FMNMX.NAN: `T.max` is fmaxf, which takes 0 over NaN and would hide a NaN code."""


@dataclass(frozen=True)
class Deal:
    """How BLOCK_Q queries of HEADS heads stand in a product's columns: [sets, groups, lanes, dealt, 2] counts, last dim fastest, with
    query = set·dealt + its place in `dealt`, head = (group·lanes + lane)·2 + the last."""

    queries: int
    heads: int

    @property
    def columns(self):
        return self.queries * self.heads

    @property
    def dealt(self):
        return min(self.queries, 4)

    @property
    def sets(self):
        return self.queries // self.dealt

    @property
    def lanes(self):
        return 4 // self.dealt

    @property
    def groups(self):
        return self.heads // (2 * self.lanes)

    @property
    def shape(self):
        return (self.sets, self.groups, self.lanes, self.dealt, 2)

    def query(self, column):
        return column // (self.dealt * self.heads) * self.dealt + column // 2 % self.dealt

    def head(self, column):
        return column // (2 * self.dealt) % (self.heads // 2) * 2 + column % 2


@T.macro
def define_relu():
    T.import_source(_RELU)


@T.macro
def sum_heads(deal, keys, scores, weights, halves, lanes, total):
    """scores f32 [keys, columns], weights f32 [*deal.shape] → total f32 [keys, sets, dealt], in f32; scratch: halves f32 [keys, sets,
    lanes, dealt, 2] and lanes f32 [keys, sets, lanes, dealt]. Even and odd heads are summed apart, so that a thread has twice as many
    chains of multiply-adds: 4 cycles from one to the next, of which a warp issues two."""
    dealt = T.reshape(scores, (keys, *deal.shape))
    T.clear(halves)
    for g in T.unroll(deal.groups):
        for n, a, l, c, e in T.Parallel(keys, deal.sets, deal.lanes, deal.dealt, 2):
            halves[n, a, l, c, e] += (
                T.call_extern("float32", "relu_nan", dealt[n, a, g, l, c, e]) * weights[a, g, l, c, e]
            )
    T.reduce_sum(halves, lanes, dim=4)
    T.reduce_sum(lanes, total, dim=2)
