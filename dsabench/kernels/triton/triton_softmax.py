"""Online softmax in base 2: the update of running maximum and sum by one tile of scores, and what turns them into lse and output.

Scores are scaled by sm_scale · log2(e), so that weights are exp2 of them: one MUFU instruction an element. A row that has seen
no key has maximum -inf and sum 0.
"""

# mypy: allow-incomplete-defs

from __future__ import annotations

import math

import triton
import triton.language as tl

LOG2_E: tl.constexpr = tl.constexpr(math.log2(math.e))
LN_2: tl.constexpr = tl.constexpr(math.log(2.0))


@triton.jit
def update(m, l, scores, KEY_AXIS: tl.constexpr):
    """One tile of `scores` f32, base 2, -inf where there is no key; its axis KEY_AXIS runs over keys, the other over rows.
    m, l f32 [rows]: maximum and sum so far.

    -> (m, l, decay f32 [rows], the factor of what was accumulated so far; weights f32, of the shape of scores)"""
    m_new = tl.maximum(m, tl.max(scores, KEY_AXIS))
    # Any finite shift will do for a row without a key; -inf - -inf would be NaN.
    shift = tl.where(m_new == float("-inf"), 0.0, m_new)
    decay = tl.exp2(m - shift)
    weights = tl.exp2(scores - tl.expand_dims(shift, KEY_AXIS))
    return m_new, l * decay + tl.sum(weights, KEY_AXIS), decay, weights


@triton.jit
def sink_factor(lse, sink):
    """exp(lse) / (exp(lse) + exp(sink)) for lse in base 2 and sink in base e, f32. sink -inf gives 1, +inf gives 0; a row
    without a key (lse -inf) gives 1, its output is 0 already."""
    no_sink = (sink == float("-inf")) | (lse == float("-inf"))
    return tl.where(no_sink, 1.0, 1.0 / (1.0 + tl.exp2(sink * LOG2_E - lse)))
