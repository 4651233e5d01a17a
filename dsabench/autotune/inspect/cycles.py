"""Which instructions can come again: the cycles of a control flow graph."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.sparse import csr_array
from scipy.sparse.csgraph import connected_components


def cycles(successors: Sequence[Sequence[int]]) -> list[list[int]]:
    """The strongly connected components of more than one node, each in order, in the order of their first nodes.

    Ranges of backward branches are not enough to tell one role's loop from another's: ptxas puts the retries of a barrier's wait
    behind the kernel's end, and their branches back span all that stands between.
    """
    starts = [node for node, after in enumerate(successors) for _ in after]
    ends = [node for after in successors for node in after]
    graph = csr_array((np.ones(len(ends)), (starts, ends)), shape=(len(successors), len(successors)))
    _, labels = connected_components(graph, directed=True, connection="strong")
    members: dict[int, list[int]] = {}
    for node, label in enumerate(labels):
        members.setdefault(int(label), []).append(node)
    return [nodes for nodes in members.values() if len(nodes) > 1]
