from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from dsabench.reports.build import Built, build
from tests.reports.chromium import NAMES, Chromium, find_chromium
from tests.reports.dense_journals import CONTEXTS, DOES_NOT_FIT, DenseJournal
from tests.reports.gpu_journals import GpuJournal, gpu
from tests.reports.journals import JournalBuilder
from tests.reports.pages import Page

FAILING = frozenset({("sparse_mla_decode", "torch"), ("dense_mha_prefill", "cpu")})


needs_chromium = pytest.mark.skipif(find_chromium() is None, reason=f"no Chromium on the PATH ({', '.join(NAMES)})")


@dataclass(frozen=True)
class Report:
    built: Built
    page: Page


@pytest.fixture(scope="session")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chromium]:
    """One for all tests, for those marked `needs_chromium`."""
    binary = find_chromium()
    assert binary is not None
    with Chromium(binary, tmp_path_factory.mktemp("profile")) as chromium:
        yield chromium


def go(browser: Chromium, report: Report, sheet: str = "", width: int = 1280, **more: bool) -> None:
    """Loads the report at a sheet; from elsewhere, since a new fragment alone loads nothing."""
    browser.open("about:blank", width)
    url = report.built.html.as_uri()
    browser.open(f"{url}#{sheet}" if sheet else url, width, **more)
    assert [each.split("#")[0] for each in browser.requests] == [url]


@pytest.fixture(scope="session")
def full(tmp_path_factory: pytest.TempPathFactory) -> Report:
    """7 ops × 3 contexts × 2 implementations, two of them failing everywhere."""
    directory = tmp_path_factory.mktemp("full")
    JournalBuilder(failing=FAILING, skipped=("long/sparse_mla_decode 1m",)).write(directory)
    built = build([directory], directory / "out")
    return Report(built, Page(built.html))


@pytest.fixture(scope="session")
def compared(tmp_path_factory: pytest.TempPathFactory) -> Report:
    """Decode with a side that does not fit and a context that the budget cut off, prefill, and losses; nothing was tuned."""
    directory = tmp_path_factory.mktemp("compared")
    DenseJournal(
        asked=(*CONTEXTS, 262144),
        gaps={131072: {"dense": DOES_NOT_FIT, "eager": DOES_NOT_FIT}},
        end="budget",
        skipped=("decode at 256K: the budget ended",),
        command="dsabench compare --dense --gpu-hour-usd 3 --out runs/decode",
    ).write(directory / "decode")
    DenseJournal(
        phase="prefill",
        queries=64,
        structures=(),
        started="2026-03-02T10:00:00+00:00",
        ended="2026-03-02T10:03:20+00:00",
    ).write(directory / "prefill")
    built = build([directory / "decode", directory / "prefill"], directory / "out")
    return Report(built, Page(built.html))


@pytest.fixture(scope="session")
def gpu_report(tmp_path_factory: pytest.TempPathFactory) -> Report:
    """A tuning run and a comparison with dense of one GPU, in one report."""
    directory = tmp_path_factory.mktemp("gpu")
    GpuJournal().write(directory / "tune")
    DenseJournal(device=gpu(), contexts=(4096, 65536), structures=("needles",)).write(directory / "dense")
    built = build([directory / "tune", directory / "dense"], directory / "out")
    return Report(built, Page(built.html))


@pytest.fixture
def small() -> JournalBuilder:
    """One op, one context: quick to draw."""
    return JournalBuilder(ops=("sparse_mla_decode",), contexts=(4096,))
