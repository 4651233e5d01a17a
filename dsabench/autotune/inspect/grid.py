"""Which configs are inspected: workloads × implementations that compile a kernel per config × their legal configs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from dsabench.bench.inspection_records import ConfigId
from dsabench.kernels.implementation import Config, Implementation
from dsabench.kernels.op import UnknownNameError
from dsabench.kernels.registry import get_implementation, implementation_names
from dsabench.kernels.source_hash import source_hash
from dsabench.kernels.workload import Workload


class GridError(ValueError):
    """Nothing to inspect, or a config that is not in the space; the message says what there is."""


@dataclass(frozen=True)
class Candidate:
    """One config to inspect. source: the implementation's source hash; "" for a plugin, whose own imports no hash covers."""

    config: ConfigId
    is_default: bool
    source: str


def compiled_implementations(op: str) -> list[Implementation]:
    """The implementations of an op whose launches can be compiled ahead: those with a `plan`."""
    found = (get_implementation(op, name) for name in implementation_names(op))
    return [implementation for implementation in found if implementation.plan is not None]


def candidates(
    workloads: Sequence[Workload], impls: Sequence[str] = (), configs: Sequence[Config] = ()
) -> list[Candidate]:
    """The grid in a fixed order. `impls` keeps only implementations of these names; `configs`, each completed by the default,
    replaces the grid of every implementation. Raises GridError or UnknownNameError."""
    found: dict[Candidate, None] = {}
    for op in dict.fromkeys(w.op for w in workloads):
        chosen = _chosen(op, impls)
        for workload in (w for w in workloads if w.op == op):
            for implementation in chosen:
                found |= dict.fromkeys(_of_workload(workload, implementation, configs))
    return list(found)


def _chosen(op: str, impls: Sequence[str]) -> list[Implementation]:
    compiled = compiled_implementations(op)
    names = [implementation.name for implementation in compiled]
    if not names:
        raise GridError(
            f"op {op} has no implementation that inspect can compile (it has {', '.join(implementation_names(op))})"
        )
    for name in impls:
        if name not in implementation_names(op):
            raise UnknownNameError(f"implementation of {op}", name, list(implementation_names(op)))
        if name not in names:
            raise GridError(
                f"implementation {name} of {op} compiles no kernel per config; inspect takes {', '.join(names)}"
            )
    return [implementation for implementation in compiled if not impls or implementation.name in impls]


def _of_workload(workload: Workload, implementation: Implementation, configs: Sequence[Config]) -> list[Candidate]:
    axes = workload.axis_values
    if configs:
        try:
            chosen = [implementation.check_config(config, axes) for config in configs]
        except ValueError as error:
            raise GridError(str(error)) from error
    else:
        chosen = [config for config in implementation.configs() if implementation.constraint(config, axes) is None]
        if not chosen:
            raise GridError(f"no config of {implementation.id} is legal at {workload.label()}")
    return [candidate_of(workload, implementation, config) for config in chosen]


def candidate_of(workload: Workload, implementation: Implementation, config: Config) -> Candidate:
    """One full config, legal or not."""
    return Candidate(
        ConfigId(implementation.op, implementation.name, workload.axes, tuple(config.items())),
        config == implementation.default_config(workload.axis_values),
        _source(implementation),
    )


def _source(implementation: Implementation) -> str:
    if getattr(implementation.plan, "__module__", "").startswith("dsabench.kernels."):
        return source_hash(implementation.op, implementation.name)
    return ""
