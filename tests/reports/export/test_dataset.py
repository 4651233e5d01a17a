"""The dataset's files, read by flashinfer-bench's own TraceSet; and what becomes of each of our statuses."""

from __future__ import annotations

import json
import math
import random
from pathlib import Path
from typing import Any

import pytest

from dsabench.bench.journal import Journal, read_journal
from dsabench.bench.records import Header, Status, Trial
from dsabench.reports.export.exported import Exported, ExportError
from dsabench.reports.export.flashinfer.dataset import write_dataset
from dsabench.reports.export.flashinfer.evaluations import STATUSES, NoEvaluationError, evaluation
from tests.reports.export import flashinfer_models
from tests.reports.journals import JournalBuilder, device, workload_id, write_records

LARGEST = 1 << 28
RESULTS = Path(__file__).parents[3] / "results"


def journal(folder: Path, **options: Any) -> Journal:
    options = {"contexts": (256,), **options}
    return read_journal(JournalBuilder(**options).write(folder).parent)


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> tuple[Journal, Path, Exported]:
    folder = tmp_path_factory.mktemp("dataset")
    source = journal(folder / "run", contexts=(256, 512))
    return source, folder / "out", write_dataset([source], folder / "out", LARGEST)


def lines(root: Path, kind: str) -> list[dict[str, Any]]:
    return [
        json.loads(line) for path in sorted((root / kind).rglob("*.jsonl")) for line in path.read_text().splitlines()
    ]


@pytest.fixture(scope="module")
def trace_set(written: tuple[Journal, Path, Exported]) -> Any:
    return flashinfer_models.data().TraceSet.from_path(str(written[1]))


class TestReadByTheirTraceSet:
    def test_holds_every_op_workload_and_winner(self, written: tuple[Journal, Path, Exported], trace_set: Any) -> None:
        source, _, done = written
        winners = sum(len(comparison.winners) for comparison in source.comparisons)
        assert trace_set.summary()["passed"] == trace_set.summary()["total"] == winners == done.rows == 28
        assert sum(len(each) for each in trace_set.workloads.values()) == len(source.workloads) == 14
        # One definition an op, of paged logits one a context; three solutions are for definitions of theirs.
        assert len(trace_set.definitions) == 8
        assert set(trace_set.solutions) - set(trace_set.definitions) == {
            "dsa_sparse_attention_h16_ckv512_kpe64_topk2048_ps1",
            "dsa_sparse_attention_h16_ckv512_kpe64_topk2048_ps64",
            "dsa_topk_indexer_fp8_h64_d128_topk2048_ps64",
        }

    def test_every_reference_resolves(self, written: tuple[Journal, Path, Exported], trace_set: Any) -> None:
        for name, traces in trace_set.traces.items():
            for trace in traces:
                assert trace_set.get_solution(trace.solution).definition == name
                assert set(trace.workload.axes) == set(trace_set.definitions[name].var_axes)
                for described in trace.workload.inputs.values():
                    if described.type == "safetensors":
                        assert described.tensor_key in trace_set.get_workload_blob_tensor(described.path)

    def test_best_trace_is_the_faster_implementation(self, trace_set: Any) -> None:
        best = trace_set.get_best_trace("dsabench_topk_select_topk2048", {"rows": 64, "columns": 512})
        assert "_cpu_" in best.solution

    def test_numbers_are_the_journals(self, written: tuple[Journal, Path, Exported], trace_set: Any) -> None:
        source = written[0]
        comparison = next(c for c in source.comparisons if c.workload.op == "sparse_mla_decode")
        won = comparison.winners["cpu"]
        winner = comparison.candidates[won.winner]
        baseline = next(c for c in comparison.candidates if c.impl == "torch" and c.is_default)
        name = "dsabench_sparse_mla_decode_fp8_h128_ckv512_kpe64_topk2048_ps64"
        found = next(t for t in trace_set.traces[name] if "_cpu_" in t.solution).evaluation
        assert found.performance.latency_ms == pytest.approx(winner.median_s * 1e3)
        assert found.performance.reference_latency_ms == pytest.approx(baseline.median_s * 1e3)
        assert found.performance.speedup_factor == pytest.approx(baseline.median_s / winner.median_s)
        extra = found.correctness.extra["dsabench"]
        assert (extra["config"], extra["noise"], extra["confirmed"]) == (winner.config, comparison.noise, True)
        assert extra["interval_ms"] == pytest.approx([winner.low_s * 1e3, winner.high_s * 1e3])
        assert extra["speedup_interval"][0] == won.speedup_over_torch.ratio  # type: ignore[union-attr]
        assert extra["source"] == "abcdef012345"
        assert found.correctness.max_absolute_error == 1.7e-4
        assert found.correctness.max_relative_error == pytest.approx(math.sqrt(2 * 3.1e-8))
        assert found.environment.hardware == "Synthetic CPU 9000"
        assert found.environment.libs["torch"] == "2.13.0"
        assert found.timestamp == comparison.started

    def test_a_real_journal(self, tmp_path: Path) -> None:
        """Of the committed one with the fewest trials; its large workloads are left out, by name."""
        models = flashinfer_models.data()
        (path,) = RESULTS.glob("*/*/cpu-goals-2/journal.jsonl.gz")
        source = read_journal(path)
        done = write_dataset([source], tmp_path, 1 << 26)
        found = models.TraceSet.from_path(str(tmp_path))
        assert found.summary()["passed"] == done.rows > 0
        kept = {line["workload"]["uuid"] for line in lines(tmp_path, "workloads")}
        assert len(kept) + len({each.what for each in done.left_out}) == len(source.workloads)


class TestAnExistingDataset:
    def test_keeps_what_others_wrote_and_what_was_there(self, tmp_path: Path) -> None:
        out = tmp_path / "out"
        theirs = out / "traces" / "gemm" / "gemm_n128.jsonl"
        theirs.parent.mkdir(parents=True)
        theirs.write_text("as it was\n")
        first = journal(tmp_path / "first", ops=("topk_select",))
        other = journal(tmp_path / "other", ops=("topk_select",), device=device("Other CPU", "cpu-other"), scale=2.0)
        write_dataset([first], out, LARGEST)
        write_dataset([other], out, LARGEST)
        assert theirs.read_text() == "as it was\n"
        assert sorted(t["evaluation"]["environment"]["hardware"] for t in _own(out)) == (
            ["Other CPU"] * 2 + ["Synthetic CPU 9000"] * 2
        )

    def test_the_same_export_twice_is_the_same_files(self, tmp_path: Path) -> None:
        source = journal(tmp_path / "run", ops=("topk_select", "sparse_mla_prefill"))
        out = tmp_path / "out"
        write_dataset([source], out, LARGEST)
        before = {path: path.read_bytes() for path in out.rglob("*") if path.is_file()}
        write_dataset([source], out, LARGEST)
        assert {path: path.read_bytes() for path in out.rglob("*") if path.is_file()} == before

    def test_a_file_of_something_else_is_not_written_over(self, tmp_path: Path) -> None:
        source = journal(tmp_path / "run", ops=("topk_select",))
        path = tmp_path / "out" / "traces" / "dsabench" / "dsabench_topk_select_topk2048.jsonl"
        path.parent.mkdir(parents=True)
        path.write_text("{}\n")
        with pytest.raises(ExportError, match="no file of traces"):
            write_dataset([source], tmp_path / "out", LARGEST)
        assert path.read_text() == "{}\n"


def _own(out: Path) -> list[dict[str, Any]]:
    (path,) = (out / "traces" / "dsabench").glob("*.jsonl")
    return [json.loads(line) for line in path.read_text().splitlines()]


class TestWhatIsLeftOut:
    def test_an_implementation_whose_code_is_not_ours(self, tmp_path: Path) -> None:
        records = JournalBuilder(ops=("topk_select",), contexts=(256,), compare=False).records()
        strange = [
            r.model_copy(update={"impl": "somebodys"}) if isinstance(r, Trial) and r.impl == "cpu" else r
            for r in records
        ]
        write_records(tmp_path / "run", strange)
        done = write_dataset([read_journal(tmp_path / "run")], tmp_path / "out", LARGEST)
        assert done.rows == 1
        assert [each.reason for each in done.left_out] == ["a solution needs its code, and it is no part of dsabench"]

    def test_nothing_but_what_is_too_large(self, tmp_path: Path) -> None:
        source = journal(tmp_path / "run", ops=("sparse_mla_decode",))
        with pytest.raises(ExportError, match=r"nothing to export: .* more than --largest 1000"):
            write_dataset([source], tmp_path / "out", 1000)
        assert not (tmp_path / "out").exists()

    def test_an_op_of_another_version(self, tmp_path: Path) -> None:
        records = JournalBuilder(ops=("topk_select",), contexts=(256,), compare=False).records()
        named = workload_id("topk_select", 256).model_copy(update={"op": "gone"})
        write_records(
            tmp_path / "run",
            [r.model_copy(update={"op": "gone", "workload": named}) if isinstance(r, Trial) else r for r in records],
        )
        with pytest.raises(ExportError, match="unknown op 'gone'"):
            write_dataset([read_journal(tmp_path / "run")], tmp_path / "out", LARGEST)


@pytest.fixture(scope="module")
def header() -> Header:
    found = JournalBuilder(ops=(), contexts=()).records()[0]
    assert isinstance(found, Header)
    return found


class TestStatuses:
    def trial(self, status: Status, *, op: str = "sparse_mla_decode", is_default: bool = True) -> Trial:
        config: dict[str, int | str | bool] = {"NK": 2, "BLOCK_KV": 64, "DEQUANT": "table"}
        if not is_default:
            config["NK"] = 4
        return JournalBuilder().trial(op, "cpu", 256, config, random.Random(0), status, "why it failed")

    @pytest.mark.parametrize("status", STATUSES)
    def test_each_makes_a_valid_evaluation(self, status: Status, header: Header) -> None:
        found = evaluation(header, "cpu", [self.trial(status)], None).document
        valid = flashinfer_models.data().Evaluation.model_validate(found)
        assert valid.status.value == STATUSES[status]
        assert (valid.performance is not None) == (status is Status.PASSED)
        assert (valid.correctness is not None) == (status in (Status.PASSED, Status.INCORRECT))
        assert ("why it failed" in valid.log) == (status is not Status.PASSED)

    def test_a_wrong_selection_has_no_size_of_error(self, header: Header) -> None:
        found = evaluation(header, "cpu", [self.trial(Status.INCORRECT, op="topk_select")], None).document
        correctness = flashinfer_models.data().Evaluation.model_validate(found).correctness
        assert math.isnan(correctness.max_absolute_error)

    @pytest.mark.parametrize("status", [Status.PRUNED, Status.IMPOSSIBLE])
    def test_without_a_word_for_it_there_is_none(self, status: Status, header: Header) -> None:
        with pytest.raises(NoEvaluationError, match=f"{status.value}: why it failed"):
            evaluation(header, "cpu", [self.trial(status)], None)

    def test_covers_all(self) -> None:
        assert set(Status) - set(STATUSES) == {Status.PRUNED, Status.IMPOSSIBLE}

    def test_a_trial_that_passed_counts_before_the_failures(self, header: Header) -> None:
        found = evaluation(
            header, "cpu", [self.trial(Status.TIMEOUT), self.trial(Status.PASSED, is_default=False)], None
        )
        assert found.config["NK"] == 4
        assert found.document["performance"]["reference_latency_ms"] == 0.0
        assert found.document["correctness"]["extra"]["dsabench"]["confirmed"] is False

    def test_of_failures_the_default_config_speaks(self, header: Header) -> None:
        trials = [self.trial(Status.CRASHED, is_default=False), self.trial(Status.TIMEOUT)]
        assert evaluation(header, "cpu", trials, None).document["status"] == "TIMEOUT"
