"""Implementations that only changed their name."""

from __future__ import annotations

from collections.abc import Mapping, Set

Name = tuple[str, str]
"""op, implementation"""


def renamed(before: Mapping[Name, Set[str]], after: Mapping[Name, Set[str]]) -> dict[Name, Name]:
    """New name → old name. Both map implementations to the keys of their workloads. An implementation that one side lacks is a renamed
    one where its op has exactly one such on each side and both are of the same workloads."""
    names: dict[Name, Name] = {}
    for op in {op for op, _ in after}:
        gone = [name for name in before if name[0] == op and name not in after]
        come = [name for name in after if name[0] == op and name not in before]
        if len(gone) == len(come) == 1 and before[gone[0]] == after[come[0]]:
            names[come[0]] = gone[0]
    return names
