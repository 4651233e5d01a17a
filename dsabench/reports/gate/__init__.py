"""What people and CI read of a gate: pure functions of its record (`dsabench.bench.gate.records.GateResult`)."""
