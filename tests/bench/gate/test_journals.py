"""Journal against journal: each rule by a pair of journals that only it tells apart."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest

from dsabench.bench.gate.journals import gate_journals, journal_rows
from dsabench.bench.gate.reading import read_for_gate
from dsabench.bench.gate.records import GateResult, GateRow, RowVerdict, Verdict
from dsabench.bench.journal import Journal, read_journal
from dsabench.bench.records import Status
from tests.bench.gate.made import CONTEXTS, OP, Made, comparison, end, trial

RESULTS = Path(__file__).parents[3] / "results"
FIVE = CONTEXTS[:5]


def base(**more: Any) -> Made:
    return Made("old", {"mine": 1e-3, "torch": 5e-3}, **more)


def other(**more: Any) -> Made:
    """A later run, in which `mine` has another source."""
    settings: dict[str, Any] = {"times": {"mine": 1e-3, "torch": 5e-3}, "sources": {"mine": "bbbbbbbbbbbb"}}
    return Made("new", **{**settings, **more})


def gate(
    old: Made | Sequence[Made] | None = None,
    new: Made | None = None,
    min_effect: float = 0.03,
    allow_missing: bool = False,
) -> GateResult:
    olds = [old or base()] if old is None or isinstance(old, Made) else old
    return gate_journals(
        [each.journal() for each in olds], (new or other()).journal(), min_effect, allow_missing, "dsabench gate"
    )


def of(result: GateResult, impl: str, context: int = CONTEXTS[0]) -> GateRow:
    (row,) = (row for row in result.rows if row.impl == impl and row.axes.get("s_kv") == context)
    return row


def test_the_same_times_pass() -> None:
    result = gate()
    assert (result.verdict, result.exit_code) == (Verdict.PASS, 0)
    assert result.reason == "12 same of 12 rows"
    assert {row.verdict for row in result.rows} == {RowVerdict.SAME}
    assert result.mode == "journals"
    assert result.device is not None
    assert result.device.key == "cpu-synthetic-2c"
    assert (result.baseline.name, result.candidate.name) == ("old/journal.jsonl", "new/journal.jsonl")
    assert result.candidate.versions["torch"] == "2.13.0"


def test_a_row_slower_beyond_its_threshold_is_a_regression() -> None:
    result = gate(new=other(changed={("mine", 2048): 1.1e-3}))
    row = of(result, "mine", 2048)
    assert row.verdict is RowVerdict.SLOWER
    assert result.verdict is Verdict.REGRESSED
    assert result.rows[0] == row
    assert row.baseline_s == 1e-3
    assert row.candidate_s == 1.1e-3
    assert row.baseline_config == row.candidate_config == {"TILE": 64}
    assert row.reason == "+10.0%, threshold 3.0%"
    assert row.rounds == 15


def test_the_interval_of_a_ratio_is_that_of_both_medians() -> None:
    ratio = of(gate(new=other(changed={("mine", 2048): 1.1e-3})), "mine", 2048).ratio
    assert ratio is not None
    assert ratio.ratio == pytest.approx(1.1)
    assert ratio.low == pytest.approx(1.1 * 0.998 / 1.002)
    assert ratio.high == pytest.approx(1.1 * 1.002 / 0.998)


def test_a_slow_down_within_the_stated_effect_is_none() -> None:
    slower = other(changed={("mine", 2048): 1.04e-3})
    assert of(gate(new=slower), "mine", 2048).verdict is RowVerdict.SLOWER
    row = of(gate(new=slower, min_effect=0.05), "mine", 2048)
    assert (row.verdict, row.threshold) == (RowVerdict.SAME, 0.05)


def test_a_faster_row_is_told_and_passes() -> None:
    result = gate(new=other(changed={("mine", 2048): 0.9e-3}))
    assert of(result, "mine", 2048).verdict is RowVerdict.FASTER
    assert result.verdict is Verdict.PASS
    # Of the same size as a slow-down that is none: 1 / 1.03 is the threshold, not 1 − 0.03.
    assert of(gate(new=other(changed={("mine", 2048): 0.9705e-3})), "mine", 2048).verdict is RowVerdict.FASTER
    assert of(gate(new=other(changed={("mine", 2048): 0.9715e-3})), "mine", 2048).verdict is RowVerdict.SAME


@pytest.mark.parametrize("side", ["old", "new"])
@pytest.mark.parametrize("what", ["noise", "half"])
def test_the_noise_within_either_run_raises_the_threshold(side: str, what: str) -> None:
    """half: of the intervals: 0.08 is an interval of ± 8 % about the median."""
    old = base(**({what: 0.08} if side == "old" else {}))
    new = other(changed={("mine", 2048): 1.06e-3}, **({what: 0.08} if side == "new" else {}))
    result = gate(old, new)
    row = of(result, "mine", 2048)
    assert row.noise == pytest.approx(0.08)
    assert row.verdict is RowVerdict.UNCLEAR
    assert "within its noise" in row.reason
    assert (result.verdict, result.exit_code) == (Verdict.AMBIGUOUS, 3)


def test_a_row_whose_interval_holds_1_is_unclear_whatever_its_median() -> None:
    """Half-widths of 4 % each: the ratio is past the threshold, its interval reaches below 1."""
    row = of(gate(base(half=0.04), other(half=0.04, changed={("mine", 2048): 1.07e-3})), "mine", 2048)
    assert row.ratio is not None
    assert row.threshold is not None
    assert row.ratio.ratio > 1.0 + row.threshold
    assert row.ratio.low < 1.0
    assert row.verdict is RowVerdict.UNCLEAR


def test_a_row_is_faster_only_with_its_whole_interval() -> None:
    row = of(gate(base(half=0.04), other(half=0.04, changed={("mine", 2048): 0.93e-3})), "mine", 2048)
    assert row.ratio is not None
    assert row.threshold is not None
    assert row.ratio.ratio < 1.0 / (1.0 + row.threshold)
    assert row.verdict is RowVerdict.SAME


def test_a_noise_in_which_nothing_could_be_seen_is_unclear() -> None:
    result = gate(base(noise=0.3), other(noise=0.3))
    assert {row.verdict for row in result.rows} == {RowVerdict.UNCLEAR}
    assert "a noise of 30% hides" in result.rows[0].reason
    assert gate(base(noise=0.24), other(noise=0.24)).verdict is Verdict.PASS
    # The user's own effect is no noise.
    assert gate(min_effect=0.3).verdict is Verdict.PASS


def test_what_is_clear_even_so_is_said_in_great_noise() -> None:
    noisy = gate(base(noise=0.3), other(noise=0.3, changed={("mine", 1024): 1.5e-3, ("mine", 2048): 0.5e-3}))
    assert of(noisy, "mine", 1024).verdict is RowVerdict.SLOWER
    assert of(noisy, "mine", 2048).verdict is RowVerdict.FASTER


# Noise between the runs.


def drifting(gaps: Sequence[float]) -> dict[tuple[str, int], float]:
    return {("torch", context): 5e-3 * (1 + gap) for context, gap in zip(CONTEXTS, gaps, strict=False)}


def test_unchanged_rows_show_the_noise_between_the_runs() -> None:
    """torch has the same source in both runs: its rows moved by up to 12 %, so 10 % of `mine` are nothing."""
    moved = {**drifting([0.12, 0.01, -0.02, 0.0, 0.03, 0.02]), ("mine", 2048): 1.1e-3, ("mine", 4096): 1.2e-3}
    result = gate(new=other(changed=moved))
    row = of(result, "mine", 2048)
    assert row.noise == pytest.approx(0.12)
    assert row.verdict is RowVerdict.UNCLEAR
    assert of(result, "mine", 4096).verdict is RowVerdict.SLOWER
    assert "95 % of 6 rows of unchanged source, config and versions stay within, 12.0%" in result.noise_from


def test_a_control_that_became_faster_shows_as_much_noise() -> None:
    result = gate(new=other(changed=drifting([-0.2])))
    assert of(result, "mine").noise == pytest.approx(0.25)  # 1 / 0.8


def test_of_many_controls_the_worst_twentieth_is_left_out() -> None:
    """20 controls: torch, and others of unchanged source."""
    times = {"mine": 1e-3, "torch": 5e-3, "a": 1e-3, "b": 1e-3, "c": 1e-3}
    old, new = Made("old", times), Made("new", times, sources={"mine": "b" * 12}, changed={("a", 1024): 2e-3})
    assert of(gate(old, new), "mine").noise == pytest.approx(0.004)
    worse = replace(new, changed={("a", 1024): 2e-3, ("b", 2048): 1.5e-3})
    assert of(gate(old, worse), "mine").noise == pytest.approx(0.5)


@pytest.mark.parametrize(
    "not_controls",
    [
        {"sources": {"mine": "b" * 12, "torch": "b" * 12}},
        {"configs": {"torch": {"TILE": 128}}},
        {"header": {"versions": {"torch": "2.14.0"}}},
    ],
)
def test_a_row_is_a_control_only_with_the_same_source_config_and_versions(not_controls: dict[str, Any]) -> None:
    result = gate(new=other(changed=drifting([0.12]), **not_controls))
    assert of(result, "mine").noise == pytest.approx(0.004)
    assert "0 rows of unchanged source" in result.noise_from


def test_fewer_than_five_controls_show_nothing_and_the_ceilings_stand_in() -> None:
    few = {"torch": "a" * 12, "mine": "b" * 12}
    four = Made("new", {"mine": 1e-3}, sources=few, ceilings=1.07, records=[
        comparison(context, {"mine": 1e-3, "torch": 5.5e-3}) for context in CONTEXTS[:4]
    ])  # fmt: skip
    result = gate(base(), four, allow_missing=True)
    assert of(result, "mine").noise == pytest.approx(0.07)
    assert "how far the machine's ceilings moved, 7.0% (only 4 rows" in result.noise_from
    five = replace(four, records=[comparison(context, {"mine": 1e-3, "torch": 5.5e-3}) for context in FIVE])
    assert of(gate(base(), five, allow_missing=True), "mine").noise == pytest.approx(0.1)


def test_trials_are_no_controls() -> None:
    """One trial moves by more than a comparison does, and would be the noise of all rows."""
    trials = [trial(context, "torch", 5e-3) for context in CONTEXTS]
    slower = [trial(context, "torch", 6e-3) for context in CONTEXTS]
    old = Made("old", {"mine": 1e-3}, records=[*trials])
    new = Made("new", {"mine": 1e-3}, sources={"mine": "b" * 12}, records=[*slower])
    for made in (old, new):
        made.sources["torch"] = "a" * 12
    result = gate(old, new)
    assert of(result, "mine").noise == pytest.approx(0.004)
    assert "0 rows of unchanged source" in result.noise_from


def test_with_nothing_to_tell_the_noise_between_runs_it_says_so() -> None:
    alone = {"times": {"mine": 1e-3}, "ceilings": 0}
    result = gate(Made("old", **alone), Made("new", sources={"mine": "b" * 12}, **alone))
    assert any("not known" in notice for notice in result.notices)
    assert not any("not known" in notice for notice in gate().notices)


def test_several_baselines_show_the_spread_of_each_row_and_their_median_counts() -> None:
    olds = [Made(f"old{i}", {"mine": t, "torch": 5e-3}) for i, t in enumerate((1.0e-3, 1.2e-3, 1.1e-3))]
    result = gate(olds, other(times={"mine": 1.3e-3, "torch": 5e-3}))
    row = of(result, "mine")
    assert row.baseline_s == pytest.approx(1.1e-3)
    assert row.noise == pytest.approx(0.2)
    assert row.verdict is RowVerdict.UNCLEAR
    assert row.passes == 4
    assert row.ratio is not None
    assert row.ratio.low == pytest.approx(1.3 * 0.998 / (1.2 * 1.002))
    assert of(result, "torch").noise == pytest.approx(0.004)
    assert "spread over 3 baselines" in result.noise_from
    assert result.baseline.name.count("journal.jsonl") == 3


def test_a_row_of_the_same_source_and_versions_is_never_slower() -> None:
    """One of 24 rows, so that it is not itself the noise."""
    times = {"mine": 1e-3, "a": 1e-3, "b": 1e-3, "torch": 5e-3}
    old, new = Made("old", times), Made("new", times, changed={("mine", 2048): 1.5e-3})
    result = gate(old, new)
    row = of(result, "mine", 2048)
    assert row.verdict is RowVerdict.UNCLEAR
    assert "of the same source and versions: the machine, not the code" in row.reason
    assert result.verdict is Verdict.AMBIGUOUS
    searched = gate(old, replace(new, configs={"mine": {"TILE": 8}}))
    assert of(searched, "mine", 2048).verdict is RowVerdict.UNCLEAR
    assert "the search came to another config" in of(searched, "mine", 2048).reason
    # Another torch or another source, and it is the program that is slower.
    for changed in (replace(new, header={"versions": {"torch": "2.14.0"}}), replace(new, sources={"mine": "b" * 12})):
        assert of(gate(old, changed), "mine", 2048).verdict is RowVerdict.SLOWER


def test_an_unknown_source_is_not_the_same_source() -> None:
    old = base(sources={"mine": ""})
    row = of(gate(old, other(sources={"mine": ""}, changed={("mine", 2048): 1.5e-3})), "mine", 2048)
    assert row.verdict is RowVerdict.SLOWER


# Rows without interleaved rounds.


def test_defaults_are_held_against_one_another_where_a_side_has_no_rounds() -> None:
    """The tuned 1.0 ms must not be held against a default trial's 2.0 ms."""
    old = Made("old", {}, records=[comparison(1024, {"mine": 1e-3}, defaults={"mine": 2e-3})])
    new = Made("new", {}, sources={"mine": "b" * 12}, records=[trial(1024, "mine", 2.02e-3)])
    row = of(gate(old, new), "mine")
    assert (row.verdict, row.baseline_s, row.candidate_s) == (RowVerdict.SAME, 2e-3, 2.02e-3)
    assert row.baseline_config == row.candidate_config == {"TILE": 1}
    assert "its default config's" in row.reason
    assert row.rounds == 0


def test_the_best_full_trials_stand_in_where_a_default_is_missing() -> None:
    tried = [trial(1024, "mine", 3e-3, is_default=False), trial(1024, "mine", 2e-3, is_default=False)]
    cheap = trial(1024, "mine", 1e-3, is_default=False, rung=1)
    old, new = (
        Made("old", {}, records=[*tried, cheap]),
        Made("new", {}, records=[tried[0], cheap], sources={"mine": "b"}),
    )
    row = of(gate(old, new), "mine")
    assert (row.baseline_s, row.candidate_s) == (2e-3, 3e-3)
    assert row.verdict is RowVerdict.SLOWER
    assert "of trials" in row.reason


def test_the_latest_comparison_of_a_workload_counts() -> None:
    new = other(records=[comparison(1024, {"mine": 2e-3, "torch": 5e-3})])
    assert of(gate(new=new), "mine").candidate_s == 2e-3


# What failed, what is missing.


@pytest.mark.parametrize("status", [s for s in Status if s not in (Status.PASSED, Status.IMPOSSIBLE)])
def test_what_ran_and_fails_is_broken(status: Status) -> None:
    new = Made("new", {"torch": 5e-3}, records=[trial(c, "mine", None, status, "row 3 is off") for c in CONTEXTS])
    result = gate(new=new)
    row = of(result, "mine")
    assert (row.verdict, row.reason) == (RowVerdict.BROKEN, f"{status}: row 3 is off")
    assert row.baseline_s == 1e-3
    assert row.candidate_s is None
    assert result.verdict is Verdict.REGRESSED


def test_a_time_that_cannot_be_is_the_measurings_fault() -> None:
    new = Made(
        "new", {"torch": 5e-3}, records=[trial(c, "mine", None, Status.IMPOSSIBLE, "too fast") for c in CONTEXTS]
    )
    result = gate(new=new)
    assert of(result, "mine").verdict is RowVerdict.INVALID
    assert (result.verdict, result.exit_code) == (Verdict.INVALID, 4)


def test_what_failed_and_runs_is_mended() -> None:
    old = Made("old", {"torch": 5e-3}, records=[trial(c, "mine", None, Status.CRASHED, "SIGSEGV") for c in CONTEXTS])
    result = gate(old)
    assert (of(result, "mine").verdict, result.verdict) == (RowVerdict.MENDED, Verdict.PASS)
    assert "CRASHED: SIGSEGV" in of(result, "mine").reason


def test_what_fails_on_both_sides_is_the_same_but_nothing_else_is_no_pass() -> None:
    failing = [trial(c, "mine", None, Status.CRASHED, "SIGSEGV") for c in CONTEXTS]
    old, new = Made("old", {"torch": 5e-3}, records=failing), Made("new", {"torch": 5e-3}, records=failing)
    result = gate(old, new)
    assert of(result, "mine").reason == "fails on both sides: CRASHED: SIGSEGV"
    assert result.verdict is Verdict.PASS
    nothing = gate(replace(old, times={}), replace(new, times={}))
    assert nothing.verdict is Verdict.INVALID
    assert "no row was measured on both sides" in nothing.reason


def test_a_default_that_fails_is_broken_though_another_config_wins() -> None:
    failed = trial(1024, "mine", None, Status.INCORRECT, "row 3 is off")
    row = of(gate(new=other(records=[failed])), "mine")
    assert (row.verdict, row.reason) == (RowVerdict.BROKEN, "its default config fails: INCORRECT: row 3 is off")
    assert of(gate(base(records=[failed])), "mine").verdict is RowVerdict.MENDED
    assert of(gate(base(records=[failed]), other(records=[failed])), "mine").verdict is RowVerdict.SAME


@pytest.mark.parametrize(
    ("finish", "reason"),
    [
        (end("budget"), "not reached: budget"),
        (end("interrupted"), "not reached: interrupted"),
        (None, "not reached: the run has no end record"),
        (end(), "not part of the run"),
        (end("budget", f"{OP} rows=64 s_kv=32k k=2k deterministic=0, all implementations: no time"), "no time"),
        (end("budget", f"{OP}/mine rows=64 s_kv=32k k=2k deterministic=0, default config: no time"), "no time"),
        (end("complete", f"{OP}/mine: needs a GPU"), "needs a GPU"),
        (end("complete", f"mine (other, {OP}): needs a GPU"), "needs a GPU"),
        (end("complete", f"{OP}/min: no", "mine (other): no"), "not part of the run"),
    ],
)
def test_what_the_candidate_did_not_come_to_is_missing_with_its_reason(finish: Any, reason: str) -> None:
    new = Made("new", {}, end=finish, records=[comparison(c, {"mine": 1e-3, "torch": 5e-3}) for c in FIVE])
    result = gate(new=new)
    row = of(result, "mine", 32768)
    assert row.verdict is RowVerdict.MISSING
    assert reason in row.reason
    assert row.baseline_s == 1e-3
    assert (result.verdict, result.exit_code) == (Verdict.INVALID, 4)
    assert gate(new=new, allow_missing=True).verdict is Verdict.PASS


def test_an_implementation_that_only_the_candidate_has_is_new() -> None:
    result = gate(new=other(times={"mine": 1e-3, "torch": 5e-3, "more": 1e-3}))
    row = of(result, "more")
    assert (row.verdict, row.candidate_s, row.baseline_s) == (RowVerdict.NEW, 1e-3, None)
    assert result.verdict is Verdict.PASS
    crashing = gate(new=other(records=[trial(1024, "more", None, Status.CRASHED, "SIGSEGV")]))
    assert "it fails: CRASHED: SIGSEGV" in of(crashing, "more").reason


def test_a_renamed_implementation_is_compared_and_told() -> None:
    renamed = Made("new", {"ours": 1.2e-3, "torch": 5e-3}, sources={"ours": "b" * 12})
    result = gate(new=renamed)
    row = of(result, "ours")
    assert (row.verdict, row.renamed_from) == (RowVerdict.SLOWER, "mine")
    assert not [row for row in result.rows if row.impl == "mine"]
    assert [n for n in result.notices if "mine of the baseline is compared with ours" in n]


@pytest.mark.parametrize(
    "new",
    [
        Made("new", {"ours": 1e-3, "theirs": 1e-3, "torch": 5e-3}),
        Made("new", {"torch": 5e-3}, records=[comparison(c, {"ours": 1e-3}) for c in FIVE]),
    ],
    ids=["two candidates for the name", "other workloads"],
)
def test_a_doubtful_new_name_is_missing_and_new(new: Made) -> None:
    result = gate(new=new)
    assert of(result, "mine").verdict is RowVerdict.MISSING
    assert of(result, "ours").verdict is RowVerdict.NEW
    assert result.verdict is Verdict.INVALID


# Refusals.


def test_other_devices_are_not_compared() -> None:
    device = other().journal().header.device.model_copy(update={"key": "cpu-other"})
    result = gate(new=other(header={"device": device}))
    assert (result.verdict, result.rows) == (Verdict.INVALID, [])
    assert "cpu-synthetic-2c" in result.reason
    assert "cpu-other" in result.reason


def test_a_journal_is_not_compared_with_itself() -> None:
    """Under its own name, as a copy, and as a file that another run was written into since."""
    copied = replace(base(), name="copy", header={"run_id": "old"})
    for new in (base(), copied, base(header={"run_id": "newer"})):
        result = gate([other(), base()], new)
        assert (result.verdict, result.rows) == (Verdict.INVALID, [])
        assert "itself" in result.reason


def test_nothing_in_common_is_no_pass() -> None:
    result = gate(new=Made("new", {}))
    assert result.verdict is Verdict.INVALID
    assert gate(new=Made("new", {}), allow_missing=True).verdict is Verdict.INVALID


def test_a_gate_needs_a_baseline_and_an_effect() -> None:
    with pytest.raises(ValueError, match="needs a baseline"):
        gate_journals([], other().journal(), 0.03, False, "")
    with pytest.raises(ValueError, match="effect of 0 or more"):
        gate(min_effect=-0.1)


# Notices and commands.


@pytest.mark.parametrize(
    ("new", "words"),
    [
        (other(header={"versions": {"torch": "2.14.0"}}), "torch 2.13.0 → 2.14.0"),
        (other(header={"effort": "full"}), "Other effort: quick in the baseline, full in the candidate"),
        (other(header={"seed": 1}), "Other seed: 0 in the baseline, 1"),
        (other(header={"suite": "long"}), "Other suite: quick"),
        (other(ceilings=0.9), "read bandwidth changed by -10%"),
        (other(end=end("budget", "a", "b")), "new/journal.jsonl ended early, by budget; 2 things"),
        (other(end=None), "new/journal.jsonl has no end record"),
    ],
)
def test_what_else_differs_is_told(new: Made, words: str) -> None:
    assert any(words in notice for notice in gate(new=new).notices)
    assert not any(words in notice for notice in gate().notices)


def test_a_resumed_run_that_was_killed_has_no_end() -> None:
    """The end in its journal is that of the run before."""
    resumed = other().journal()
    later = {"started": "2026-01-03T00:00:00+00:00", "run_id": "later"}
    resumed.headers.append(resumed.headers[0].model_copy(update=later))
    result = gate_journals([base().journal()], resumed, 0.03, False, "")
    assert any("new/journal.jsonl has no end record" in notice for notice in result.notices)


def test_a_torn_line_is_told() -> None:
    torn = other().journal()
    torn.torn = True
    _, notices, _ = journal_rows([base().journal()], torn, 0.03)
    assert any("cut off" in notice for notice in notices)


def test_a_row_says_how_to_measure_it_again() -> None:
    command = of(gate(), "mine").command
    assert command.startswith(f"dsabench tune --suite quick --op {OP} --impl mine --impl torch --context 1k")
    compared = gate(new=other(header={"strategy": "compare"}))
    assert of(compared, "mine").command.startswith("dsabench compare --suite quick")


# Committed journals of this project.


def committed(*names: str) -> list[Path]:
    return [path for path in sorted(RESULTS.rglob("journal.jsonl.gz")) if path.parent.name in names]


def dense(path: Path, name: str, factor: float = 1.0) -> Journal:
    """A committed run of `compare --dense`; factor: on the sparse side's times."""
    journal = read_journal(path)
    journal.path = Path(name)
    journal.headers[0] = journal.headers[0].model_copy(update={"run_id": name})
    for number, point in enumerate(journal.pipelines):
        time = point.sparse.time if point.sparse else None
        if time is not None and point.sparse is not None:
            slowed = {f"{end}_s": getattr(time, f"{end}_s") * factor for end in ("low", "median", "high")}
            sparse = point.sparse.model_copy(update={"time": time.model_copy(update=slowed)})
            journal.pipelines[number] = point.model_copy(update={"sparse": sparse})
    return journal


def test_sides_of_the_pipeline_are_rows() -> None:
    path = committed("compare-decode")[0]
    old, new = dense(path, "old"), dense(path, "new", 1.5)
    new.headers[0].sources["sparse_mla_decode/cpu"] = "b" * 12
    result = gate_journals([old], new, 0.03, False, "")
    assert {(row.op, row.impl) for row in result.rows} == {("pipeline_decode", s) for s in ("sparse", "dense", "eager")}
    assert len(result.rows) == 3 * len(old.pipelines)
    slower = [row for row in result.rows if row.verdict is RowVerdict.SLOWER]
    assert slower
    assert {row.impl for row in slower} == {"sparse"}
    row, point = slower[0], old.pipelines[0]
    assert set(row.axes) == {"context", *point.axes}
    noise = {p.context: p.noise for p in old.pipelines}
    assert all(row.noise is not None and row.noise >= noise[row.axes["context"]] for row in result.rows)
    assert row.command.startswith("dsabench compare --dense --phase decode --context")
    assert row.candidate_config is not None
    assert row.candidate_config["attention"] == "cpu"


def test_a_side_that_fails_is_broken_and_one_that_does_not_fit_is_missing() -> None:
    path = committed("compare-decode")[0]
    for why, verdict in (
        ("INCORRECT: row 3 is off", RowVerdict.BROKEN),
        ("the worker crashed: SIGKILL", RowVerdict.BROKEN),
        ("needs 80 GiB, 10 GiB are free", RowVerdict.MISSING),
    ):
        new = dense(path, "new")
        new.pipelines[0] = new.pipelines[0].model_copy(update={"dense": None, "gaps": {"dense": why}})
        rows = gate_journals([dense(path, "old")], new, 0.03, False, "").rows
        assert [(r.impl, r.verdict, r.reason) for r in rows if r.candidate_s is None] == [("dense", verdict, why)]


def test_two_real_runs_of_the_same_code_are_no_regression() -> None:
    """Every pair of committed journals of the same sources and device, both ways."""
    found = [(path, read_for_gate(path)) for path in committed("cpu-goals", "cpu-goals-2", "quick")]
    pairs = 0
    for (_, one), (_, two) in combinations(found, 2):
        shared = one.header.sources.keys() & two.header.sources.keys()
        same = one.header.device.key == two.header.device.key and one.header.versions == two.header.versions
        if not same or any(one.header.sources[name] != two.header.sources[name] for name in shared):
            continue
        for old, new in ((one, two), (two, one)):
            result = gate_journals([old], new, 0.03, True, "")
            slower = (RowVerdict.SLOWER, RowVerdict.BROKEN)
            assert not [row for row in result.rows if row.verdict in slower], result.reason
            pairs += any(row.ratio for row in result.rows)
    assert pairs


# Reading.


def test_only_trials_that_a_row_needs_are_read() -> None:
    path = committed("quick")[0]
    whole, read = read_journal(path), read_for_gate(path)
    compared = {(c.workload.key, impl) for c in whole.comparisons for impl in c.winners}
    kept = [t for t in whole.trials if t.is_default or (t.workload.key, t.impl) not in compared]
    assert read.trials == kept
    assert len(kept) < len(whole.trials) / 4
    assert (read.headers, read.comparisons, read.ends) == (whole.headers, whole.comparisons, whole.ends)
    rows = [journal_rows([copied(each)], other().journal(), 0.03) for each in (whole, read)]
    assert rows[0] == rows[1]


def copied(journal: Journal) -> Journal:
    return replace(journal, headers=[journal.headers[0].model_copy(update={"run_id": "copy"})])
