"""Journals of a tuning run as a GPU's, with SYNTHETIC numbers: nothing here was measured on a GPU."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from pathlib import Path

from dsabench.bench.gpu.vendor import CHIPS
from dsabench.bench.records import (
    Ceilings,
    Conditions,
    DeviceRecord,
    Rate,
    Record,
    Spread,
    Timing,
    Trial,
)
from tests.reports.journals import JournalBuilder, ceilings, device, write_records


def gpu(name: str = "Synthetic H100") -> DeviceRecord:
    return device(name, "cuda-synthetic-132").model_copy(update={"type": "cuda", "cores": 132, "isa": ["9.0"]})


def conditions(rng: random.Random, *, throttled: int = 0, regime: str = "burst") -> Conditions:
    clock = 1755.0 if throttled else 1980.0
    return Conditions.model_validate(
        {
            "readings": 12,
            "sm_mhz": Spread(low=clock - 15, median=clock, high=clock),
            "memory_mhz": Spread(low=2619.0, median=2619.0, high=2619.0),
            "power_w": Spread(low=310.0, median=520.0 + 20 * rng.random(), high=655.0),
            "temperature_c": Spread(low=41.0, median=48.0, high=57.0),
            "throttled": {"sw_power_cap": throttled} if throttled else {},
            "regime": regime,
        }
    )


def gpu_ceilings() -> Ceilings:
    base = ceilings()
    return base.model_copy(
        update={
            "product": {
                "fp8": Rate(value=1.42e15, median=1.4e15, n=9, method="8192 cubed"),
                "bf16": Rate(value=0.76e15, median=0.75e15, n=9, method="8192 cubed"),
            },
            "bandwidth": {"copy": Rate(value=2.98e12, median=2.95e12, n=9, method="copy of 16 times the L2")},
            "gather": {
                "656": Rate(value=5.1e12, median=5.0e12, n=9, method="random rows of a table in L2"),
                "1152": Rate(value=5.6e12, median=5.5e12, n=9, method="random rows of a table in L2"),
            },
            "vendor": CHIPS["h100"],
        }
    )


@dataclass
class GpuJournal:
    """Of every `throttle_every`-th trial 7 of 24 samples are throttled; of `host_bound` trials two samples are."""

    ops: tuple[str, ...] = ("sparse_mla_decode", "topk_select")
    contexts: tuple[int, ...] = (4096, 65536)
    throttle_every: int = 5
    host_bound: int = 1
    conditions: bool = True
    warm: bool = True
    predicted: bool = True
    built: JournalBuilder = field(init=False)

    def __post_init__(self) -> None:
        self.built = JournalBuilder(device=gpu(), ops=self.ops, contexts=self.contexts)

    def records(self) -> list[Record]:
        rng = random.Random(11)
        out: list[Record] = []
        bound = self.host_bound
        for record in self.built.records():
            if isinstance(record, Ceilings):
                record = gpu_ceilings()
            elif isinstance(record, Trial) and record.timing is not None:
                record, bound = self.trial(record, rng, bound), bound - 1
            out.append(record)
        return out

    def trial(self, trial: Trial, rng: random.Random, bound: int) -> Trial:
        timing = trial.timing
        assert timing is not None
        found = None
        if self.conditions:
            throttled = 7 if trial.number % self.throttle_every == 0 else 0
            found = conditions(rng, throttled=throttled, regime="sustained" if trial.number % 3 == 0 else "burst")
        update = {"conditions": found, "host_bound": 2 if bound > 0 else 0, "clock": "cuda_graph"}
        faster = {"median_s": timing.median_s * 0.8, "low_s": timing.low_s * 0.8, "high_s": timing.high_s * 0.8}
        warm: Timing | None = timing.model_copy(update={**update, **faster, "inputs": "warm"}) if self.warm else None
        return trial.model_copy(
            update={
                "timing": timing.model_copy(update=update),
                "warm": warm,
                "predicted_s": timing.median_s * 0.7 * (0.8 + 0.4 * rng.random()) if self.predicted else None,
            }
        )

    def write(self, directory: Path) -> Path:
        return write_records(directory, self.records())
