"""Reading a journal: strict, whole lines only, and without keeping what all trials share as often as it occurs."""

from __future__ import annotations

import gc
import gzip
from pathlib import Path

import pytest
from pydantic import TypeAdapter

from dsabench.bench.journal import Journal, JournalError, read_journal
from dsabench.bench.records import AnyRecord
from tests.reports.journals import JournalBuilder


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return JournalBuilder(ops=("topk_select",), contexts=(4096, 8192)).write(tmp_path / "run").parent


def records(journal: Journal) -> list[AnyRecord]:
    found = [*journal.headers, *journal.ceilings, *journal.workloads.values(), *journal.trials, *journal.comparisons]
    return [*found, *journal.pipelines, *journal.losses, *journal.ends]


def test_every_record_is_read_as_it_was_written(folder: Path) -> None:
    one = TypeAdapter(AnyRecord)
    lines = (folder / "journal.jsonl").read_bytes().splitlines()
    written = sorted(one.validate_json(line).model_dump_json() for line in lines)
    assert sorted(record.model_dump_json() for record in records(read_journal(folder))) == written


def test_trials_share_their_workload_and_rule(folder: Path) -> None:
    trials = read_journal(folder).trials
    assert len({id(t.workload) for t in trials}) == len({t.workload.key for t in trials}) == 2
    rules = [t.check.rule for t in trials if t.check]
    assert len({id(rule) for rule in rules}) == len(set(rules)) < len(rules)


def test_a_workload_that_only_has_the_same_key_is_kept(folder: Path) -> None:
    path = folder / "journal.jsonl"
    lines = path.read_text().splitlines()
    trial = next(number for number, line in enumerate(lines) if '"kind":"trial"' in line)
    lines[trial] = lines[trial].replace('"rows":', '"rows_":')
    path.write_text("".join(f"{line}\n" for line in lines))
    trials = read_journal(folder).trials
    assert [set(t.workload.axes) != set(trials[1].workload.axes) for t in trials].count(True) == 1


def test_a_compressed_journal_is_the_same(folder: Path, tmp_path: Path) -> None:
    plain = read_journal(folder)
    packed = tmp_path / "journal.jsonl.gz"
    packed.write_bytes(gzip.compress((folder / "journal.jsonl").read_bytes()))
    assert records(read_journal(packed)) == records(plain)
    packed.write_bytes(packed.read_bytes()[:-200])
    with pytest.raises(JournalError, match=r"cannot read journal .*journal\.jsonl\.gz"):
        read_journal(packed)


def test_a_folder_with_only_a_compressed_journal_is_read_and_the_plain_one_goes_first(
    folder: Path, tmp_path: Path
) -> None:
    whole = (folder / "journal.jsonl").read_bytes()
    (tmp_path / "journal.jsonl.gz").write_bytes(gzip.compress(whole))
    assert records(read_journal(tmp_path)) == records(read_journal(folder))
    (tmp_path / "journal.jsonl").write_bytes(whole.split(b"\n")[0] + b"\n")
    assert not read_journal(tmp_path).trials


def test_a_torn_line_is_left_out_and_the_whole_ones_are_measured(folder: Path) -> None:
    path = folder / "journal.jsonl"
    whole = path.stat().st_size
    before = read_journal(folder)
    assert (before.torn, before.whole_bytes) == (False, whole)
    with path.open("a") as file:
        file.write('{"kind":"trial","nu')
    torn = read_journal(folder)
    assert (torn.torn, torn.whole_bytes) == (True, whole)
    assert records(torn) == records(before)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "holds no whole line"),
        ('{"kind":"header"', "holds no whole line"),
        ("{}\n", "line 1: not JSON|line 1: .*kind"),
        (
            '{"kind":"end","reason":"complete","detail":"","ended":"","wall_s":1.0,"skipped":[]}\n',
            "begins with its header",
        ),
    ],
)
def test_what_is_no_journal_is_refused(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "journal.jsonl").write_text(text)
    with pytest.raises(JournalError, match=message):
        read_journal(tmp_path)


def test_a_malformed_line_is_named_and_the_collector_runs_again(folder: Path) -> None:
    path = folder / "journal.jsonl"
    lines = path.read_text().splitlines()
    lines[4] = lines[4].replace('"kind"', '"kinds"')
    path.write_text("".join(f"{line}\n" for line in lines))
    with pytest.raises(JournalError, match="line 5"):
        read_journal(folder)
    assert gc.isenabled()
