"""Sparse MLA, prefill: every query attends to its own top-k keys of one bf16 latent cache."""
