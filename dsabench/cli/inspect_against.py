"""`dsabench inspect --against`: predictions held against what a journal measured."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dsabench.cli.errors import CommandError

if TYPE_CHECKING:
    from dsabench.autotune.inspect.grid import Candidate
    from dsabench.autotune.predict.against import Against, PairRanking
    from dsabench.autotune.predict.ranking import Ranking
    from dsabench.bench.inspection_records import Inspection

DOCUMENT_SCHEMA = 1


def inspect_against(
    path: Path,
    ops: tuple[str, ...],
    impls: tuple[str, ...],
    inspect_all: Callable[[list[Candidate]], list[Inspection]],
    as_json: bool,
) -> int:
    """Compiles the journal's configs with `inspect_all`, prints how predictions compare, returns the exit code."""
    from dsabench.autotune.predict.against import AgainstError, compare, select
    from dsabench.bench.journal import JournalError, read_journal

    try:
        selection = select(read_journal(path), ops, impls)
        candidates = list(dict.fromkeys(measured.candidate for measured in selection.measured))
        found = compare(selection, {inspection.id: inspection for inspection in inspect_all(candidates)})
    except (AgainstError, JournalError) as error:
        raise CommandError(str(error)) from error
    if as_json:
        print(json.dumps(_document(path, found), indent=1))
    else:
        _print(path, found)
    return 0


def _document(path: Path, found: Against) -> dict[str, Any]:
    machine = found.machine
    return {
        "schema": DOCUMENT_SCHEMA,
        "command": "inspect",
        "against": str(path),
        "machine": {
            "name": machine.name,
            "basis": machine.basis,
            "sms": machine.sms,
            "clock_hz": machine.clock_hz,
            "bandwidth": machine.bandwidth,
            "l2_bandwidth": machine.l2_bandwidth,
            "product": dict(machine.product),
        },
        "left_out": found.left_out,
        "pairs": [_pair(pair) for pair in found.pairs],
        "fit": _fit(found),
        "no_fit": found.no_fit,
        "rows": [
            {
                "op": row.measured.workload.op,
                "impl": row.measured.candidate.config.impl,
                "axes": row.measured.workload.axis_values,
                "distribution": row.measured.workload.distribution,
                "seed": row.measured.workload.seed,
                "config": dict(row.measured.candidate.config.config),
                "measured_s": row.measured.seconds,
                "predicted_s": row.predicted_s,
                "refitted_s": row.refitted_s,
            }
            for row in found.configs
        ],
    }


def _pair(pair: PairRanking) -> dict[str, Any]:
    return {
        "op": pair.workload.op,
        "impl": pair.impl,
        "axes": pair.workload.axis_values,
        "distribution": pair.workload.distribution,
        "seed": pair.workload.seed,
        "configs": pair.shipped.configs,
        "shipped": _ranking(pair.shipped),
        "refitted": _ranking(pair.refitted) if pair.refitted else None,
    }


def _ranking(ranking: Ranking) -> dict[str, Any]:
    return {"correlation": ranking.correlation, "regret": {str(n): value for n, value in ranking.regret.items()}}


def _fit(found: Against) -> dict[str, Any] | None:
    from dataclasses import asdict

    from dsabench.autotune.predict.constants import SHIPPED

    fit = found.fit
    if fit is None:
        return None
    return {
        "configs": fit.samples,
        "shipped": asdict(SHIPPED),
        "refitted": asdict(fit.constants),
        "factor_before": fit.before,
        "factor_after": fit.after,
        "left_out_correlation": fit.left_out,
    }


def _print(path: Path, found: Against) -> None:
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table

    from dsabench.autotune.predict.ranking import TOPS
    from dsabench.cli.inspect_table import PIPE_WIDTH

    console = Console()
    if not console.is_terminal and "COLUMNS" not in console._environ:
        console = Console(width=PIPE_WIDTH)

    def line(text: str, style: str = "") -> None:
        console.print(text, markup=False, highlight=False, soft_wrap=True, style=style)

    machine = found.machine
    line(f"Predictions against {path}: {len(found.configs)} configs timed on {machine.name}", "bold")
    line(f"predicted from {machine.basis}, {machine.sms} SMs at {machine.clock_hz / 1e6:.0f} MHz")
    for reason, number in found.left_out.items():
        line(f"left out: {number} {'trial' if number == 1 else 'trials'} {reason}")
    table = Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False, show_edge=False)
    table.add_column("workload", overflow="fold")
    for name in ("configs", "rank\ncorrelation", *(f"regret\ntop {n}" for n in TOPS)):
        table.add_column(name, justify="right", vertical="bottom")
    for pair in found.pairs:
        ranking = pair.shipped
        regrets = [f"{ranking.regret[n]:.1%}" for n in TOPS]
        name = f"{pair.workload.op}/{pair.impl}  {pair.workload.label()}"
        table.add_row(name, str(ranking.configs), _correlation(ranking.correlation), *regrets)
    console.print(table)
    line(
        "rank correlation: Spearman's, of predicted and measured times. regret: best measured time among the top predicted, over the "
        "best of all, less 1.",
        "dim",
    )
    _print_fit(found, line)


def _print_fit(found: Against, line: Callable[..., None]) -> None:
    from dataclasses import asdict

    from dsabench.autotune.predict.constants import SHIPPED

    fit = found.fit
    if fit is None:
        line(f"not refitted: {found.no_fit}")
        return
    line(f"\nConstants refitted to these {fit.samples} configs (typical factor predicted to measured)", "bold")
    line(f"  {'':18} {'shipped':>10} {'refitted':>10}")
    shipped, refitted = asdict(SHIPPED), asdict(fit.constants)
    for name, value in refitted.items():
        line(f"  {name:18} {shipped[name]:>10.3g} {value:>10.3g}")
    line(f"  {'typical factor':18} {fit.before:>10.3f} {fit.after:>10.3f}")
    for group, correlation in fit.left_out.items():
        line(f"  fitted without {group}: rank correlation there {_correlation(correlation)}")
    if not fit.left_out:
        line("  only one workload: how far these constants hold for another is not known")


def _correlation(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"
