"""The points of one device sorted into studies: one question (phase, sizes) over context lengths, what is missing included."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field

from dsabench.bench.records import PipelinePoint
from dsabench.bench.scaling.bill import Price
from dsabench.bench.scaling.lengths import format_length
from dsabench.bench.scaling.points import by_context
from dsabench.kernels.sizes import parse_size
from dsabench.reports.sections import Run, Section

_AXES = ("b", "s_q", "h_q", "topk")
"""Sizes that tell questions apart and that also a point has of which nothing was measured."""
_SUITE = re.compile(r"(decode|prefill) (\S+) b=(\d{1,9}) s_q=(\d{1,9}) h_q=(\d{1,9}) topk=(\d{1,9})")
_NORMAL = "normal"

_Key = tuple[str, tuple[int | None, ...], str]


@dataclass
class Study:
    """points: one a context, ascending, wrong sides turned into gaps. unreached: contexts that a run was asked for and has no record
    of. superseded: points that a later one of their context replaced. run: the latest that measured or was asked for it."""

    phase: str
    axes: Mapping[str, int]
    distribution: str
    points: list[PipelinePoint] = field(default_factory=list)
    unreached: tuple[int, ...] = ()
    superseded: int = 0
    run: Run | None = None

    @property
    def queries(self) -> int:
        return self.axes.get("b", 1) * self.axes.get("s_q", 1)

    @property
    def seed(self) -> int:
        """Of the resampling: the run's, so that page and terminal give one interval."""
        return self.points[-1].seed if self.points else 0

    @property
    def price(self) -> Price:
        return price_of(self.run.header.command) if self.run else Price()

    @property
    def name(self) -> str:
        """`decode: 1 sequence, 1 token a call`, for headings."""
        if self.phase == "prefill":
            return f"prefill, in chunks of {_count(self.queries, 'token')}"
        return f"decode, {_count(self.axes.get('b', 1), 'sequence')}, {_count(self.axes.get('s_q', 1), 'token')} each"

    @property
    def sizes(self) -> str:
        words = [f"{name}={value}" for name, value in self.axes.items()]
        return " ".join([*words, *([f"({self.distribution})"] if self.distribution != _NORMAL else [])])

    @property
    def contexts(self) -> list[int]:
        return sorted({*(point.context for point in self.points), *self.unreached})


def studies_of(section: Section) -> list[Study]:
    """Decode before prefill, else in the order first met. A question that was asked and of which nothing was measured is one too."""
    measured: dict[_Key, list[PipelinePoint]] = {}
    asked: dict[_Key, set[int]] = {}
    runs: dict[_Key, Run] = {}
    axes: dict[_Key, Mapping[str, int]] = {}
    for run in section.dense_runs:
        question = _question(run.header.suite)
        if question is None:
            continue
        key, contexts, sizes = question
        asked.setdefault(key, set()).update(contexts)
        runs[key] = run
        axes.setdefault(key, sizes)
    for point in section.pipelines:
        key = (point.phase, tuple(point.axes.get(name) for name in _AXES), point.distribution)
        measured.setdefault(key, []).append(point)
        # A point of which nothing was measured knows fewer of its sizes than its neighbours.
        if len(point.axes) >= len(axes.get(key, {})):
            axes[key] = point.axes
    studies = []
    for key in dict.fromkeys([*measured, *asked]):
        found = measured.get(key, [])
        points = by_context(found)
        reached = {point.context for point in points}
        studies.append(
            Study(
                phase=key[0],
                axes=axes[key],
                distribution=key[2],
                points=points,
                unreached=tuple(sorted(asked.get(key, set()) - reached)),
                superseded=len(found) - len(points),
                run=runs.get(key) or (section.dense_runs or section.runs)[-1],
            )
        )
    return sorted(studies, key=lambda study: study.phase != "decode")


def _question(suite: str) -> tuple[_Key, list[int], dict[str, int]] | None:
    """What a header's suite says was asked, e.g. `decode 4k,8k b=1 s_q=1 h_q=128 topk=2048`; None for anything else."""
    match = _SUITE.fullmatch(suite)
    if match is None:
        return None
    try:
        contexts = [parse_size(word) for word in match[2].split(",")]
    except ValueError:
        return None
    values = tuple(int(text) for text in match.groups()[2:])
    return (match[1], values, _NORMAL), contexts, dict(zip(_AXES, values, strict=True))


def price_of(command: str) -> Price:
    """What the run's command line said of dollars; the defaults for what it left open or what cannot be read."""
    default = Price()
    try:
        words = shlex.split(command)
    except ValueError:
        return default

    def given(flag: str, default: float, least: float) -> float:
        texts = [word.removeprefix(f"{flag}=") for word in words if word.startswith(f"{flag}=")]
        texts += [words[i + 1] for i, word in enumerate(words[:-1]) if word == flag]
        try:
            value = float(texts[-1]) if texts else default
        except ValueError:
            return default
        return value if least <= value <= 1e9 else default

    return Price(given("--gpu-hour-usd", default.usd_per_hour, 1e-9), given("--other-ms", default.other_ms, 0.0))


def gaps(study: Study) -> dict[int, dict[str, list[str]]]:
    """By context and reason: the sides that are missing."""
    found: dict[int, dict[str, list[str]]] = {}
    for point in study.points:
        for side, reason in point.gaps.items():
            found.setdefault(point.context, {}).setdefault(reason or "no reason was recorded", []).append(side)
        told = point.gaps.keys()
        for side in ("sparse", "dense"):
            if getattr(point, side) is None and side not in told:
                found.setdefault(point.context, {}).setdefault("no reason was recorded", []).append(side)
    for context in study.unreached:
        found.setdefault(context, {})[_why_unreached(study, context)] = ["sparse", "dense"]
    return found


def _why_unreached(study: Study, context: int) -> str:
    """In the words of the run's own list of what it skipped, where it got to write one."""
    end = study.run.end if study.run else None
    if end is None:
        return "asked for and never reached: the run was killed, or has not come to it yet"
    what = f"{study.phase} at {format_length(context)}: "
    skipped = [name.removeprefix(what) for name in end.skipped if name.startswith(what)]
    return skipped[0] if skipped else f"asked for and never reached: the run ended by {end.reason}"


def _count(number: int, word: str) -> str:
    return f"{number} {word}" if number == 1 else f"{number} {word}s"
