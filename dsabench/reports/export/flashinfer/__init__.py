"""A flashinfer-bench dataset: definitions, solutions, workloads, traces."""
