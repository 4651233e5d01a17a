from __future__ import annotations

import json
import multiprocessing

import pytest

from dsabench.autotune.table import TableError, install, merge_table, read_table


def entry(**changes):
    base = {
        "device": "cpu-x", "op": "topk_select", "impl": "cpu", "axes": {"rows": 1, "s_kv": 4096}, "config": {"N": 1},
        "source": "abc", "versions": {"torch": "2.13.0"}, "median_s": 1.0,
    }  # fmt: skip
    return base | changes


def test_entries_replace_those_with_the_same_key_and_leave_the_others(tmp_path):
    path = tmp_path / "tuned.json"
    merge_table(path, [entry(), entry(axes={"rows": 2, "s_kv": 4096})])
    merge_table(path, [entry(config={"N": 9}), entry(source="def")])
    found = {(e["axes"]["rows"], e["source"]): e["config"]["N"] for e in read_table(path)}
    assert found == {(1, "abc"): 9, (2, "abc"): 1, (1, "def"): 1}
    assert json.loads(path.read_text())["schema"] == 1
    assert [p.name for p in tmp_path.iterdir()] == ["tuned.json"], "no temporary file stays"


@pytest.mark.parametrize(
    "text", ["{", "[]", '{"schema": 1}', '{"schema": 2, "entries": []}', '{"schema": 1, "entries": [{}]}']
)
def test_a_file_that_is_no_table_is_named_and_not_overwritten(tmp_path, text):
    path = tmp_path / "tuned.json"
    path.write_text(text)
    with pytest.raises(TableError, match=r"tuned\.json"):
        merge_table(path, [entry()])
    assert path.read_text() == text


def test_a_table_that_cannot_be_written_is_an_error(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(TableError, match="cannot"):
        merge_table(tmp_path / "file" / "tuned.json", [entry()])


def test_no_file_is_an_empty_table(tmp_path):
    assert read_table(tmp_path / "absent.json") == []


def test_installed_tables_lie_where_the_library_looks(tmp_path, monkeypatch):
    monkeypatch.setenv("DSABENCH_CACHE_DIR", str(tmp_path))
    path = install([entry()], "cpu-x")
    assert path == tmp_path / "tuned" / "cpu-x.json"
    assert read_table(path) == [entry()]


def _install(directory: str, first: int) -> None:
    import os

    os.environ["DSABENCH_CACHE_DIR"] = directory
    for i in range(10):
        install([entry(axes={"rows": first + i, "s_kv": 1})], "cpu-x")


def test_two_runs_that_install_at_once_lose_nothing(tmp_path):
    context = multiprocessing.get_context("spawn")
    runs = [context.Process(target=_install, args=(str(tmp_path), first)) for first in (0, 100)]
    for run in runs:
        run.start()
    for run in runs:
        run.join()
    rows = sorted(e["axes"]["rows"] for e in read_table(tmp_path / "tuned" / "cpu-x.json"))
    assert rows == [*range(10), *range(100, 110)]
