"""Tokens of the 656-byte fp8 cache back to bf16 rows."""
