"""The answer in words, a line each: from where sparse wins, how the curves grow, what is saved and what is lost."""

from __future__ import annotations

from collections.abc import Sequence

from dsabench.bench.records import LossPoint, PipelinePoint, Ratio
from dsabench.bench.scaling.bill import Price, bills, cache_bytes
from dsabench.bench.scaling.cost import PUBLISHED, PUBLISHED_CONTEXT, PUBLISHED_MACHINE
from dsabench.bench.scaling.growth import Growth
from dsabench.bench.scaling.lengths import format_length
from dsabench.bench.scaling.points import by_context, crossover_of, growths_of, over_eager, prompt_growths

# Positions to slots is left out: 0.01 ms in any length.
_CURVES = {
    "dense": "dense",
    "sparse": "the whole of sparse",
    "indexer": "the indexer",
    "topk": "top-k",
    "attention": "sparse attention",
}


MODEL_TOPK = 2048
"""of DeepSeek-V3.2"""


def summary(points: Sequence[PipelinePoint], losses: Sequence[LossPoint], price: Price, seed: int) -> list[str]:
    """Sentences without their full stops; what was not measured has none, and gaps come last. Points are of one phase."""
    found = by_context(points)
    lines = [*_speed(found, seed), *_growth(found, seed), *_memory(found), *_cost(found, price)]
    lines += _loss(losses, found[-1].axes.get("topk", MODEL_TOPK) if found else MODEL_TOPK)
    return lines + gap_lines(found)


def times(ratio: float) -> str:
    """17.2 as `17×`, 2.04 as `2.0×`."""
    return f"{ratio:.2f}×" if ratio < 0.95 else f"{ratio:.1f}×" if ratio < 9.95 else f"{ratio:.0f}×"


def dollars(usd: float) -> str:
    """Two digits after the point, more where those would be 0, none from $1000."""
    return f"${usd:,.0f}" if usd >= 1000 else f"${usd:.2f}" if usd >= 0.1 else f"${usd:.2g}"


def faster(ratio: Ratio) -> str:
    """`17× (16–18×) faster`; for a ratio below 1 how much slower; where the interval holds 1, neither."""
    value, low, high, word = ratio.ratio, ratio.low, ratio.high, "faster"
    if low <= 1.0 <= high:
        return f"neither faster nor slower ({value:.2f}×, {low:.2f}–{high:.2f}×)"
    if value < 1.0:
        value, low, high, word = 1.0 / value, 1.0 / high, 1.0 / low, "slower"
    left, right = times(low).removesuffix("×"), times(high)
    return f"{times(value)} ({left}–{right}) {word}"


def _speed(points: Sequence[PipelinePoint], seed: int) -> list[str]:
    crossing = crossover_of(points, seed)
    if crossing is None:
        return []
    phase = points[0].phase
    longest = next(p for p in reversed(points) if p.speedup is not None)
    assert longest.speedup is not None
    lines = [f"{crossing.words(phase)}; at {format_length(longest.context)} sparse is {faster(longest.speedup)}"]
    for point in reversed(points):
        ratio = over_eager(point, seed)
        if ratio is not None:
            lines.append(f"our dense {phase} is {faster(ratio)} than eager torch's at {format_length(point.context)}")
            break
    return lines


def _growth(points: Sequence[PipelinePoint], seed: int) -> list[str]:
    lines = []
    sets = [("per token", growths_of(points, seed))]
    if points and points[0].phase == "prefill":
        sets.append(("per prompt", prompt_growths(points, seed)))
    for per, growths in sets:
        fitted = [each for each in growths if each.overall is not None and each.curve in _CURVES]
        if not fitted:
            continue
        words = ", ".join(f"{_CURVES[each.curve]} with {_power(each)}" for each in fitted)
        lengths = sorted({length for each in fitted for length in each.lengths})
        span = f"{format_length(lengths[0])} to {format_length(lengths[-1])}"
        last = ", ".join(f"{_CURVES[each.curve]} {_two(each.local.value)}" for each in fitted if each.local is not None)
        lines.append(f"{per}, from {span}: {words}; between the last two lengths: {last}")
    return lines


def _power(growth: Growth) -> str:
    assert growth.overall is not None
    fitted = growth.overall
    expected = "" if growth.expected is None else f", expected {growth.expected:g}"
    return f"L^{_two(fitted.value)} ({_two(fitted.low)} to {_two(fitted.high)}{expected})"


def _two(value: float) -> str:
    """Two digits, and no sign before 0.00."""
    return f"{round(value, 2) + 0.0:.2f}"


def _memory(points: Sequence[PipelinePoint]) -> list[str]:
    cache = cache_bytes(points)
    if cache.saving is None:
        return []
    less = f"{cache.saving:.1%} less" if cache.saving >= 0 else f"{-cache.saving:.1%} more"
    longest = points[-1].context
    totals = cache.total(longest)
    return [
        f"sparse keeps {cache.sparse} bytes a token and layer against {cache.dense} ({less}): "
        f"{totals['sparse'] / 2**30:.2f} GiB against {totals['dense'] / 2**30:.2f} for a sequence of {format_length(longest)} "
        "in all layers"
    ]


def _cost(points: Sequence[PipelinePoint], price: Price) -> list[str]:
    billed = bills(points, price)
    dense, sparse = billed.get("dense", {}), billed.get("sparse", {})
    both = [point for point in points if point.context in dense and point.context in sparse]
    if not both:
        return []
    phase, context = both[-1].phase, both[-1].context
    text = (
        f"a million tokens at position {format_length(context)} cost {dollars(sparse[context].usd)} against "
        f"{dollars(dense[context].usd)} dense ({price.words()})"
    )
    prompts = [bill[context].prompt_usd for bill in (sparse, dense) if (bill[context].assumed or 0.0) < 1.0]
    means = [dollars(mean) for mean in prompts if mean is not None]
    if len(means) == 2:
        text += f"; on average over a prompt of that length {means[0]} against {means[1]}"
    published = PUBLISHED[phase]
    return [
        text,
        f"published for {phase} at {format_length(PUBLISHED_CONTEXT)}: ${published.sparse:.2f} against ${published.dense:.2f} "
        f"({PUBLISHED_MACHINE}, the whole model as served): another machine and batch, not to be compared with the above",
    ]


def _loss(losses: Sequence[LossPoint], topk: int) -> list[str]:
    """At the k of the pipeline where it was measured, else the largest; by structure, at the longest context of each."""
    if not losses:
        return []
    ks = {loss.k for loss in losses}
    k = topk if topk in ks else max(ks)
    latest: dict[str, LossPoint] = {}
    for loss in sorted((loss for loss in losses if loss.k == k), key=lambda loss: loss.context):
        latest[loss.structure] = loss
    lines = []
    for synthetic in (True, False):
        group = [loss for loss in latest.values() if loss.synthetic is synthetic]
        if group:
            context = ", ".join(dict.fromkeys(format_length(loss.context) for loss in group))
            kept = ", ".join(
                f"{loss.structure.replace('_', ' ')} {loss.mass.median:.1%} (recall {loss.recall.median:.1%}, output error "
                f"{loss.error.median:.2g})"
                for loss in group
            )
            made = "synthetic inputs" if synthetic else "real inputs"
            lines.append(f"FP8 selection of {k} of {context} keys keeps of dense attention's weight, {made}: {kept}")
    return lines


def gap_lines(points: Sequence[PipelinePoint]) -> list[str]:
    """What is missing and why, sides with one reason at one context together."""
    lines = []
    for point in points:
        by_reason: dict[str, list[str]] = {}
        for side, reason in point.gaps.items():
            by_reason.setdefault(reason, []).append(side)
        lines += [f"gap at {format_length(point.context)}: no {', '.join(s)}: {why}" for why, s in by_reason.items()]
    return lines
