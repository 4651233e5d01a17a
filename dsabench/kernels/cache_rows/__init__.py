"""What the ops that move rows into and out of the fp8 caches share: slots, rows that broke quantizers, the exact formulas, the check
of a cache that was written into."""
