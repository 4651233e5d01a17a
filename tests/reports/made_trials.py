"""A search made by hand: trials of one implementation of one op, with SYNTHETIC times given config by config."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from pathlib import Path

from dsabench.bench.journal import read_journal
from dsabench.bench.records import Comparison, Record, Status, Trial
from dsabench.reports.sections import Section, sections_of
from tests.reports.journals import JournalBuilder, ceilings, device, header, workload_record, write_records

OP = "sparse_mla_decode"
Config = Mapping[str, bool | int | str]


def made_trial(
    config: Config,
    seconds: float | None,
    *,
    status: Status = Status.PASSED,
    impl: str = "cpu",
    context: int = 4096,
    rung: int = 0,
    is_default: bool = False,
    samples: Sequence[float] = (),
) -> Trial:
    """`seconds`: the median; None where the trial did not pass. The interval is 1 % to either side."""
    base = JournalBuilder().trial(
        OP,
        impl,
        context,
        {"NK": 4, "BLOCK_KV": 64, "DEQUANT": "table"} if impl == "cpu" else {"TILE": 512},
        random.Random(1),
        status if seconds is None else Status.PASSED,
        "" if seconds is not None else f"made to be {status.value}",
        rung=rung,
    )
    timing = base.timing
    if timing is not None and seconds is not None:
        timing = timing.model_copy(
            update={
                "median_s": seconds,
                "low_s": 0.99 * seconds,
                "high_s": 1.01 * seconds,
                "samples_s": list(samples) or timing.samples_s,
            }
        )
    return base.model_copy(update={"config": dict(config), "is_default": is_default, "timing": timing})


def made_section(directory: Path, trials: Sequence[Trial], comparisons: Sequence[Comparison] = ()) -> Section:
    """A journal of these, read again."""
    contexts = {trial.workload.axes["s_kv"] for trial in trials} | {c.workload.axes["s_kv"] for c in comparisons}
    head: list[Record] = [header(device()), ceilings(), *(workload_record(OP, context) for context in sorted(contexts))]
    numbered = [trial.model_copy(update={"number": i}) for i, trial in enumerate(trials, start=1)]
    return sections_of([read_journal(write_records(directory, [*head, *numbered, *comparisons]))])[0]
