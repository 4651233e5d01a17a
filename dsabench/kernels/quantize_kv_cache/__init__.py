"""bf16 latent rows into the 656-byte fp8 cache of sparse MLA decode."""
