"""Integer keys in the order of float32 scores, and the search for the key that separates the k highest.

A key is a score's bits, with the magnitude bits flipped where the sign is set: integers in the order of the scores (-0 is one
below +0; both keys count the same scores). Only the few keys of a search are turned into scores, never scores into keys: a
score is compared as a float, so -0 equals +0 and NaN is at or above nothing. BOTTOM stands for "every score, NaN too".
"""

# mypy: allow-incomplete-defs

from __future__ import annotations

import triton
import triton.language as tl

BOTTOM = tl.constexpr(-0x7F800002)
"""one below the key of -inf"""
TOP = tl.constexpr(0x7F800001)
"""one above the key of +inf: no score is at or above it"""
INTERPOLATED = tl.constexpr(8)
"""Probes placed by interpolating between the counts at both ends before halving takes over. On continuous scores the search
then ends after 4 to 9 counts (halving alone: 9 to 16); on scores rounded to bf16, whose ties must be pinned to one key, both need 20
to 29. Counted in simulation on windows of 8192 to 131072 scores."""


@triton.jit
def score_of(key):
    """The float32 score of an integer key (scalar). A NaN for BOTTOM and TOP."""
    bits = tl.where(key >= 0, key, key ^ 0x7FFFFFFF)
    return bits.to(tl.int32).to(tl.float32, bitcast=True)


@triton.jit
def key_of(score):
    """The int64 key of a float32 score that is no NaN (scalar)."""
    bits = (score + 0.0).to(tl.int32, bitcast=True)  # -0 + 0 is +0
    return tl.where(bits >= 0, bits, bits ^ 0x7FFFFFFF).to(tl.int64)


@triton.jit
def next_probe(low, low_count, high, high_count, k, probes):
    """A key strictly between low and high, where low_count >= k > high_count scores are at or above each."""
    share = (low_count - k + 0.5) / (low_count - high_count)
    guess = low + (share * (high - low).to(tl.float32)).to(tl.int64)
    probe = tl.where(probes < INTERPOLATED, guess, (low + high) >> 1)
    return tl.minimum(tl.maximum(probe, low + 1), high - 1)


@triton.jit
def sampled_rank(k, n, SAMPLES: tl.constexpr):
    """The rank in a sample of SAMPLES out of n scores below which, with five standard deviations to spare, the k-th of the n
    falls: of random windows 3 in 10 million have fewer than k scores at or above it, and are then selected without it."""
    share = k / n
    return (share * SAMPLES + 5.0 * tl.sqrt(share * (1.0 - share) * SAMPLES) + 4.0).to(tl.int32)


@triton.jit
def sampled_keys(row_ptr, start, n, rank, SAMPLES: tl.constexpr):
    """Two int64 keys from SAMPLES <= n scores of row_ptr[start, start + n): that of about the rank-th highest of the sample (at
    most 1/16 more are at or above it where ties allow), and a guess of where the search may go next: one above it where the
    sample has ties there, else the sample's highest. BOTTOM for the first when the rank falls among NaN."""
    i = tl.arange(0, SAMPLES)
    stride = n // SAMPLES
    # One score of every stride, at golden-ratio steps inside it: even, and in step with no period of the scores.
    column = start + i * stride + ((((i * 40503) & 0xFFFF) * stride) >> 16)
    sample = tl.load(row_ptr + column)
    highest = tl.max(tl.where(sample == sample, sample, float("-inf")), axis=0)
    highest_key = key_of(highest)
    low = tl.full((), BOTTOM, tl.int64)
    low_count = tl.full((), SAMPLES, tl.int32)
    high = highest_key + 1
    high_count = tl.full((), 0, tl.int32)
    probes = 0
    while (low_count > rank + rank // 16) & (high - low > 1):
        probe = next_probe(low, low_count, high, high_count, rank, probes)
        count = tl.sum((sample >= score_of(probe)).to(tl.int32), axis=0)
        enough = count >= rank
        low = tl.where(enough, probe, low)
        low_count = tl.where(enough, count, low_count)
        high = tl.where(enough, high, probe)
        high_count = tl.where(enough, high_count, count)
        probes += 1
    low = tl.where(low == -1, 0, low).to(tl.int64)  # -1 is -0: what is at or above it is at or above +0
    return low, tl.where(high - low == 1, high, highest_key)
