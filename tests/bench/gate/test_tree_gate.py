"""Two trees in real processes: kernels that become slower, wrong, dead, new, gone; kernels that do not fit."""

from __future__ import annotations

import shutil
import time
from dataclasses import replace
from pathlib import Path

import pytest

import dsabench
from dsabench.bench.gate.records import RowVerdict, Verdict
from dsabench.bench.gate.tree_gate import TreeGate, gate_trees
from dsabench.bench.gate.trees import SourceTree, TreeError, working_tree
from dsabench.kernels.workload import Workload

HERE = Path(dsabench.__file__).parents[1]
PLUGIN = Path(__file__).parent / "tree_plugin.py"
TOPK = Workload.of("topk_select", {"rows": 2, "s_kv": 256, "k": 64})
PAGED = Workload.of("paged_indexer_logits", {"s_kv": 256})
DECODE = Workload.of("sparse_mla_decode", {"s_kv": 256, "h_q": 16, "topk": 64})


def tree(folder: Path, side: str) -> SourceTree:
    root = folder / side
    root.mkdir()
    (root / "mine.py").write_text(PLUGIN.read_text().replace('SIDE = "baseline"', f'SIDE = "{side}"'))
    return SourceTree(side, root, "unknown")


def gate(folder: Path, **changes) -> TreeGate:
    values = {
        "baseline": tree(folder, "baseline"), "candidate": tree(folder, "candidate"), "workloads": (TOPK, PAGED, DECODE),
        "impls": ("steady", "slowed", "quickened", "wrong", "mended", "hopeless", "crashes", "dropped", "added"),
        "device": "cpu", "environment": {}, "plugins": ("mine.py",), "min_effect": 0.5, "passes": 4,
        "deadline": time.monotonic() + 200, "allow_missing": False, "command": "dsabench gate",
    }  # fmt: skip
    return TreeGate(**{**values, **changes})


@pytest.fixture(scope="module")
def result(tmp_path_factory):
    """A slow-down of four is found on any machine; half as much again is no concern here."""
    folder = tmp_path_factory.mktemp("trees")
    return gate_trees(gate(folder), folder)


def row(result, impl):
    (found,) = [each for each in result.rows if each.impl == impl]
    return found


@pytest.mark.parametrize(
    ("impl", "verdict"),
    [
        ("slowed", RowVerdict.SLOWER),
        ("quickened", RowVerdict.FASTER),
        ("wrong", RowVerdict.BROKEN),
        ("crashes", RowVerdict.BROKEN),
        ("mended", RowVerdict.MENDED),
        ("hopeless", RowVerdict.INVALID),
        ("dropped", RowVerdict.MISSING),
        ("added", RowVerdict.NEW),
    ],
)
def test_each_row_gets_its_verdict(result, impl, verdict):
    assert row(result, impl).verdict is verdict, row(result, impl).reason


def test_what_did_not_change_is_neither_slower_nor_broken(result):
    assert row(result, "steady").verdict in (RowVerdict.SAME, RowVerdict.UNCLEAR, RowVerdict.FASTER)


def test_a_slower_row_was_measured_again_and_says_how_much(result):
    slowed = row(result, "slowed")
    assert slowed.passes == 4
    assert slowed.ratio is not None
    assert slowed.ratio.low > 1.5
    assert "when measured again" in slowed.reason
    assert slowed.command.startswith("dsabench gate --op topk_select --impl slowed")


def test_reasons_name_what_happened(result):
    assert "SIGSEGV" in row(result, "crashes").reason
    assert "nothing was written" in row(result, "wrong").reason
    assert "both sides" in row(result, "hopeless").reason


def test_the_gate_is_regressed_worst_first(result):
    assert result.verdict is Verdict.REGRESSED
    assert result.exit_code == 1
    assert {result.rows[0].verdict, result.rows[2].verdict} == {RowVerdict.SLOWER, RowVerdict.BROKEN}
    assert result.device is not None


def test_kernels_that_do_not_fit_are_no_regression(tmp_path):
    package = tmp_path / "other" / "dsabench" / "kernels"
    shutil.copytree(HERE / "dsabench" / "kernels", package, ignore=shutil.ignore_patterns("__pycache__"))
    (package / "op.py").unlink()
    other = working_tree(tmp_path / "other")
    with pytest.raises(TreeError, match=r"do not run under this dsabench: .*dsabench\.kernels\.op"):
        gate_trees(gate(tmp_path, baseline=other, plugins=()), tmp_path)


def test_a_plugin_that_one_tree_lacks_is_said_before_anything_starts(tmp_path):
    both = gate(tmp_path)
    (both.baseline.folder / "mine.py").unlink()
    with pytest.raises(TreeError, match="baseline has no plugin"):
        gate_trees(both, tmp_path)


def test_a_budget_that_is_over_measures_nothing_and_passes_nothing(tmp_path):
    result = gate_trees(gate(tmp_path, workloads=(TOPK,), impls=("steady",), deadline=time.monotonic()), tmp_path)
    assert result.verdict is Verdict.INVALID
    assert "budget" in result.rows[0].reason


def test_other_inputs_are_not_compared(tmp_path):
    package = tmp_path / "other" / "dsabench" / "kernels"
    shutil.copytree(HERE / "dsabench" / "kernels", package, ignore=shutil.ignore_patterns("__pycache__"))
    workload = package / "workload.py"
    text = workload.read_text()
    assert "self.seed, torch.device" in text
    workload.write_text(text.replace("self.seed, torch.device", "self.seed + 1, torch.device"))
    other = working_tree(tmp_path / "other")
    asked = gate(tmp_path, workloads=(TOPK,), impls=("torch",), plugins=(), passes=2)
    result = gate_trees(replace(asked, baseline=other, candidate=working_tree(HERE)), tmp_path)
    assert result.rows[0].verdict is RowVerdict.INVALID
    assert "other inputs" in result.rows[0].reason
