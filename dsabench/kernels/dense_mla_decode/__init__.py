"""Dense MLA, decode: absorbed attention over a paged bf16 latent cache; the baseline of the decode phase."""
