"""What `compare --dense` measured: the sparse pipeline against dense attention, and what selecting keys loses."""
