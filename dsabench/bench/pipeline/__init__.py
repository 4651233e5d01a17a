"""DeepSeek Sparse Attention as a pipeline (indexer, top-k, sparse MLA) against the best dense attention of each phase."""
