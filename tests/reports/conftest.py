from __future__ import annotations

from dataclasses import dataclass

import pytest

from dsabench.reports.build import Built, build
from tests.reports.journals import JournalBuilder
from tests.reports.pages import Page

FAILING = frozenset({("sparse_mla_decode", "torch"), ("dense_mha_prefill", "cpu")})


@dataclass(frozen=True)
class Report:
    built: Built
    page: Page


@pytest.fixture(scope="session")
def full(tmp_path_factory: pytest.TempPathFactory) -> Report:
    """7 ops × 3 contexts × 2 implementations, two of them failing everywhere."""
    directory = tmp_path_factory.mktemp("full")
    JournalBuilder(failing=FAILING, skipped=("long/sparse_mla_decode 1m",)).write(directory)
    built = build([directory], directory / "out")
    return Report(built, Page(built.html))


@pytest.fixture
def small() -> JournalBuilder:
    """One op, one context: quick to draw."""
    return JournalBuilder(ops=("sparse_mla_decode",), contexts=(4096,))
