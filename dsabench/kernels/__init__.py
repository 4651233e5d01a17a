"""What is computed: the contracts of the ops, their references, costs, checks and implementations.

This floor knows nothing of tuning, benchmarks or reports. One folder an op; in it `contract.py` (axes, inputs, argument
checks), `cost.py`, `reference.py`, `check.py`, and one `impl_<name>.py` per implementation.
"""
