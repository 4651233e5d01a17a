"""The lightning indexer's scores of every (query, key) pair, keys in one array (prefill)."""
