"""Predictions held against a journal: which of its trials they can be compared with, how well they order them, and the constants
that fit them best."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from dsabench.autotune.inspect.grid import Candidate, candidate_of, compiled_implementations
from dsabench.autotune.predict.constants import SHIPPED, Constants
from dsabench.autotune.predict.machine import Machine, measured_machine
from dsabench.autotune.predict.model import predict
from dsabench.autotune.predict.ranking import Ranking, rank
from dsabench.autotune.predict.refit import Fit, Sample, TooFewError, refit
from dsabench.autotune.predict.work import launch_works
from dsabench.bench.inspection_records import ConfigId, Inspection
from dsabench.bench.journal import Journal
from dsabench.bench.records import Status, Trial
from dsabench.kernels.implementation import Implementation
from dsabench.kernels.op import Cost
from dsabench.kernels.registry import op_names
from dsabench.kernels.source_hash import source_hash
from dsabench.kernels.workload import Workload

FEWEST_CONFIGS = 3


class AgainstError(ValueError):
    """A journal that nothing can be compared with; the message says why."""


@dataclass(frozen=True)
class Measured:
    """One config that a journal timed. cost: of its workload, as built; seconds: its median."""

    workload: Workload
    candidate: Candidate
    cost: Cost
    seconds: float


@dataclass(frozen=True)
class Selection:
    """machine: the journal's GPU with its ceilings; left_out: trials by why they cannot be compared."""

    machine: Machine
    measured: tuple[Measured, ...]
    left_out: dict[str, int]


@dataclass(frozen=True)
class Compared:
    """One config, predicted with the shipped constants and with those refitted (None without a refit)."""

    measured: Measured
    predicted_s: float
    refitted_s: float | None


@dataclass(frozen=True)
class PairRanking:
    """One implementation on one workload. refitted: in-sample, since the constants were fitted to these times too."""

    workload: Workload
    impl: str
    shipped: Ranking
    refitted: Ranking | None


@dataclass(frozen=True)
class Against:
    """fit: None where there are too few configs, no_fit says so."""

    machine: Machine
    pairs: tuple[PairRanking, ...]
    configs: tuple[Compared, ...]
    fit: Fit | None
    no_fit: str
    left_out: dict[str, int]


def select(journal: Journal, ops: Sequence[str] = (), impls: Sequence[str] = ()) -> Selection:
    """The trials that can be compared: PASSED, of a kernel that can be compiled here, whose source is the present one. Of several
    trials of a config the one of most effort, then the latest. `ops`, `impls` narrow. Raises AgainstError."""
    device = journal.header.device
    if device.type != "cuda":
        raise AgainstError(
            f"{journal.path} was measured on a CPU ({device.name}): it holds no compiled implementation to predict"
        )
    if not journal.ceilings:
        raise AgainstError(f"{journal.path} holds no ceilings: there is nothing to predict from")
    left_out: Counter[str] = Counter()
    chosen: dict[tuple[Workload, str, ConfigId], tuple[Trial, Candidate]] = {}
    for trial in journal.trials:
        if (ops and trial.op not in ops) or (impls and trial.impl not in impls):
            continue
        reason, implementation = _usable(trial, journal)
        if implementation is None:
            left_out[reason] += 1
            continue
        workload = Workload.of(trial.op, trial.workload.axes, trial.workload.distribution, trial.workload.seed)
        candidate = candidate_of(workload, implementation, trial.config)
        key = (workload, trial.impl, candidate.config)
        if key in chosen:
            left_out["timed again with more effort or later"] += 1
        if key not in chosen or trial.rung <= chosen[key][0].rung:
            chosen[key] = (trial, candidate)
    if len(chosen) < FEWEST_CONFIGS:
        why = "; ".join(f"{n} {reason}" for reason, n in left_out.items())
        raise AgainstError(
            f"{journal.path} has {len(chosen)} configs to compare predictions with, fewer than {FEWEST_CONFIGS}"
            + (f" (left out: {why})" if why else "")
        )
    measured = [
        Measured(workload, candidate, _cost(journal, trial), trial.timing.median_s)
        for (workload, _, _), (trial, candidate) in chosen.items()
        if trial.timing is not None
    ]
    clock = _clock_hz([trial for trial, _ in chosen.values()])
    return Selection(measured_machine(device, journal.ceilings[-1], clock), tuple(measured), dict(left_out))


def compare(selection: Selection, inspections: Mapping[ConfigId, Inspection]) -> Against:
    """inspections: of the selection's candidates, by config. Raises AgainstError when fewer than three could be predicted."""
    left_out = Counter(selection.left_out)
    samples: list[Sample] = []
    kept: list[Measured] = []
    for measured in selection.measured:
        inspection = inspections.get(measured.candidate.config)
        works = None if inspection is None else launch_works(inspection, measured.cost)
        if works is None:
            left_out["do not compile or cannot launch here"] += 1
            continue
        group = f"{measured.candidate.config.op}/{measured.candidate.config.impl} {measured.workload.label()}"
        samples.append(Sample(group, works, measured.cost, measured.seconds))
        kept.append(measured)
    if len(kept) < FEWEST_CONFIGS:
        raise AgainstError(f"only {len(kept)} of the journal's configs compile here, fewer than {FEWEST_CONFIGS}")
    shipped = _predicted(samples, selection.machine, SHIPPED)
    fit, no_fit = None, ""
    try:
        fit = refit(samples, selection.machine)
    except TooFewError as error:
        no_fit = str(error)
    refitted = _predicted(samples, selection.machine, fit.constants) if fit else None
    pairs = []
    for group in dict.fromkeys(sample.group for sample in samples):
        places = [n for n, sample in enumerate(samples) if sample.group == group]
        times = [samples[n].seconds for n in places]
        pairs.append(
            PairRanking(
                workload=kept[places[0]].workload,
                impl=kept[places[0]].candidate.config.impl,
                shipped=rank([shipped[n] for n in places], times),
                refitted=rank([refitted[n] for n in places], times) if refitted else None,
            )
        )
    configs = tuple(
        Compared(measured, shipped[n], refitted[n] if refitted else None) for n, measured in enumerate(kept)
    )
    return Against(selection.machine, tuple(pairs), configs, fit, no_fit, dict(left_out))


def _usable(trial: Trial, journal: Journal) -> tuple[str, Implementation | None]:
    """("", its implementation), or why this trial is left out and None."""
    if trial.status is not Status.PASSED or trial.timing is None:
        return "did not pass", None
    planned = {i.name: i for i in compiled_implementations(trial.op)} if trial.op in op_names() else {}
    if trial.impl not in planned:
        return "of implementations that compile no kernel per config", None
    if source_hash(trial.op, trial.impl) != trial.source:
        return "of another version of the kernel's source", None
    if trial.workload.key not in journal.workloads:
        return "of workloads whose record is missing", None
    implementation = planned[trial.impl]
    if set(trial.config) != {tunable.name for tunable in implementation.tunables}:
        return "with other tunables than the kernel has", None
    return "", implementation


def _cost(journal: Journal, trial: Trial) -> Cost:
    record = journal.workloads[trial.workload.key]
    return Cost(record.flops, record.compulsory_bytes, record.gather_bytes, record.product_dtype)


def _clock_hz(trials: Sequence[Trial]) -> float | None:
    """The SMs' median clock while these were timed; None where the driver told none."""
    conditions = [trial.timing.conditions for trial in trials if trial.timing and trial.timing.conditions]
    clocks = [c.sm_mhz.median for c in conditions if c.sm_mhz]
    return median(clocks) * 1e6 if clocks else None


def _predicted(samples: Sequence[Sample], machine: Machine, constants: Constants) -> list[float]:
    return [predict(s.works, s.cost, machine, constants).seconds for s in samples]
