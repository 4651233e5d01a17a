"""What times measured at several context lengths say: where two curves cross, how each grows, what a token costs and takes."""
