"""A Triton kernel of known duration."""

# mypy: allow-incomplete-defs

from __future__ import annotations

import triton
import triton.language as tl


@triton.jit(do_not_specialize=["duration_ns"])
def spin(elapsed_ptr, duration_ns):
    """Spins until the GPU's nanosecond timer is `duration_ns` past its first reading; elapsed int64 [1] is how far it then was.
    duration_ns int32 > 0, one binary for all of them. Grid: (1,), one warp.

    %globaltimer counts nanoseconds whatever the clocks do, in steps of up to a microsecond; the kernel may end that much early.
    A timer that stands still would hang the GPU for ever, so there are at most `duration_ns` trips: each takes longer than a
    nanosecond, so that a running timer ends the loop first.
    """
    begin = tl.extra.cuda.globaltimer()
    elapsed = begin - begin
    trips = 0
    while (elapsed < duration_ns) & (trips < duration_ns):
        elapsed = tl.extra.cuda.globaltimer() - begin
        trips += 1
    tl.store(elapsed_ptr, elapsed)
