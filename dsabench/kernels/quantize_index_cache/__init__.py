"""bf16 keys into the indexer's 132-byte cache."""
