"""What a journal proves, and that every proof in the ledger can be looked up."""

from __future__ import annotations

import gzip
from dataclasses import replace
from pathlib import Path

import pytest

from dsabench.bench import ledger_update
from dsabench.bench.journal import read_journal
from dsabench.bench.ledger_update import ProofError, proved_sources, verifications
from dsabench.bench.records import DeviceRecord, Record, Status, Trial
from dsabench.kernels import registry
from dsabench.kernels.ledger import LEDGER_PATH, Verification, read_ledger
from dsabench.kernels.registry import get_implementation
from tests.reports.journals import JournalBuilder, device

GPU = device("NVIDIA H100 80GB HBM3", "cuda-nvidia-h100").model_copy(update={"type": "cuda", "isa": ["sm_90"]})
WHERE = "results/cuda-nvidia-h100/2026-01-02-0123456/quick/journal.jsonl"
PROVED = {("topk_select", "kernel", "abcdef012345"), ("indexer_logits", "kernel", "abcdef012345")}


class GpuJournal(JournalBuilder):
    """The synthetic journal, in which a GPU's kernel stands where the CPU's did."""

    def records(self) -> list[Record]:
        return [r.model_copy(update={"impl": "kernel"}) if isinstance(r, Trial) else r for r in super().records()]


def builder(record: DeviceRecord = GPU) -> GpuJournal:
    return GpuJournal(
        device=record, ops=("topk_select", "indexer_logits"), contexts=(4096,), impls=("cpu",), compare=False
    )


@pytest.fixture
def kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    """An implementation `kernel` of two ops that is written for a GPU."""
    for op in ("topk_select", "indexer_logits"):
        made = replace(get_implementation(op, "torch"), name="kernel", device_types=("cuda",))
        monkeypatch.setitem(registry._plugins, (op, "kernel"), made)


@pytest.mark.usefixtures("kernel")
def test_a_passing_trial_on_a_gpu_proves_its_source(tmp_path: Path) -> None:
    journal = read_journal(builder().write(tmp_path))
    assert proved_sources(journal) == PROVED
    entries = verifications(journal, WHERE)
    assert {(e.op, e.impl, e.source) for e in entries} == PROVED
    for entry in entries:
        assert entry.device == "NVIDIA H100 80GB HBM3"
        assert entry.date == "2026-01-02"
        assert entry.journal == WHERE
        assert entry.versions["torch"] == "2.13.0"


@pytest.mark.usefixtures("kernel")
def test_one_wrong_trial_disproves_a_source(tmp_path: Path) -> None:
    made = builder()
    made.failing = frozenset({("topk_select", "cpu")})
    journal = read_journal(made.write(tmp_path))
    assert proved_sources(journal) == {("indexer_logits", "kernel", "abcdef012345")}
    wrong = next(t for t in journal.trials if t.op == "topk_select")
    assert wrong.check is not None
    right = wrong.check.model_copy(update={"passed": True})
    journal.trials.append(wrong.model_copy(update={"status": Status.PASSED, "check": right}))
    assert ("topk_select", "kernel", "abcdef012345") not in proved_sources(journal)


@pytest.mark.usefixtures("kernel")
def test_a_trial_without_a_passed_check_proves_nothing(tmp_path: Path) -> None:
    journal = read_journal(builder().write(tmp_path))
    journal.trials = [t.model_copy(update={"check": None}) for t in journal.trials]
    with pytest.raises(ProofError, match="no source of a GPU kernel"):
        verifications(journal, WHERE)


@pytest.mark.usefixtures("kernel")
def test_a_journal_from_a_cpu_proves_nothing(tmp_path: Path) -> None:
    journal = read_journal(builder(device()).write(tmp_path))
    assert proved_sources(journal) == set()
    with pytest.raises(ProofError, match="Synthetic CPU 9000: only a journal from a GPU"):
        verifications(journal, WHERE)


def test_what_needs_no_gpu_is_not_entered(tmp_path: Path) -> None:
    journal = read_journal(replace(builder(), impls=("torch",)).write(tmp_path))
    journal.trials = [t.model_copy(update={"impl": "torch"}) for t in journal.trials]
    with pytest.raises(ProofError, match="no source of a GPU kernel"):
        verifications(journal, WHERE)


@pytest.mark.usefixtures("kernel")
def test_the_command_enters_each_proof_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    plain = builder().write(tmp_path / "results" / "quick")
    packed = plain.parent / "journal.jsonl.gz"
    packed.write_bytes(gzip.compress(plain.read_bytes()))
    ledger = tmp_path / "ledger.json"
    ledger.write_text(LEDGER_PATH.read_text())
    before = len(read_ledger(ledger))
    monkeypatch.setattr(ledger_update, "ROOT", tmp_path)
    monkeypatch.setattr(ledger_update, "LEDGER_PATH", ledger)
    for _ in range(2):
        assert ledger_update.main([str(packed)]) == 0
    entries = read_ledger(ledger)
    assert len(entries) == before + 2
    assert {e.journal for e in entries} >= {"results/quick/journal.jsonl.gz"}
    assert "0 added" in capsys.readouterr().out
    outside = builder().write(tmp_path / "elsewhere")
    assert ledger_update.main([str(outside)]) == 1
    assert "a proof is a committed journal" in capsys.readouterr().err
    assert ledger_update.main([str(plain.parent / "missing.jsonl.gz")]) == 1
    assert len(read_ledger(ledger)) == before + 2


def fault(entry: Verification, root: Path) -> str:
    """Why the journal that an entry names does not hold it up, or ""."""
    if not (root / entry.journal).is_file():
        return "no such journal"
    journal = read_journal(root / entry.journal)
    if (entry.op, entry.impl, entry.source) not in proved_sources(journal):
        return "the journal does not prove it"
    header = journal.header
    return "" if (entry.device, entry.date) == (header.device.name, header.started[:10]) else "another run"


def test_every_entry_of_the_ledger_is_held_up_by_its_journal() -> None:
    for entry in read_ledger(LEDGER_PATH):
        assert fault(entry, ledger_update.ROOT) == "", entry


@pytest.mark.usefixtures("kernel")
def test_an_entry_that_nothing_holds_up_is_seen(tmp_path: Path) -> None:
    builder().write(tmp_path / WHERE.removesuffix("/journal.jsonl"))
    entry = verifications(read_journal(tmp_path / WHERE), WHERE)[0]
    assert fault(entry, tmp_path) == ""
    assert fault(replace(entry, journal="results/other/journal.jsonl"), tmp_path) == "no such journal"
    assert fault(replace(entry, source="0" * 12), tmp_path) == "the journal does not prove it"
    assert fault(replace(entry, device="NVIDIA H200"), tmp_path) == "another run"
