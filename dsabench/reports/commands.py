"""The command that measures or checks a row again, beside the row."""

from __future__ import annotations

import shlex
from dataclasses import dataclass

from dsabench.bench.records import WorkloadId
from dsabench.bench.rerun import plugin_options
from dsabench.reports.sections import Run, Section
from dsabench.reports.summary import reproduce_command


@dataclass(frozen=True)
class Commands:
    """`runs`: by workload key the run that came to it last."""

    runs: dict[str, Run]
    last: Run

    def tune(self, workload: WorkloadId, impl: str) -> str:
        """Measures one row again, with its run's suite, strategy, effort and seed, beside `torch`."""
        return reproduce_command(self.runs.get(workload.key, self.last), workload, impl)

    def verify(self, op: str, impl: str) -> str:
        """Checks an implementation against the reference on the last run's suite, without timing it."""
        header = self.last.header
        words = ["dsabench", "verify", "--suite", header.suite, "--op", op, "--impl", impl]
        return shlex.join([*words, "--device", header.device.type, *plugin_options(header.command)])


def commands_of(section: Section) -> Commands:
    last = (section.tuning_runs or section.runs)[-1]
    runs: dict[str, Run] = {}
    for journal in section.journals:
        mine = [run for run in section.tuning_runs if run.path == journal.path]
        if mine:
            keys = [*journal.workloads, *(comparison.workload.key for comparison in journal.comparisons)]
            runs |= dict.fromkeys(keys, mine[-1])
    return Commands(runs, last)
