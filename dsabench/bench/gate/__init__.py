"""Gates: is the candidate slower than the baseline, beyond the noise, and can that be said at all."""
