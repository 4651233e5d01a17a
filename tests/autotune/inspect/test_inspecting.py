"""Kernels compiled for real: each shows one thing in its machine code; each fault costs its own config only."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import pytest

from dsabench.autotune.inspect.arch import get_arch
from dsabench.autotune.inspect.cache import FactCache
from dsabench.autotune.inspect.grid import Candidate, GridError, candidates
from dsabench.autotune.inspect.inspecting import in_order, inspect_configs, mark_same_code
from dsabench.autotune.inspect.pool import Limits, Pool, PoolError
from dsabench.autotune.inspect.summary import summaries
from dsabench.autotune.inspect.toolchain import find_toolchain
from dsabench.bench.inspection_records import Flag, Inspection, Outcome
from dsabench.bench.suites import load_suite
from dsabench.kernels.op import UnknownNameError
from dsabench.kernels.registry import load_plugin, op_names
from dsabench.kernels.workload import Workload

PLUGIN = str(Path(__file__).with_name("kernels_plugin.py"))
ARCH = get_arch("sm_90a")
WORKLOAD = Workload.of("topk_select", {})
LIMITS = Limits(seconds=60.0, memory_bytes=2**30)


def chosen(impl: str, configs: Sequence[dict[str, str]] = ()) -> list[Candidate]:
    load_plugin(PLUGIN)
    return candidates([WORKLOAD], [impl], configs)


def run(
    listed: list[Candidate], folder: Path | None = None, limits: Limits = LIMITS, workers: int = 1
) -> list[Inspection]:
    """Each worker imports torch and Triton for 2.5 s."""
    toolchain = find_toolchain()
    cache = FactCache(folder, ARCH, toolchain)
    each = inspect_configs(listed, ARCH, toolchain, cache, workers, plugins=(PLUGIN,), limits=limits)
    return mark_same_code(in_order(list(each), listed))


@pytest.fixture(scope="module")
def cache_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("facts")


@pytest.fixture(scope="module")
def kinds(cache_folder: Path) -> dict[str, Inspection]:
    assert os.environ["TRITON_INTERPRET"] == "1"  # and still the workers compile
    return {str(i.config["KIND"]): i for i in run(chosen("kinds"), cache_folder, workers=2)}


def test_a_plain_product(kinds: dict[str, Inspection]) -> None:
    found = kinds["bf16"]
    assert found.outcome == Outcome.COMPILED
    assert found.is_default
    assert found.can_launch is True
    assert found.prune_reason is None
    (launch,) = found.launches
    products = launch.code.products
    assert products is not None
    assert products.in_loop
    assert products.useful_flops == products.issued_flops == 2 * 64 * 128 * 64
    assert found.shared_bytes == 2 * (64 + 128) * 64 * 2
    assert found.sass is not None
    assert found.sass["HGMMA"] > 0
    assert found.sass["QGMMA"] == found.sass["HMMA"] == found.sass["LDL"] == found.spill_bytes == 0
    assert found.compile_s is not None
    assert found.compile_s > 0


@pytest.mark.parametrize(
    ("kind", "flags"),
    [
        ("bf16", set()),
        ("repeated", {Flag.REPEATED}),
        ("spilling", {Flag.SPILLS_IN_LOOP, Flag.SERIALIZED}),
        ("large", {Flag.CANNOT_LAUNCH}),
        ("fp8", set()),
        ("fp8_fell_back", {Flag.FP8_FELL_BACK}),
        ("mma_sync", {Flag.MMA_SYNC}),
        ("grid_too_large", {Flag.CANNOT_LAUNCH}),
        ("copy", set()),
    ],
)
def test_flags(kinds: dict[str, Inspection], kind: str, flags: set[Flag]) -> None:
    assert set(kinds[kind].flags) - {Flag.ONE_BLOCK} == flags


def test_repeated_work_is_a_number(kinds: dict[str, Inspection]) -> None:
    fraction = kinds["repeated"].useful_fraction
    assert fraction is not None
    assert fraction == pytest.approx(2 / 3)
    assert kinds["repeated"].prune_reason is None


def test_spills(kinds: dict[str, Inspection]) -> None:
    found = kinds["spilling"]
    assert found.spill_bytes is not None
    assert found.local_bytes is not None
    assert found.spill_bytes > 0
    assert found.local_bytes > 0
    assert found.registers == 255
    loop = found.launches[0].code.loop
    assert loop is not None
    assert loop.sass["LDL"] + loop.sass["STL"] > 0
    assert found.prune_reason == "spills in the main loop, wgmma serialized"


def test_what_cannot_launch_says_why(kinds: dict[str, Inspection]) -> None:
    assert kinds["large"].shared_bytes == 4 * (128 + 256) * 128 * 2
    assert kinds["large"].blocks_per_sm == 0
    assert "384.0 KB of shared memory, a block has at most 227 KB" in kinds["large"].cannot_launch
    assert str(kinds["large"].prune_reason).startswith("cannot launch: product")
    assert "grid dimension y is 70000" in kinds["grid_too_large"].cannot_launch


def test_fp8_products(kinds: dict[str, Inspection]) -> None:
    sass = kinds["fp8"].sass
    assert sass is not None
    assert sass["QGMMA"] > 0
    assert "fell back" in str(kinds["fp8_fell_back"].prune_reason)


def test_same_code_is_named_once(kinds: dict[str, Inspection]) -> None:
    assert kinds["bf16"].same_code_as is None
    assert kinds["bf16_again"].same_code_as == {"KIND": "bf16"}
    assert kinds["two"].same_code_as is None  # one launch of two is the same
    (summary,) = summaries(list(kinds.values()))
    assert summary.configs == summary.compiled == len(kinds)
    assert summary.distinct == len(kinds) - 2
    assert summary.can_launch == len(kinds) - 2
    assert summary.default == "ok"


def test_several_launches_add_up(kinds: dict[str, Inspection]) -> None:
    two, product, copy = kinds["two"], kinds["bf16"].launches[0], kinds["copy"].launches[0]
    assert [launch.code.ptx for launch in two.launches] == [product.code.ptx, copy.code.ptx]
    assert [launch.grid for launch in two.launches] == [[1], [8]]
    assert two.registers == max(product.code.registers, copy.code.registers)
    assert two.sass is not None
    assert two.sass["STG"] == product.code.whole.sass["STG"] + copy.code.whole.sass["STG"]


class NoPool(Pool):
    def submit(self, job: object) -> None:
        pass

    def results(self):  # type: ignore[no-untyped-def]
        return iter(())


def test_facts_are_kept(kinds: dict[str, Inspection], cache_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The plans of plugins are made anew each time; the machine code is not."""
    again = run(chosen("kinds"), cache_folder)
    assert {str(i.config["KIND"]): i for i in again} == kinds
    for path in cache_folder.glob("code-*"):
        path.write_text(path.read_text()[:100])
    assert (
        run(chosen("kinds", [{"KIND": "copy"}]), cache_folder)[0].registers == kinds["copy"].registers
    )  # torn: a miss


def test_a_planned_and_compiled_config_needs_no_process(
    kinds: dict[str, Inspection], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (first,) = (Candidate(c.config, c.is_default, "a source") for c in chosen("kinds", [{"KIND": "copy"}]))
    (found,) = run([first], tmp_path)
    monkeypatch.setattr("dsabench.autotune.inspect.inspecting.Pool", NoPool)
    assert run([first], tmp_path) == [found]
    assert run([Candidate(first.config, first.is_default, "another")], tmp_path) == []


def test_faults_cost_their_own_config_only() -> None:
    found = {str(i.config["FAULT"]): i for i in run(chosen("faults"), limits=Limits(12.0, 2**30), workers=2)}
    outcomes = {fault: i.outcome for fault, i in found.items()}
    assert outcomes == {
        "none": Outcome.COMPILED,
        "sleeps": Outcome.TIMEOUT,
        "allocates": Outcome.OUT_OF_MEMORY,
        "killed": Outcome.CRASHED,
        "prints": Outcome.COMPILED,
        "raises": Outcome.COMPILE_ERROR,
        "bad_kernel": Outcome.COMPILE_ERROR,
        "exits": Outcome.CRASHED,
        "empty": Outcome.COMPILE_ERROR,
        "native_noise": Outcome.CRASHED,
    }
    for inspection in found.values():
        assert "\n" not in inspection.reason
        assert bool(inspection.reason) == (inspection.outcome != Outcome.COMPILED)
        assert len(inspection.output) <= 4000
    assert "SIGKILL" in found["killed"].reason
    assert "exit code 3" in found["exits"].reason
    assert "12 s" in found["sleeps"].reason
    assert found["raises"].reason == "RuntimeError: the plan is wrong"
    assert "power of 2" in found["bad_kernel"].reason
    assert "a native library's last words" in found["native_noise"].output
    assert str(found["sleeps"].prune_reason).startswith("does not compile")


def test_a_plugin_that_does_not_load_is_one_error(tmp_path: Path) -> None:
    broken = tmp_path / "broken.py"
    broken.write_text("raise RuntimeError('broken at import')")
    toolchain = find_toolchain()
    listed = chosen("kinds", [{"KIND": "copy"}])
    with pytest.raises(PoolError, match="broken at import"):
        list(inspect_configs(listed, ARCH, toolchain, FactCache(None, ARCH, toolchain), 1, (str(broken),)))


def test_progress_counts_every_config(cache_folder: Path, kinds: dict[str, Inspection]) -> None:
    seen: list[tuple[int, int]] = []
    toolchain = find_toolchain()
    listed = chosen("kinds", [{"KIND": "bf16"}, {"KIND": "two"}])
    cache = FactCache(cache_folder, ARCH, toolchain)
    on_progress = lambda done, of: seen.append((done, of))
    assert len(list(inspect_configs(listed, ARCH, toolchain, cache, 1, (PLUGIN,), LIMITS, on_progress))) == 2
    assert seen == [(1, 2), (2, 2)]


def test_what_is_not_in_the_space() -> None:
    load_plugin(PLUGIN)
    with pytest.raises(GridError, match="KIND = 'huge' is not one of"):
        chosen("kinds", [{"KIND": "huge"}])
    with pytest.raises(GridError, match="unknown tunable of topk_select/kinds 'KINDS'"):
        chosen("kinds", [{"KINDS": "bf16"}])
    with pytest.raises(GridError, match="implementation cpu of topk_select compiles no kernel per config"):
        candidates([WORKLOAD], ["cpu"])
    with pytest.raises(UnknownNameError, match=r"'kindss'.*did you mean 'kinds'"):
        candidates([WORKLOAD], ["kindss"])


def test_an_op_without_a_compiled_kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dsabench.autotune.inspect.grid.compiled_implementations", lambda op: [])
    with pytest.raises(
        GridError, match=r"op topk_select has no implementation that inspect can compile \(it has .*cpu"
    ):
        candidates([WORKLOAD])


def test_the_suite_covers_every_op() -> None:
    assert {w.op for w in load_suite("inspect").workloads} == set(op_names())
    for candidate in candidates(load_suite("inspect", ops=("indexer_logits",)).workloads):
        assert candidate.source  # built-in kernels are kept by their source
