"""What the compiler made of every config against a committed baseline: the gate of runners without a GPU.

What is judged says `static_changes`. A row is a config of an implementation at a shape that both sides compiled. Where the default
config changed, one more row holds the new default against the old, all but its occupancy. A default, an implementation or a shape
that only the baseline has is MISSING; one that only the candidate has is NEW, a row of its default. Other configs that the grid
gained or lost are told in notices: a search has more or less to try, and nobody runs slower code for it. A config that a tuner
prunes in the baseline cannot become worse, only break.
"""

from __future__ import annotations

import json
import shlex
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime

from dsabench.bench.gate.records import GateResult, GateRow, GateSide, RowVerdict, Verdict
from dsabench.bench.gate.static_baseline import StaticConfig, StaticSide
from dsabench.bench.gate.static_changes import Judged, changes, is_pointless
from dsabench.bench.gate.verdict import overall, sorted_rows
from dsabench.bench.inspection_records import Outcome
from dsabench.kernels.sizes import format_size

_COMPILERS = {"triton": ("triton", "ptxas"), "cuda": ("nvrtc",), "tilelang": ("tilelang", "nvrtc")}
"""By implementation, whose versions say that its machine code is another compiler's work."""
Shape = tuple[str, str, tuple[tuple[str, int], ...]]
"""op, implementation, axes"""


def gate_static(baseline: StaticSide, candidate: StaticSide, allow_missing: bool, command: str) -> GateResult:
    """allow_missing: see `overall`. INVALID where the sides were compiled for different architectures, or no config launches on
    both."""
    begin, started = time.monotonic(), datetime.now(UTC).isoformat(timespec="milliseconds")
    rows: list[GateRow] = []
    notices: list[str] = []
    arches = baseline.header.arch, candidate.header.arch
    if arches[0] != arches[1]:
        verdict, reason = (
            Verdict.INVALID,
            f"other architectures: {arches[0]} in the baseline, {arches[1]} in the candidate",
        )
    else:
        rows, notices = static_rows(baseline, candidate)
        verdict, reason = overall(rows, allow_missing)
        if verdict is Verdict.PASS and not _any_runs(baseline, candidate):
            verdict, reason = Verdict.INVALID, f"no config launches on both sides: {reason}"
    return GateResult(
        mode="static",
        verdict=verdict,
        reason=reason,
        min_effect=0.0,
        noise_from="",
        baseline=_gate_side(baseline),
        candidate=_gate_side(candidate),
        device=None,
        arch=arches[1],
        rows=sorted_rows(rows),
        notices=notices,
        command=command,
        started=started,
        wall_s=time.monotonic() - begin,
    )


def _any_runs(baseline: StaticSide, candidate: StaticSide) -> bool:
    run = {config.id for config in candidate.configs if config.runs}
    return any(config.runs and config.id in run for config in baseline.configs)


def _gate_side(side: StaticSide) -> GateSide:
    header = side.header
    return GateSide(name=side.name, commit=header.git_commit, versions=header.versions, started=header.started)


def static_rows(baseline: StaticSide, candidate: StaticSide) -> tuple[list[GateRow], list[str]]:
    """Rows in the order of the baseline, and notices. Both sides are of one architecture."""
    before, after = _by_shape(baseline), _by_shape(candidate)
    rows: list[GateRow] = []
    for shape, old in before.items():
        new = after.get(shape)
        if new is None:
            vanished = not any(each[:2] == shape[:2] for each in after)
            why = "the implementation is gone" if vanished else "this shape was not compiled"
            rows.append(_one_sided(_default(old) or old[0], RowVerdict.MISSING, f"{why}, {len(old)} configs", baseline))
        else:
            rows += _shape_rows(old, new, baseline, candidate)
    for shape, new in after.items():
        if shape not in before:
            come = not any(each[:2] == shape[:2] for each in before)
            why = "a new implementation" if come else "a new shape"
            rows.append(_one_sided(_default(new) or new[0], RowVerdict.NEW, f"{why}, {len(new)} configs", candidate))
    return rows, [*_header_notices(baseline, candidate), *_grid_notices(before, after)]


def _by_shape(side: StaticSide) -> dict[Shape, list[StaticConfig]]:
    found: dict[Shape, list[StaticConfig]] = {}
    for config in side.configs:
        found.setdefault((config.op, config.impl, tuple(config.axes.items())), []).append(config)
    return found


def _default(configs: Sequence[StaticConfig]) -> StaticConfig | None:
    return next((config for config in configs if config.is_default), None)


def _shape_rows(
    before: Sequence[StaticConfig], after: Sequence[StaticConfig], baseline: StaticSide, candidate: StaticSide
) -> Iterator[GateRow]:
    old_default, new_default = _default(before), _default(after)
    if old_default is not None:
        if new_default is None:
            yield _one_sided(old_default, RowVerdict.MISSING, "no default config was compiled", baseline)
        elif new_default.id != old_default.id:
            yield _compared(old_default, new_default, baseline, candidate)
    new = {config.id: config for config in after}
    for config in before:
        if config.id in new:
            yield _compared(config, new[config.id], baseline, candidate)


def _compared(old: StaticConfig, new: StaticConfig, baseline: StaticSide, candidate: StaticSide) -> GateRow:
    same_config = old.id == new.id
    found: list[Judged] = changes(old.launches, new.launches, same_config) if old.runs and new.runs else []
    # Nobody runs a config that a tuner prunes; the default runs whatever it is.
    spared = is_pointless(old.launches) and not old.is_default and not new.is_default
    if spared:
        found = [Judged(judged.change.model_copy(update={"worse": False}), False) for judged in found]
    verdict, reason = _verdict(old, new, found)
    if spared and found:
        reason += " that counts: a tuner prunes this config in the baseline already"
    elif verdict is RowVerdict.SLOWER:
        reason += _compiler_words(old, baseline, candidate)
    if new.is_default:
        reason = f"default config: {reason}" if same_config else f"the default config changed: {reason}"
    return GateRow(
        op=new.op,
        impl=new.impl,
        axes=new.axes,
        distribution="normal",
        seed=0,
        baseline_config=old.config,
        candidate_config=new.config,
        verdict=verdict,
        reason=reason,
        changes=[judged.change for judged in found],
        command=_command(new, candidate),
    )


def _verdict(old: StaticConfig, new: StaticConfig, found: Sequence[Judged]) -> tuple[RowVerdict, str]:
    if not new.runs:
        if not old.runs:
            return RowVerdict.SAME, f"runs on neither side: {_why_not(new)}"
        return RowVerdict.BROKEN, _why_not(new)
    if not old.runs:
        return RowVerdict.MENDED, f"in the baseline: {_why_not(old)}"
    worse = [judged for judged in found if judged.change.worse]
    better = [judged for judged in found if judged.better]
    if worse:
        return RowVerdict.SLOWER, _words(worse)
    if better:
        return RowVerdict.FASTER, _words(better)
    return RowVerdict.SAME, "the machine code changed, nothing became worse" if found else "no fact changed"


def _why_not(config: StaticConfig) -> str:
    what = "cannot launch" if config.outcome is Outcome.COMPILED else f"does not compile ({config.outcome})"
    return f"{what}: {config.reason}"


def _words(found: Sequence[Judged]) -> str:
    return ", ".join(f"{j.change.name} {j.change.baseline} → {j.change.candidate}" for j in found)


def _compiler_words(old: StaticConfig, baseline: StaticSide, candidate: StaticSide) -> str:
    """Whoever upgrades runs the slower code, so it counts; whose doing it is, is another matter."""
    name = f"{old.op}/{old.impl}"
    source = baseline.sources.get(name, "")
    others = _other_versions(baseline, candidate, old.impl)
    if not source or source != candidate.sources.get(name) or not others:
        return ""
    return f"; the source is the same, the compiler is not ({others})"


def _other_versions(baseline: StaticSide, candidate: StaticSide, impl: str) -> str:
    """impl: of the compilers of this one; a plugin's may be any."""
    old, new = baseline.header.versions, candidate.header.versions
    compilers = _COMPILERS.get(impl, tuple(dict.fromkeys(name for each in _COMPILERS.values() for name in each)))
    names = [name for name in compilers if old.get(name) != new.get(name)]
    return ", ".join(f"{name} {old.get(name, 'none')} → {new.get(name, 'none')}" for name in names)


def _one_sided(config: StaticConfig, verdict: RowVerdict, reason: str, side: StaticSide) -> GateRow:
    gone = verdict is RowVerdict.MISSING
    return GateRow(
        op=config.op,
        impl=config.impl,
        axes=config.axes,
        distribution="normal",
        seed=0,
        baseline_config=config.config if gone else None,
        candidate_config=None if gone else config.config,
        verdict=verdict,
        reason=reason if config.runs or gone else f"{reason}; its default {_why_not(config)}",
        command=_command(config, side),
    )


def _command(config: StaticConfig, side: StaticSide) -> str:
    words = ["dsabench", "inspect", "--suite", side.header.suite, "--op", config.op, "--impl", config.impl]
    if "s_kv" in config.axes:
        words += ["--context", format_size(config.axes["s_kv"])]
    return shlex.join([*words, "--config", json.dumps(config.config), "--arch", side.header.arch])


def _header_notices(baseline: StaticSide, candidate: StaticSide) -> Iterator[str]:
    both = {config.impl for config in baseline.configs} & {config.impl for config in candidate.configs}
    others = dict.fromkeys(words for impl in sorted(both) if (words := _other_versions(baseline, candidate, impl)))
    for words in others:
        yield f"The compiler changed: {words}."
    if baseline.header.suite != candidate.header.suite:
        yield f"Other suites: {baseline.header.suite} in the baseline, {candidate.header.suite} in the candidate."


def _grid_notices(before: dict[Shape, list[StaticConfig]], after: dict[Shape, list[StaticConfig]]) -> Iterator[str]:
    """One for each implementation whose configs are not the same at the shapes that both have."""
    gone: dict[tuple[str, str], int] = {}
    come: dict[tuple[str, str], int] = {}
    for shape in before.keys() & after.keys():
        old, new = ({config.id for config in side[shape]} for side in (before, after))
        name = shape[:2]
        gone[name] = gone.get(name, 0) + len(old - new)
        come[name] = come.get(name, 0) + len(new - old)
    for name in sorted(gone):
        if gone[name] or come[name]:
            yield (
                f"{'/'.join(name)}: {gone[name]} configs of the baseline are no longer in the grid and {come[name]} are new; "
                "neither is judged."
            )
