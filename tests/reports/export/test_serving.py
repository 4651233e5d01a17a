"""Tuned-config files: found by name as the engines look, read as they read, the same at every export."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest

from dsabench.bench.journal import Journal, read_journal
from dsabench.bench.records import Header
from dsabench.kernels import tuned_table
from dsabench.kernels.source_hash import source_hash
from dsabench.reports.export.exported import ExportError
from dsabench.reports.export.names import device_file_name
from dsabench.reports.export.serving import write_serving
from dsabench.reports.export.tuned import SIDE_BY_SIDE, Tuned, this_device, tuned_of_journals, tuned_of_tables
from tests.reports.journals import JournalBuilder, write_records

RESULTS = Path(__file__).parents[3] / "results"

TUNED = Tuned(
    device="NVIDIA H200",
    device_key="cuda-nvidia-h200-132sm",
    op="sparse_mla_decode",
    impl="triton",
    axes={"b": 1, "s_q": 1, "s_kv": 65536, "h_q": 128, "topk": 2048, "page": 64},
    config={"BLOCK_N": 64, "num_warps": 8},
    source="0123456789ab",
    versions={"torch": "2.13.0", "triton": "3.7.1", "cuda_driver": "13.0"},
    median_s=1e-5,
    measured="2026-01-02T03:04:05+00:00",
    commit="abc",
    low_s=0.9e-5,
    high_s=1.1e-5,
    default_config={"BLOCK_N": 32, "num_warps": 4},
    speedup_over_default=[1.1, 1.05, 1.2],
    speedup_over_torch=None,
    roofline_fraction=0.5,
    ties=[{"BLOCK_N": 64, "num_warps": 4}],
    noise=0.01,
)
NAME = "triton_3_7_1/op=sparse_mla_decode,impl=triton,b=1,s_q=1,h_q=128,topk=2048,page=64,device_name=NVIDIA_H200.json"


def at(context: int, **changes: Any) -> Tuned:
    return dataclasses.replace(TUNED, axes={**TUNED.axes, "s_kv": context}, **changes)


def as_sglang_reads(path: Path) -> dict[int, Any]:
    return {int(key): value for key, value in json.loads(path.read_text()).items()}


def test_is_found_by_name_and_read_as_the_engines_do(tmp_path: Path) -> None:
    done = write_serving([at(65536), at(4096, config={"BLOCK_N": 32, "num_warps": 4})], tmp_path)
    assert done.rows == 2
    assert as_sglang_reads(tmp_path / NAME) == {
        4096: {"BLOCK_N": 32, "num_warps": 4},
        65536: {"BLOCK_N": 64, "num_warps": 8},
    }


def test_what_it_was_measured_with_stands_beside_it(tmp_path: Path) -> None:
    write_serving([at(4096, config=TUNED.default_config, ties=[]), at(65536)], tmp_path)
    meta = json.loads((tmp_path / NAME.replace(".json", ".meta.json")).read_text())
    assert meta["measured_on"] == {"device": "NVIDIA H200", "device_key": "cuda-nvidia-h200-132sm"}
    assert (meta["source"], meta["versions"]["triton"], meta["copied_for"]) == ("0123456789ab", "3.7.1", None)
    assert meta["axes"] == {"b": 1, "s_q": 1, "h_q": 128, "topk": 2048, "page": 64}
    entry = meta["entries"]["65536"]
    assert (entry["median_s"], entry["low_s"], entry["high_s"], entry["noise"]) == (1e-5, 0.9e-5, 1.1e-5, 0.01)
    assert (entry["is_default"], meta["entries"]["4096"]["is_default"]) == (False, True)
    assert entry["ties"] == [{"BLOCK_N": 64, "num_warps": 4}]


def test_keys_are_ascending_numbers_not_words(tmp_path: Path) -> None:
    write_serving([at(n) for n in (131072, 16384, 4096, 65536)], tmp_path)
    assert list(as_sglang_reads(tmp_path / NAME)) == [4096, 16384, 65536, 131072]


def test_another_shape_is_another_file(tmp_path: Path) -> None:
    write_serving([at(4096), dataclasses.replace(TUNED, axes={**TUNED.axes, "h_q": 16})], tmp_path)
    names = sorted(path.name for path in tmp_path.rglob("*.json") if ".meta" not in path.name)
    assert [name.split(",")[4] for name in names] == ["h_q=128", "h_q=16"]


def test_a_sibling_finds_a_copy_that_says_so(tmp_path: Path) -> None:
    write_serving([at(4096)], tmp_path, also_for=["NVIDIA H20-3e"])
    copy = tmp_path / NAME.replace("NVIDIA_H200", "NVIDIA_H20-3e")
    assert copy.read_text() == (tmp_path / NAME).read_text()
    meta = json.loads((copy.parent / copy.name.replace(".json", ".meta.json")).read_text())
    assert (meta["copied_for"], meta["measured_on"]["device"]) == ("NVIDIA_H20-3e", "NVIDIA H200")


class TestTheLatestCounts:
    def test_of_one_context(self, tmp_path: Path) -> None:
        later = at(4096, measured="2026-02-02T00:00:00+00:00", config={"BLOCK_N": 16, "num_warps": 1})
        for order in ([at(4096), later], [later, at(4096)]):
            write_serving(order, tmp_path)
            assert as_sglang_reads(tmp_path / NAME) == {4096: {"BLOCK_N": 16, "num_warps": 1}}

    def test_and_no_file_mixes_sources_of_a_kernel(self, tmp_path: Path) -> None:
        done = write_serving([at(4096), at(65536, source="fff", measured="2026-02-02T00:00:00+00:00")], tmp_path)
        assert list(as_sglang_reads(tmp_path / NAME)) == [65536]
        (left_out,) = done.left_out
        assert "s_kv=4096" in left_out.what
        assert "older kernel" in left_out.reason

    def test_another_triton_is_another_folder(self, tmp_path: Path) -> None:
        write_serving([at(4096), at(4096, versions={"torch": "2.12.0", "triton": "3.6.0"})], tmp_path)
        assert sorted(path.name for path in tmp_path.iterdir()) == ["triton_3_6_0", "triton_3_7_1"]


def test_other_files_stay_and_no_half_one_is_left(tmp_path: Path) -> None:
    (tmp_path / "triton_3_7_1").mkdir()
    (tmp_path / "triton_3_7_1" / "E=8,N=7168,device_name=NVIDIA_H200.json").write_text("{}")
    write_serving([at(4096)], tmp_path)
    assert len(list((tmp_path / "triton_3_7_1").iterdir())) == 3


def test_two_devices_of_one_name_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ExportError, match="would share a file"):
        write_serving([at(4096), at(65536, device_key="cuda-nvidia-h200-66sm")], tmp_path)
    assert not list(tmp_path.iterdir())


def test_nothing_tuned_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ExportError, match="nothing to export"):
        write_serving([], tmp_path)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("NVIDIA H100 80GB HBM3", "NVIDIA_H100_80GB_HBM3"),
        ("NVIDIA A100-SXM4-80GB", "NVIDIA_A100-SXM4-80GB"),
        ("NVIDIA H100 80GB HBM3 MIG 1g.10gb", "NVIDIA_H100_80GB_HBM3_MIG_1g.10gb"),
        ("AMD EPYC (family 25, model 17)", "AMD_EPYC_family_25_model_17"),
        ("../../etc/passwd", "etc_passwd"),
        ("a,device_name=b/c\\d\n", "a_device_name_b_c_d"),
        ("..", "unknown"),
        ("x" * 500, "x" * 80),
    ],
)
def test_device_names_are_harmless_in_files(name: str, expected: str) -> None:
    assert device_file_name(name) == expected


def test_untrusted_names_stay_inside_the_folder(tmp_path: Path) -> None:
    write_serving([at(4096, device="../../x", impl="/tmp/../y", versions={"triton": "../../3"})], tmp_path / "out")
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
    assert len([path for path in (tmp_path / "out").rglob("*") if path.is_file()]) == 2


class TestFromJournals:
    def journal(self, folder: Path, **options: Any) -> Journal:
        builder = JournalBuilder(ops=("topk_select",), contexts=(4096, 16384), **options)
        return read_journal(builder.write(folder).parent)

    def test_winners_of_comparisons(self, tmp_path: Path) -> None:
        source = self.journal(tmp_path)
        found, left_out = tuned_of_journals([source])
        assert left_out == []
        assert len(found) == 4
        comparison = source.comparisons[0]
        for impl, won in comparison.winners.items():
            winner = comparison.candidates[won.winner]
            one = next(t for t in found if t.impl == impl and t.context == 4096)
            assert (one.config, one.median_s, one.noise) == (winner.config, winner.median_s, comparison.noise)
            assert one.source == source.header.sources[f"topk_select/{impl}"]
            assert one.versions == {"torch": "2.13.0", "numba": "0.68.0"}

    def test_a_best_trial_alone_is_left_out(self, tmp_path: Path) -> None:
        found, left_out = tuned_of_journals([self.journal(tmp_path, compare=False)])
        assert found == []
        assert {each.reason for each in left_out} == {"no config of it was re-timed interleaved"}
        assert len(left_out) == 4

    def test_a_comparison_of_implementations_tunes_nothing(self, tmp_path: Path) -> None:
        records = JournalBuilder(ops=("topk_select",), contexts=(4096,)).records()
        assert isinstance(records[0], Header)
        write_records(tmp_path, [records[0].model_copy(update={"strategy": "compare"}), *records[1:]])
        found, left_out = tuned_of_journals([read_journal(tmp_path)])
        assert found == []
        assert "nothing was tuned" in left_out[0].reason

    def test_committed_winners_are_those_of_their_tuned_table(self) -> None:
        """`dsabench tune` wrote both; the default stays where it ties."""
        (path,) = RESULTS.glob("*/2026-11-23-e38fe52/quick/journal.jsonl.gz")
        table = json.loads((path.parent / "tuned.json").read_text())["entries"]

        def key(op: str, impl: str, axes: Any) -> tuple[str, str, str]:
            return op, impl, json.dumps(dict(axes), sort_keys=True)

        expected = {key(e["op"], e["impl"], e["axes"]): (e["config"], e["source"], e["versions"]) for e in table}
        found, _ = tuned_of_journals([read_journal(path)])
        assert {key(t.op, t.impl, t.axes): (t.config, t.source, dict(t.versions)) for t in found} == expected


class TestFromThisDevicesTable:
    KEY = "cpu-synthetic-2c"

    @pytest.fixture
    def table(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
        monkeypatch.setenv("DSABENCH_CACHE_DIR", str(tmp_path))
        monkeypatch.setattr(tuned_table, "_PACKAGED", tmp_path / "packaged")
        path = tuned_table.user_table_path(self.KEY)
        path.parent.mkdir(parents=True)
        (tmp_path / "packaged").mkdir()
        return path

    def entry(self, **changes: Any) -> dict[str, Any]:
        return {
            "device": self.KEY,
            "op": "topk_select",
            "impl": "torch",
            "axes": {"rows": 1, "s_kv": 4096, "k": 2048, "deterministic": 0},
            "config": {"SORT": 1},
            "source": source_hash("topk_select", "torch"),
            "versions": tuned_table.keyed_versions(self.KEY),
            "median_s": 1e-3,
            **changes,
        }

    def write(self, path: Path, *entries: dict[str, Any]) -> None:
        path.write_text(json.dumps({"schema": 1, "entries": list(entries)}))

    def test_what_the_library_would_use(self, table: Path) -> None:
        self.write(table, self.entry(), self.entry(device="cpu-other", config={}))
        packaged = table.parents[1] / "packaged" / "p.json"
        self.write(
            packaged, self.entry(config={"SORT": 2}), self.entry(axes={"rows": 1, "s_kv": 8192}, config={"SORT": 3})
        )
        found, left_out = tuned_of_tables("Synthetic", self.KEY)
        assert [t.config for t in found] == [{"SORT": 1}, {"SORT": 3}]
        assert left_out == []
        assert {t.device for t in found} == {"Synthetic"}

    def test_what_holds_no_more_is_left_out_with_its_reason(self, table: Path) -> None:
        self.write(
            table,
            self.entry(source="0" * 12),
            self.entry(versions={"torch": "1.0"}),
            self.entry(impl="somebodys"),
        )
        found, left_out = tuned_of_tables("Synthetic", self.KEY)
        assert found == []
        assert [each.reason.split(";")[0] for each in left_out] == [
            "measured with another source of the kernel",
            "measured with torch 1.0",
            "its code is not here (a plugin?)",
        ]

    def test_a_broken_table_is_one_clear_error(self, table: Path) -> None:
        table.write_text("{")
        with pytest.raises(ExportError, match="cannot be read"):
            tuned_of_tables("Synthetic", self.KEY)


def test_this_device_is_named_as_journals_name_it() -> None:
    from dsabench.bench.device import cpu_device

    here = cpu_device()
    assert this_device() == (here.name, here.key)


def test_a_gpu_is_named_by_its_driver(monkeypatch: pytest.MonkeyPatch) -> None:
    from dsabench.bench import device as device_module
    from dsabench.bench.gpu import selection

    gpus = [selection.Gpu(0, "GPU-a", "NVIDIA H200", 132, (9, 0))]
    monkeypatch.setattr(device_module, "resolve_device", lambda _: "cuda:0")
    monkeypatch.setattr(selection, "visible_gpus", lambda: gpus)
    assert this_device() == ("NVIDIA H200", "cuda-nvidia-h200-132sm")


def test_runs_that_tune_nothing_are_known_by_their_strategy() -> None:
    from dsabench.autotune.side_by_side.session import STRATEGY

    assert STRATEGY == SIDE_BY_SIDE
