"""Sparse MLA, decode: every query attends to its own top-k slots of a paged fp8 latent cache."""
