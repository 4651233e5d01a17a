"""Which trials of a journal predictions are compared with, and what comes of it; the machine code is made by hand."""

from __future__ import annotations

from pathlib import Path

import pytest

from dsabench.autotune.predict.against import AgainstError, Selection, compare, select
from dsabench.autotune.predict.ranking import rank
from dsabench.bench.inspection_records import ConfigId, Inspection
from dsabench.bench.journal import Journal, read_journal
from dsabench.bench.records import Status, Trial
from tests.autotune.predict import gpu_journal
from tests.autotune.predict.gpu_journal import CLOCK_MHZ, WORKLOADS
from tests.autotune.predict.made import inspection, launch, span
from tests.reports.journals import JournalBuilder


def journal(folder: Path, timed: list[Trial]) -> Journal:
    return read_journal(gpu_journal.write(folder, timed))


def inspected(selection: Selection) -> dict[ConfigId, Inspection]:
    """The n-th config of all has n · 100 instructions in its loop."""
    found = {}
    for number, measured in enumerate(selection.measured, start=1):
        config = measured.candidate.config
        loop = span(100 * number, products=1, shared=4000, LDGSTS=4)
        found[config] = inspection(
            launch(loop, grid=(1000,), stages=2),
            op=config.op,
            impl=config.impl,
            axes=dict(config.axes),
            config=dict(config.config),
        )
    return found


def test_takes_what_passed_with_the_present_source(tmp_path: Path) -> None:
    first, *rest = gpu_journal.trials()
    others = [
        first.model_copy(update={"source": "0" * 12}),
        first.model_copy(update={"status": Status.INCORRECT, "timing": None, "reason": "wrong"}),
        first.model_copy(update={"impl": "torch", "config": {"TILE": 512}}),
        first.model_copy(update={"config": {"TILE": 512}}),
        first.model_copy(update={"workload": first.workload.model_copy(update={"key": "unknown"})}),
    ]
    selection = select(journal(tmp_path, [*others, first, *rest]))
    assert len(selection.measured) == 11
    assert selection.left_out == {
        "did not pass": 1,
        "of implementations that compile no kernel per config": 1,
        "of another version of the kernel's source": 1,
        "with other tunables than the kernel has": 1,
        "of workloads whose record is missing": 1,
    }
    assert selection.machine.clock_hz == CLOCK_MHZ * 1e6
    assert selection.machine.bandwidth == 3.0e12
    assert selection.machine.l2_rate(656) == 5e12
    assert selection.machine.product["fp8"] == 1500e12
    assert selection.measured[0].cost.product_dtype == "fp8"


def test_of_several_trials_the_one_of_most_effort_then_the_latest(tmp_path: Path) -> None:
    timed = gpu_journal.trials()
    config = timed[0].config
    cheap = gpu_journal.trial(20, WORKLOADS[0], config, 0.5, rung=2)
    again = gpu_journal.trial(21, WORKLOADS[0], config, 0.25)
    selection = select(journal(tmp_path, [cheap, *timed, again, cheap]))
    found = [
        m.seconds
        for m in selection.measured
        if dict(m.candidate.config.config) == config and m.workload == WORKLOADS[0]
    ]
    assert found == [0.25]
    assert selection.left_out == {"timed again with more effort or later": 3}


def test_ops_and_implementations_narrow(tmp_path: Path) -> None:
    made = journal(tmp_path, gpu_journal.trials())
    assert {m.workload.op for m in select(made, ops=("indexer_logits",)).measured} == {"indexer_logits"}
    with pytest.raises(AgainstError, match="has 0 configs"):
        select(made, impls=("cuda",))


def test_a_journal_of_a_cpu_or_of_too_little_is_refused(tmp_path: Path) -> None:
    cpu = read_journal(JournalBuilder(ops=("topk_select",)).write(tmp_path))
    with pytest.raises(AgainstError, match="was measured on a CPU"):
        select(cpu)
    two = journal(tmp_path / "two", gpu_journal.trials()[:2])
    with pytest.raises(AgainstError, match="has 2 configs to compare predictions with, fewer than 3"):
        select(two)
    old = [trial.model_copy(update={"source": "0" * 12}) for trial in gpu_journal.trials()]
    with pytest.raises(AgainstError, match="left out: 11 of another version of the kernel's source"):
        select(journal(tmp_path / "old", old))


def test_rankings_and_refit(tmp_path: Path) -> None:
    selection = select(journal(tmp_path, gpu_journal.trials()))
    found = compare(selection, inspected(selection))
    assert [(pair.workload, pair.impl, pair.shipped.configs) for pair in found.pairs] == [
        (WORKLOADS[0], "triton", 8),
        (WORKLOADS[1], "triton", 3),
    ]
    rows = found.configs[:8]
    assert found.pairs[0].shipped == rank([row.predicted_s for row in rows], [row.measured.seconds for row in rows])
    assert found.fit is not None
    assert found.fit.after <= found.fit.before
    assert len(found.fit.left_out) == 2
    assert all(row.refitted_s is not None for row in found.configs)
    assert len({row.predicted_s for row in found.configs}) > 5


def test_too_few_for_a_refit_are_still_ranked(tmp_path: Path) -> None:
    selection = select(journal(tmp_path, gpu_journal.trials((4, 0))))
    found = compare(selection, inspected(selection))
    assert found.fit is None
    assert found.no_fit == "4 configs are too few to refit constants; at least 8 are needed"
    assert found.pairs[0].refitted is None


def test_what_does_not_compile_is_counted(tmp_path: Path) -> None:
    selection = select(journal(tmp_path, gpu_journal.trials((4, 0))))
    inspections = inspected(selection)
    inspections.pop(selection.measured[0].candidate.config)
    assert compare(selection, inspections).left_out == {"do not compile or cannot launch here": 1}
    with pytest.raises(AgainstError, match="only 0 of the journal's configs compile here"):
        compare(selection, {})
