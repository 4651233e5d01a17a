"""`dsabench compare` of implementations as a user runs it: on a tiny suite, once in a process of its own."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from pathlib import Path

import pytest

from dsabench.autotune.side_by_side.comparing import with_pairs
from dsabench.autotune.side_by_side.rows import between, order_line
from dsabench.bench.journal import read_journal
from dsabench.bench.records import Candidate, Comparison, WorkloadId
from dsabench.kernels.machine import cpu_device_key
from dsabench.kernels.registry import load_plugin
from dsabench.kernels.source_hash import source_hash
from dsabench.kernels.tuned_table import SCHEMA, keyed_versions
from tests.cli import in_process
from tests.cli.in_process import Done, own_registry
from tests.homes import own_environment

PLUGIN = str(Path(__file__).parent / "compared_plugin.py")
TINY = ["--suite", "tiny", "--op", "topk_select", "--budget", "120s"]
IMPLS = ("torch", "right", "slow", "deceived", "idle")


def dsabench(cache: Path, *words: str) -> Done:
    return in_process.dsabench(*words, environment=own_environment(cache), cwd=cache)


def compare(cache: Path, *words: str) -> Done:
    return dsabench(cache, "compare", *words)


def process(cache: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "dsabench.cli.app", "compare", *words],
        capture_output=True,
        text=True,
        env=own_environment(cache),
        cwd=cache,
        timeout=200,
    )


def of(*impls: str) -> list[str]:
    return [word for impl in impls for word in ("--impl", impl)]


@pytest.fixture(scope="module")
def compared(tmp_path_factory):
    """One run of kernels right and wrong, `right` with a config from a tuned table."""
    base = tmp_path_factory.mktemp("compared")
    device = cpu_device_key()
    with own_registry():
        load_plugin(PLUGIN)
        source = source_hash("topk_select", "right")
    entry = {
        "device": device, "op": "topk_select", "impl": "right",
        "axes": {"rows": 1, "s_kv": 4096, "k": 64, "deterministic": 0}, "config": {"DELAY": 1},
        "source": source, "versions": keyed_versions(device), "median_s": 1e-3,
    }  # fmt: skip
    table = base / "tuned" / f"{device}.json"
    table.parent.mkdir(exist_ok=True)
    table.write_text(json.dumps({"schema": SCHEMA, "entries": [entry]}))
    done = process(base, *TINY, "--plugin", PLUGIN, *of(*IMPLS), "--out", "out", "--seed", "7", "--json")
    assert done.returncode == 0, done.stderr
    return base, json.loads(done.stdout)


def test_the_right_ones_are_compared_and_the_wrong_ones_say_why(compared):
    _, document = compared
    rows = {row["impl"]: row for row in document["rows"]}
    assert set(rows) == set(IMPLS)
    for impl in ("torch", "right", "slow"):
        row = rows[impl]
        assert (row["status"], row["interleaved"]) == ("PASSED", True)
        assert 0 < row["low_s"] <= row["median_s"] <= row["high_s"]
        assert row["rows_checked"] == row["rows_total"] == 2
        assert row["roofline_fraction"] > 0
    assert (
        "it returned int32 [3, 4]; results are written into `outputs`: indices int32 [2, 64]"
        in rows["deceived"]["reason"]
    )
    assert rows["idle"]["reason"].startswith("nothing was written to output 'indices'; ")
    for impl in ("deceived", "idle"):
        assert (rows[impl]["status"], rows[impl]["verdict"], rows[impl]["median_s"]) == ("INCORRECT", None, None)
    assert [row["impl"] for row in document["rows"]][-2:] == ["deceived", "idle"]


def test_every_pair_has_a_verdict_and_the_slow_one_is_slower(compared):
    _, document = compared
    verdicts = {}
    for pair in document["pairs"]:
        assert pair["ratio"]["low"] <= pair["ratio"]["ratio"] <= pair["ratio"]["high"]
        assert pair["rounds"] >= 3
        verdicts[pair["first"], pair["second"]] = pair["verdict"]
    assert {frozenset(pair) for pair in verdicts} == {
        frozenset(pair) for pair in (("torch", "right"), ("torch", "slow"), ("right", "slow"))
    }
    expected = "slower" if ("slow", "right") in verdicts else "faster"
    assert verdicts.get(("slow", "right"), verdicts.get(("right", "slow"))) == expected  # 3 ms against 0.2 ms
    (slow,) = (row for row in document["rows"] if row["impl"] == "slow")
    assert slow["verdict"] == "slower"
    assert slow["to_fastest"]["low"] > 1.0
    (fastest,) = (row for row in document["rows"] if row["verdict"] == "fastest")
    assert fastest is document["rows"][0]


def test_the_best_of_each_language_is_summed_up(compared):
    _, document = compared
    rows = {row["impl"]: row for row in document["rows"]}
    assert {impl: row["language"] for impl, row in rows.items()} == dict.fromkeys(IMPLS, "plugin") | {"torch": "torch"}
    first, second = document["languages"]
    assert {(each["language"], each["impl"]) for each in (first, second)} == {("torch", "torch"), ("plugin", "right")}
    assert first["to_best"] == 1.0
    assert second["to_best"] == rows[second["impl"]]["median_s"] / rows[first["impl"]]["median_s"] > 1.0
    for each in (first, second):
        row = rows[each["impl"]]
        assert {k: each[k] for k in ("axes", "median_s", "roofline_fraction")} == {
            k: row[k] for k in ("axes", "median_s", "roofline_fraction")
        }


def test_the_config_is_the_tuned_one_where_there_is_one(compared):
    _, document = compared
    rows = {row["impl"]: row for row in document["rows"]}
    assert rows["right"]["config"] == {"DELAY": 1}
    assert (rows["right"]["config_from"], rows["right"]["tuned_for"]["s_kv"]) == ("tuned", 4096)
    assert (rows["slow"]["config_from"], rows["slow"]["tuned_for"]) == ("default", None)


def test_the_journal_and_the_csv_hold_the_same(compared):
    base, document = compared
    journal = read_journal(base / "out")
    assert (journal.header.strategy, journal.header.seed) == ("compare", 7)
    assert journal.header.sources.keys() == {f"topk_select/{impl}" for impl in IMPLS}
    (comparison,) = journal.comparisons
    assert comparison.workload.seed == 7
    assert {candidate.impl for candidate in comparison.candidates} == {"torch", "right", "slow"}
    assert len(comparison.pairs) == 3
    assert len(journal.trials) == 5
    assert journal.ends[-1].reason == document["end"] == "complete"
    with (base / "out" / "rows.csv").open(newline="") as file:
        table = list(csv.DictReader(file))
    assert [line["impl"] for line in table] == [row["impl"] for row in document["rows"]]
    assert float(table[1]["to_fastest"]) == document["rows"][1]["to_fastest"]["ratio"]


def test_report_reads_the_journal(compared):
    base, _ = compared
    done = dsabench(base, "report", "out", "--out", "report")
    assert done.returncode == 0, done.stderr
    assert "slow" in (base / "report" / "report.html").read_text()


def test_resuming_measures_only_what_is_missing(compared):
    base, _ = compared
    before = read_journal(base / "out")
    words = [*TINY, "--plugin", PLUGIN, "--out", "out", "--resume"]
    again = compare(base, *words, *of(*IMPLS))
    assert again.returncode == 0, again.stderr
    after = read_journal(base / "out")
    assert len(after.trials) == len(before.trials)
    assert len(after.comparisons) == len(before.comparisons) == 1
    assert len(after.headers) == len(before.headers) + 1
    assert "right" in again.stdout
    more = compare(base, *words, *of(*IMPLS, "cpu"))
    assert more.returncode == 0, more.stderr
    assert "Best of each language" in more.stdout
    assert "numba" in more.stdout
    journal = read_journal(base / "out")
    assert [trial.impl for trial in journal.trials[len(before.trials) :]] == ["cpu"]
    assert {candidate.impl for candidate in journal.comparisons[-1].candidates} == {"cpu", "torch", "right", "slow"}


def test_the_table_says_it_for_people(compared):
    base, _ = compared
    done = compare(base, *TINY, "--plugin", PLUGIN, *of("right", "slow", "idle", "elsewhere"), "--out", "table")
    assert done.returncode == 0, done.stderr
    assert "fastest" in done.stdout
    assert "Best of each language" not in done.stdout
    assert "slower" in done.stdout
    assert "DELAY=1 (tuned at rows=1 s_kv=4k)" in " ".join(done.stdout.split())
    assert "(no tunables) (default)" in done.stdout
    assert "INCORRECT topk_select/idle" in done.stdout
    assert "topk_select/elsewhere: needs an NVIDIA GPU" in done.stdout


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--op", "topk_selct"], "unknown op 'topk_selct' (did you mean 'topk_select'?)"),
        (["--op", "topk_select", "--impl", "torhc"], "unknown implementation 'torhc' (did you mean 'torch'?)"),
        (["--op", "topk_select", "--plugin", "missing.py"], "missing.py is not a Python file"),
        (["--op", "topk_select", "--plugin", "broken.py"], "broken.py, line 2, failed to import: ZeroDivisionError"),
        (["--plugin", PLUGIN, "--impl", "elsewhere"], "topk_select/elsewhere: needs an NVIDIA GPU"),
        (["--effort", "most"], "unknown effort 'most'"),
        (["--budget", "soon"], "budget: 'soon' is not a duration"),
        (["--out", "taken"], "taken/journal.jsonl"),
    ],
)
def test_bad_input_is_one_line_before_anything_runs(tmp_path, words, message):
    (tmp_path / "broken.py").write_text("\nx = 1 / 0\n")
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "journal.jsonl").write_text("{}\n")
    done = compare(tmp_path, "--suite", "tiny", *words)
    assert done.returncode in (1, 2)
    assert len(done.stderr.strip().splitlines()) == 1
    assert message in done.stderr
    assert not (tmp_path / "dsabench-compare" / "journal.jsonl").exists()


def test_what_tune_began_is_not_gone_on_with(compared, tmp_path):
    base, _ = compared
    text = (base / "out" / "journal.jsonl").read_text().replace('"strategy":"compare"', '"strategy":"halving"')
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "journal.jsonl").write_text(text)
    done = compare(tmp_path, *TINY, "--out", "out", "--resume")
    assert done.returncode == 1
    assert "was not begun by `dsabench compare` of implementations" in done.stderr


def test_a_budget_that_ends_says_what_was_not_done(tmp_path):
    done = compare(tmp_path, *TINY, "--budget", "1s", "--out", "out", "--json")
    assert done.returncode == 1
    document = json.loads(done.stdout)
    assert (document["end"], document["rows"], document["pairs"]) == ("budget", [], [])
    assert any("the budget ended" in what for what in document["skipped"])


class TestPairs:
    @staticmethod
    def comparison(*medians: float) -> Comparison:
        candidates = [
            Candidate(
                impl=name, config={}, is_default=True, median_s=m, low_s=m, high_s=m, n=5, rounds_s=[m] * 5, roofline_fraction=0.1
            )
            for name, m in zip("abc", medians, strict=False)
        ]  # fmt: skip
        return with_pairs(
            Comparison(
                workload=WorkloadId(key="k", op="topk_select", axes={}, distribution="normal", seed=0), candidates=candidates,
                winners={}, best_impl="a", best_is_tie=False, noise=0.02, started="now", duration_s=1.0,
            ),
            seed=0,
        )  # fmt: skip

    def test_the_order_in_one_line(self):
        assert order_line(self.comparison(2.0, 1.0, 2.02)) == "b < a ≈ c"

    def test_a_pair_is_found_from_both_sides(self):
        pairs = self.comparison(2.0, 1.0).pairs
        assert [(p.first, p.second, p.verdict) for p in pairs] == [(0, 1, "slower")]
        turned = between(pairs, 1, 0)
        assert (turned.verdict, turned.ratio and turned.ratio.ratio) == ("faster", 0.5)
        with pytest.raises(LookupError):
            between(pairs, 0, 2)

    def test_a_journal_without_pairs_is_read(self):
        old = self.comparison(2.0, 1.0).model_dump(exclude={"pairs"})
        assert Comparison.model_validate(old).pairs == []
