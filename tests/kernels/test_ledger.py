"""The ledger: read strictly, and a proof holds for the source it names and no other."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest

from dsabench.kernels import ledger
from dsabench.kernels.implementation import Implementation
from dsabench.kernels.ledger import LedgerError, Verification, hardware_note, needs_hardware, read_ledger, verified_on
from dsabench.kernels.registry import get_implementation, implementation_names, op_names
from dsabench.kernels.source_hash import source_hash

# The look-up asks for a name and a hash only: an implementation that is always here stands in for a GPU's.
PROOF = Verification(
    source=source_hash("topk_select", "torch"),
    op="topk_select",
    impl="torch",
    device="NVIDIA H100 80GB HBM3",
    date="2026-05-31",
    journal="results/h100/2026-05-31-abc/quick/journal.jsonl.gz",
    versions={"torch": "2.11.0", "triton": "3.6.0"},
)


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Path]]:
    """Puts a ledger of these entries in the place of the committed one."""

    def put(*entries: Verification | dict[str, Any]) -> Path:
        path = tmp_path / "ledger.json"
        raw = [asdict(e) if isinstance(e, Verification) else e for e in entries]
        path.write_text(json.dumps({"schema": 1, "entries": raw}))
        monkeypatch.setattr(ledger, "LEDGER_PATH", path)
        ledger._entries.cache_clear()
        return path

    yield put
    ledger._entries.cache_clear()


def test_without_an_entry_a_source_is_unverified(write: Callable[..., Path]) -> None:
    write()
    assert verified_on("topk_select", "torch") == ()
    assert hardware_note("topk_select", "torch") == "unverified on hardware"


def test_a_proof_names_chip_date_and_journal(write: Callable[..., Path]) -> None:
    newer = replace(PROOF, device="NVIDIA H200", date="2026-06-01")
    write(PROOF, newer, replace(PROOF, op="indexer_logits"))
    assert verified_on("topk_select", "torch") == (newer, PROOF)
    assert hardware_note("topk_select", "torch") == (
        f"verified on NVIDIA H200 (2026-06-01, {PROOF.journal}); NVIDIA H100 80GB HBM3 (2026-05-31, {PROOF.journal})"
    )
    assert verified_on("topk_select", "cpu") == ()


def test_an_edited_source_is_unverified_again(write: Callable[..., Path]) -> None:
    write(replace(PROOF, source="0123456789ab"))
    assert hardware_note("topk_select", "torch") == "unverified on hardware"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"source": "0123"}, "source = '0123' is not 12 hex digits"),
        ({"date": "31.5.2026"}, "date = '31.5.2026'"),
        ({"date": "20260531"}, "date = '20260531'"),
        ({"journal": "/home/me/journal.jsonl"}, "under results/"),
        ({"journal": "results/../other/journal.jsonl"}, "under results/"),
        ({"journal": "results/h100/report.html"}, "is not a .jsonl"),
        ({"device": ""}, "device = ''"),
        ({"device": 90}, "device = 90"),
        ({"versions": {}}, "versions = {}"),
        ({"versions": {"triton": 3}}, "versions = {'triton': 3}"),
        ({"chip": "H100"}, "unknown field 'chip'"),
    ],
)
def test_a_malformed_entry_is_one_clear_error(write: Callable[..., Path], change: dict[str, Any], words: str) -> None:
    path = write(PROOF, asdict(PROOF) | change)
    with pytest.raises(LedgerError) as caught:
        verified_on("topk_select", "torch")
    assert words in str(caught.value)
    assert f"{path}, entry 2" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", asdict(PROOF))
def test_every_field_must_be_there(write: Callable[..., Path], name: str) -> None:
    write({key: value for key, value in asdict(PROOF).items() if key != name})
    with pytest.raises(LedgerError, match=f"missing field '{name}'"):
        verified_on("topk_select", "torch")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", "cannot be read"),
        ("[]", '"schema": 1'),
        ('{"schema": 2, "entries": []}', '"schema": 1'),
        ('{"schema": 1, "entries": [], "note": ""}', '"schema": 1'),
        ('{"schema": 1, "entries": {}}', "entries must be a list"),
        ('{"schema": 1, "entries": ["x"]}', "must be an object"),
    ],
)
def test_a_malformed_ledger_is_one_clear_error(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "ledger.json"
    path.write_text(text)
    with pytest.raises(LedgerError) as caught:
        read_ledger(path)
    assert words in str(caught.value)
    assert str(path) in str(caught.value)


def test_a_missing_ledger_is_no_empty_one(tmp_path: Path) -> None:
    with pytest.raises(LedgerError, match="cannot be read"):
        read_ledger(tmp_path / "ledger.json")


def test_an_entry_stands_once(write: Callable[..., Path]) -> None:
    write(PROOF, replace(PROOF, date="2026-06-01"), PROOF)
    with pytest.raises(LedgerError, match="entry 3 stands there twice"):
        verified_on("topk_select", "torch")


def test_what_is_written_is_read_back(tmp_path: Path) -> None:
    path = tmp_path / "ledger.json"
    other = replace(PROOF, op="indexer_logits")
    ledger.write_ledger(path, [PROOF, other])
    assert read_ledger(path) == (other, PROOF)


def test_a_kernel_with_a_plan_needs_a_gpu_wherever_it_can_be_emulated() -> None:
    def run(inputs: Any, outputs: Any, config: Any) -> None: ...

    kernel = Implementation(
        op="topk_select",
        name="kernel",
        summary="compiled for a GPU",
        device_types=("cpu",),  # as it is with TRITON_INTERPRET=1
        tunables=(),
        default_config=lambda axes: {},
        run=run,
        plan=lambda inputs, outputs, config: [],
    )
    assert needs_hardware(kernel)
    assert needs_hardware(replace(kernel, plan=None, device_types=("cuda",)))
    assert not needs_hardware(replace(kernel, plan=None, device_types=("cpu", "cuda")))


def test_of_ours_the_gpu_kernels_and_no_others_need_hardware() -> None:
    for op in op_names():
        for name in implementation_names(op):
            expected = name not in ("cpu", "torch")
            assert needs_hardware(get_implementation(op, name)) is expected, (op, name)
