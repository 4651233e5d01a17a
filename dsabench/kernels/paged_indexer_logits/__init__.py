"""The lightning indexer's scores over a paged cache of 132 bytes a token (decode)."""
