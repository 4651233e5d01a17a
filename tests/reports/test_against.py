"""`report --against`: older runs beside the report's own."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from dsabench.bench.gate.records import RowVerdict
from dsabench.bench.journal import Journal, read_journal
from dsabench.bench.records import Record
from dsabench.cli.app import run
from dsabench.reports.against import AgainstError, against_views, compare_with
from dsabench.reports.build import build
from dsabench.reports.sections import sections_of
from tests.reports.journals import JournalBuilder, device, header, workload_record, write_records
from tests.reports.made_comparisons import Made, made_comparison
from tests.reports.made_trials import OP
from tests.reports.pages import Page

COMMITS = ("a" * 40, "b" * 40, "c" * 40)


def journal(
    directory: Path, commit: str, times: dict[int, float], *, impl: str = "cpu", extra: Sequence[Record] = ()
) -> Path:
    """One implementation, its default config, of these medians by context."""
    head = header(device(), run_id=directory.name).model_copy(
        update={"git_commit": commit, "sources": {f"{OP}/{impl}": commit[:12]}}
    )
    made = [
        made_comparison(
            [Made(impl, {"T": 1}, [seconds * (1 + 0.001 * (i % 5)) for i in range(15)], is_default=True)],
            noise=0.01,
            context=context,
        )
        for context, seconds in times.items()
    ]
    records = [head, *(workload_record(OP, context) for context in times), *made, *extra]
    return write_records(directory, records)


def read(*paths: Path) -> list[Journal]:
    return [read_journal(path) for path in paths]


class TestRows:
    def test_ranked_by_time_lost_or_won(self, tmp_path: Path) -> None:
        old = journal(tmp_path / "old", COMMITS[0], {4096: 1e-3, 16384: 2e-3, 65536: 1.0})
        new = journal(tmp_path / "new", COMMITS[1], {4096: 2e-3, 16384: 1e-3, 65536: 1.2})
        (results,) = compare_with(sections_of(read(new)), read(old)).values()
        (view,) = against_views(results, "d1")
        assert view.rows[0].axes["s_kv"] == 65536
        verdicts = {row.axes["s_kv"]: row.verdict for row in view.rows}
        assert verdicts == {65536: RowVerdict.SLOWER, 4096: RowVerdict.SLOWER, 16384: RowVerdict.FASTER}
        assert view.counts == "2 slower, 1 faster"
        assert (view.old, view.new) == ("old", "new")
        assert view.result.command == f"dsabench gate {new} --baseline {old}"

    def test_missing_and_new_rows_are_named(self, tmp_path: Path) -> None:
        old = journal(tmp_path / "old", COMMITS[0], {4096: 1e-3, 16384: 2e-3})
        new = journal(tmp_path / "new", COMMITS[1], {4096: 1e-3, 65536: 1.2})
        (results,) = compare_with(sections_of(read(new)), read(old)).values()
        (view,) = against_views(results, "d1")
        found = {row.axes["s_kv"]: row.verdict for row in view.one_sided}
        assert found == {16384: RowVerdict.MISSING, 65536: RowVerdict.NEW}
        assert [row.axes["s_kv"] for row in view.rows] == [4096]

    def test_runs_of_one_commit_are_one_baseline_and_others_stand_alone(self, tmp_path: Path) -> None:
        times = {4096: 1e-3}
        older = [
            journal(tmp_path / "a1", COMMITS[0], times),
            journal(tmp_path / "a2", COMMITS[0], {4096: 1.4e-3}),
            journal(tmp_path / "b", COMMITS[1], times),
        ]
        new = journal(tmp_path / "new", COMMITS[2], times)
        (results,) = compare_with(sections_of(read(new)), read(*older)).values()
        views = against_views(results, "d1")
        assert [view.old for view in views] == ["a1, a2", "b"]
        # Two baselines of one code that lie 40 % apart are that much noise.
        assert [view.rows[0].noise for view in views] == [pytest.approx(0.4, rel=0.02), pytest.approx(0.01, rel=0.5)]

    def test_dirty_trees_of_one_commit_are_not_one_code(self, tmp_path: Path) -> None:
        dirty = COMMITS[0] + "-dirty"
        older = [journal(tmp_path / name, dirty, {4096: 1e-3}) for name in ("one", "two")]
        new = journal(tmp_path / "new", COMMITS[2], {4096: 1e-3})
        (results,) = compare_with(sections_of(read(new)), read(*older)).values()
        assert len(results) == 2


class TestRefusals:
    def test_another_device(self, tmp_path: Path) -> None:
        JournalBuilder(device=device("Other", "cpu-other-8c"), ops=(OP,), contexts=(4096,)).write(tmp_path / "old")
        new = journal(tmp_path / "new", COMMITS[0], {4096: 1e-3})
        with pytest.raises(AgainstError, match="was measured on cpu-other-8c, the report is of cpu-synthetic-2c"):
            compare_with(sections_of(read(new)), read(tmp_path / "old"))

    def test_itself(self, tmp_path: Path) -> None:
        new = journal(tmp_path / "new", COMMITS[0], {4096: 1e-3})
        with pytest.raises(AgainstError, match="compared with itself"):
            compare_with(sections_of(read(new)), read(new))

    def test_no_op_in_common(self, tmp_path: Path) -> None:
        JournalBuilder(ops=("topk_select",), contexts=(4096,)).write(tmp_path / "old")
        new = journal(tmp_path / "new", COMMITS[0], {4096: 1e-3})
        with pytest.raises(AgainstError, match="no measured op in common"):
            compare_with(sections_of(read(new)), read(tmp_path / "old"))

    def test_the_command_says_so_in_one_line(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        JournalBuilder(device=device("Other", "cpu-other-8c"), ops=(OP,), contexts=(4096,)).write(tmp_path / "old")
        new = journal(tmp_path / "new", COMMITS[0], {4096: 1e-3})
        assert run(["report", str(new), "--against", str(tmp_path / "old"), "--out", str(tmp_path / "out")]) == 1
        error = capsys.readouterr().err
        assert error.count("\n") == 1
        assert "times hold for one device" in error
        assert not (tmp_path / "out" / "report.html").exists()

    def test_a_path_that_does_not_exist_is_a_usage_error(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        new = journal(tmp_path / "new", COMMITS[0], {4096: 1e-3})
        assert run(["report", str(new), "--against", str(tmp_path / "none")]) == 2
        assert "none does not exist" in capsys.readouterr().err


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Page:
    directory = tmp_path_factory.mktemp("against")
    old = journal(directory / "<old>", COMMITS[0], {4096: 1e-3, 16384: 2e-3}, impl="cpu")
    new = journal(directory / "new", COMMITS[1], {4096: 2e-3, 65536: 1.0}, impl="cpu")
    return Page(build([new], directory / "out", [old]).html)


class TestPage:
    def test_table_and_one_sided_rows(self, page: Page) -> None:
        (row,) = page.table("Against <old>")
        assert "SLOWER" in row
        assert "+1.00 ms" in row
        listed = [item.text for item in page.root.all("li")]
        assert any(text.startswith("MISSING sparse_mla_decode/cpu") and "s_kv=16k" in text for text in listed)
        assert any(text.startswith("NEW sparse_mla_decode/cpu") and "s_kv=64k" in text for text in listed)

    def test_both_commits_and_who_judges(self, page: Page) -> None:
        assert COMMITS[0][:12] in page.text
        assert COMMITS[1][:12] in page.text
        assert "what judges is dsabench gate" in page.text

    def test_it_can_be_reached(self, page: Page) -> None:
        assert "#d1-against1" in page.references
        assert "d1-against1" in page.ids

    def test_without_older_runs_there_is_none(self, tmp_path: Path) -> None:
        new = journal(tmp_path / "new", COMMITS[1], {4096: 2e-3})
        assert "against1" not in Page(build([new], tmp_path / "out").html).source
