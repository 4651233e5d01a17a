"""Dense MHA, prefill: un-absorbed attention with 192/128 dims per head; the baseline of the prefill phase."""
