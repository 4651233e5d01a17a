"""Tuned configs with where they come from: out of journals, or out of the table that the library uses on this device."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dsabench.bench.journal import Journal
from dsabench.bench.records import Comparison, ConfigValues, Header, Ratio
from dsabench.kernels.tuned_table import entry_versions, keyed_versions, read_entries, table_paths
from dsabench.reports.export.exported import ExportError, LeftOut
from dsabench.reports.sections import CONTEXT_AXIS

SIDE_BY_SIDE = "compare"
"""Strategy of runs that compare one config of each implementation: they choose none."""


@dataclass(frozen=True)
class Tuned:
    """The winner of one implementation on one workload. `source` is the hash of its kernel's code, `versions` those that generate
    or run it; both belong to the config. None where a table does not tell."""

    device: str
    device_key: str
    op: str
    impl: str
    axes: Mapping[str, int]
    config: ConfigValues
    source: str
    versions: Mapping[str, str]
    median_s: float
    measured: str
    """ISO 8601, UTC"""
    commit: str | None
    low_s: float | None
    high_s: float | None
    default_config: ConfigValues | None
    speedup_over_default: list[float] | None
    """[ratio, low, high]"""
    speedup_over_torch: list[float] | None
    roofline_fraction: float | None
    ties: list[ConfigValues]
    noise: float | None

    @property
    def context(self) -> int | None:
        return self.axes.get(CONTEXT_AXIS)

    @property
    def what(self) -> str:
        return f"{self.op}/{self.impl} {' '.join(f'{name}={value}' for name, value in self.axes.items())}"


def tuned_of_journals(journals: Iterable[Journal]) -> tuple[list[Tuned], list[LeftOut]]:
    """Every winner that was re-timed interleaved. A best trial that was not is left out: it may be the luckiest sample."""
    found: list[Tuned] = []
    left_out: list[LeftOut] = []
    for journal in journals:
        header = journal.header
        if header.strategy == SIDE_BY_SIDE:
            left_out.append(
                LeftOut(str(journal.path), "compares implementations, one config of each: nothing was tuned")
            )
            continue
        sources = {name: source for each in journal.headers for name, source in each.sources.items()}
        compared = {comparison.workload.key: comparison for comparison in journal.comparisons}
        found += [each for c in compared.values() for each in _of_comparison(header, sources, c)]
        confirmed = {(key, impl) for key, comparison in compared.items() for impl in comparison.winners}
        pairs = {(t.workload.key, t.impl): t for t in journal.trials}
        for pair, trial in pairs.items():
            if pair not in confirmed:
                axes = " ".join(f"{name}={value}" for name, value in trial.workload.axes.items())
                left_out.append(LeftOut(f"{trial.op}/{trial.impl} {axes}", "no config of it was re-timed interleaved"))
    return found, left_out


def _of_comparison(header: Header, sources: Mapping[str, str], comparison: Comparison) -> list[Tuned]:
    op = comparison.workload.op
    found = []
    for impl, won in comparison.winners.items():
        winner = comparison.candidates[won.winner]
        found.append(
            Tuned(
                device=header.device.name,
                device_key=header.device.key,
                op=op,
                impl=impl,
                axes=comparison.workload.axes,
                config=winner.config,
                source=sources[f"{op}/{impl}"],
                versions=entry_versions(header.device.key, header.versions, impl),
                median_s=winner.median_s,
                measured=comparison.started,
                commit=header.git_commit,
                low_s=winner.low_s,
                high_s=winner.high_s,
                default_config=comparison.candidates[won.default].config if won.default is not None else None,
                speedup_over_default=_triple(won.speedup_over_default),
                speedup_over_torch=_triple(won.speedup_over_torch),
                roofline_fraction=winner.roofline_fraction,
                ties=[comparison.candidates[i].config for i in won.ties],
                noise=comparison.noise,
            )
        )
    return found


def _triple(ratio: Ratio | None) -> list[float] | None:
    return None if ratio is None else [ratio.ratio, ratio.low, ratio.high]


def this_device() -> tuple[str, str]:
    """Name and key of the device at hand: the first GPU that the kernels are written for, else the CPU."""
    from dsabench.bench.device import resolve_device
    from dsabench.kernels.gpu_key import gpu_device_key
    from dsabench.kernels.machine import cpu_device_key, cpu_name

    found = resolve_device("auto")
    if found == "cpu":
        return cpu_name(), cpu_device_key()
    from dsabench.bench.gpu.selection import visible_gpus

    gpu = visible_gpus()[int(found.partition(":")[2])]
    return gpu.name, gpu_device_key(gpu.name, gpu.sms)


def tuned_of_tables(device: str, device_key: str) -> tuple[list[Tuned], list[LeftOut]]:
    """What the library would use on this device: the user's table, then the package's, of the kernels and versions as they are
    here. Raises ExportError when a table cannot be read."""
    from dsabench.kernels.source_hash import source_hash

    found: dict[tuple[str, str, str], Tuned] = {}
    left_out: list[LeftOut] = []
    for path in table_paths(device_key):
        for entry in _raw_entries(path):
            if entry["device"] != device_key:
                continue
            tuned = _of_entry(device, entry)
            try:
                current = source_hash(tuned.op, tuned.impl)
            except ValueError:
                left_out.append(LeftOut(tuned.what, "its code is not here (a plugin?)"))
                continue
            here = keyed_versions(device_key, tuned.impl)
            if tuned.source != current:
                left_out.append(LeftOut(tuned.what, "measured with another source of the kernel"))
            elif dict(tuned.versions) != here:
                left_out.append(LeftOut(tuned.what, f"measured with {_words(tuned.versions)}; here is {_words(here)}"))
            else:
                # The user's table comes first and counts, as for the library.
                found.setdefault((tuned.op, tuned.impl, json.dumps(dict(tuned.axes), sort_keys=True)), tuned)
    return list(found.values()), left_out


def _words(versions: Mapping[str, str]) -> str:
    return ", ".join(f"{name} {version}" for name, version in versions.items())


def _raw_entries(path: Path) -> list[dict[str, Any]]:
    try:
        read_entries(path)
        return list(json.loads(path.read_text())["entries"])
    except (ValueError, OSError) as error:
        raise ExportError(str(error)) from error


def _of_entry(device: str, entry: Mapping[str, Any]) -> Tuned:
    return Tuned(
        device=device,
        device_key=entry["device"],
        op=entry["op"],
        impl=entry["impl"],
        axes=entry["axes"],
        config=entry["config"],
        source=entry["source"],
        versions=entry["versions"],
        median_s=entry["median_s"],
        measured=entry.get("measured", ""),
        commit=entry.get("commit"),
        low_s=entry.get("low_s"),
        high_s=entry.get("high_s"),
        default_config=entry.get("default_config"),
        speedup_over_default=entry.get("speedup_over_default"),
        speedup_over_torch=entry.get("speedup_over_torch"),
        roofline_fraction=entry.get("roofline_fraction"),
        ties=entry.get("ties") or [],
        noise=entry.get("noise"),
    )
