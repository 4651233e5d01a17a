"""`dsabench gate CANDIDATE --baseline …`: journals, or what inspect wrote, against one another."""

from __future__ import annotations

import shlex
from pathlib import Path

from dsabench.cli.errors import UsageError
from dsabench.cli.gate_output import Outputs


def gate_files(
    candidate: Path, baselines: tuple[Path, ...], min_effect: float, allow_missing: bool, outputs: Outputs
) -> int:
    """A folder that holds both is taken for its journal."""
    from dsabench.bench.gate.journals import gate_journals
    from dsabench.bench.gate.reading import read_for_gate

    for path in (candidate, *baselines):
        if not path.exists():
            raise UsageError(f"{path} does not exist")
    kinds = {path: _holds_inspection(path) for path in (candidate, *baselines)}
    if len(set(kinds.values())) > 1:
        inspected = next(path for path, inspection in kinds.items() if inspection)
        raise UsageError(f"{inspected} is what inspect wrote, not a journal: both sides must be of one kind")
    words = ["dsabench", "gate", str(candidate), *(word for path in baselines for word in ("--baseline", str(path)))]
    if kinds[candidate]:
        if len(baselines) > 1:
            raise UsageError("compiled configs have no noise: name one --baseline")
        from dsabench.cli.gate_static import gate_inspections

        return gate_inspections(candidate, baselines[0], allow_missing, shlex.join(words), outputs)
    result = gate_journals(
        [read_for_gate(path) for path in baselines],
        read_for_gate(candidate),
        min_effect,
        allow_missing,
        shlex.join(words),
    )
    return outputs.write(result)


def _holds_inspection(path: Path) -> bool:
    """Whether it is what `dsabench inspect` wrote, or a baseline of the static gate; else it is to be a journal."""
    from dsabench.bench.inspection_file import RESULTS_NAME
    from dsabench.bench.journal import JOURNAL_NAME

    if path.is_dir():
        return (path / RESULTS_NAME).exists() and not (path / JOURNAL_NAME).exists()
    with path.open("rb") as file:
        return b'"arch"' in file.readline(1 << 16)
