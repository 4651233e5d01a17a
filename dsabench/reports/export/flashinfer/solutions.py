"""Our implementations as flashinfer-bench Solutions: a few lines that call the library with the configs that were measured."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

from dsabench.bench.records import ConfigValues
from dsabench.reports.export.flashinfer.definitions import SPECS, Spec, bindings
from dsabench.reports.export.names import safe_word

AUTHOR = "dsabench"
Shape = tuple[int | bool, ...]
"""Values of the variable axes and of the flags, in the order of `shape_words`: what tells workloads of one definition apart."""


def shape_words(spec: Spec) -> list[tuple[str, str]]:
    """(axis or flag, Python that reads it from the arguments of `run`)."""
    axes = [(axis, f"{name}.shape[{dim}]") for axis, (name, dim) in bindings(spec).items()]
    return axes + [(name, f"bool({name})") for name, each in spec.inputs.items() if each.dtype == "bool"]


def solution(
    op: str,
    definition: str,
    impl: str,
    source: str,
    configs: Mapping[Shape, ConfigValues],
    device_type: str,
    commit: str,
) -> dict[str, Any]:
    """The Solution of one implementation for one definition, as its JSON file holds it. Its name ends in a hash of its code, so
    that traces of an earlier table of configs keep the solution they are of."""
    code = _code(op, impl, source, configs)
    name = f"{definition}_{safe_word(impl)}_{hashlib.sha256(code.encode()).hexdigest()[:8]}"
    return {
        "name": name,
        "definition": definition,
        "author": AUTHOR,
        "description": f"dsabench's {impl} implementation of {op}, kernel source {source}, commit {commit}.",
        "spec": {
            "language": "python",
            "target_hardware": [device_type],
            "entry_point": "main.py::run",
            "dependencies": ["dsabench"],
            "destination_passing_style": False,
        },
        "sources": [{"path": "main.py", "content": code}],
    }


def _code(op: str, impl: str, source: str, configs: Mapping[Shape, ConfigValues]) -> str:
    spec = SPECS[op]
    # The library's caches are uint8, a dtype that flashinfer-bench has not.
    arguments = [f"{name}.view(torch.uint8)" if each.dtype == "int8" else name for name, each in spec.inputs.items()]
    key = ", ".join(word for _, word in shape_words(spec))
    table = "".join(f"    {shape!r}: {dict(configs[shape])!r},\n" for shape in sorted(configs))
    return f'''"""{op} by dsabench, implementation {impl}, kernel source {safe_word(source)}."""

import torch

import dsabench

# ({", ".join(axis for axis, _ in shape_words(spec))}) -> the config measured there; others get the library's choice.
CONFIGS = {{
{table}}}


@torch.no_grad()
def run({", ".join(spec.inputs)}):
    config = CONFIGS.get(({key}))
    return dsabench.{op}({", ".join(arguments)}, impl={impl!r}, config=config)
'''
