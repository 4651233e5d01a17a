"""TileLang programs lowered and compiled for real, in a worker: the same columns as Triton's and CUDA C++'s."""

from __future__ import annotations

from pathlib import Path

import pytest

from dsabench.autotune.inspect.arch import get_arch
from dsabench.autotune.inspect.cache import FactCache
from dsabench.autotune.inspect.grid import candidates
from dsabench.autotune.inspect.inspecting import inspect_configs
from dsabench.autotune.inspect.jobs import PlannedLaunch
from dsabench.autotune.inspect.languages import (
    TILELANG,
    CompilerMissingError,
    compiler_of,
    language_of,
    launches_at_once,
)
from dsabench.autotune.inspect.pool import Limits
from dsabench.autotune.inspect.toolchain import find_toolchain
from dsabench.autotune.inspect.worker import exhausted
from dsabench.bench.inspection_records import Flag, Inspection, Outcome
from dsabench.kernels.registry import get_implementation, load_plugin
from dsabench.kernels.tilelang import cache as cache_module
from dsabench.kernels.tilelang import compile
from dsabench.kernels.tilelang.cache import cached_program, kernel_key
from dsabench.kernels.tilelang.headers import TileLangMissingError
from dsabench.kernels.workload import Workload

PLUGIN = str(Path(__file__).with_name("tilelang_plugin.py"))
ARCH = get_arch("sm_90a")
WORKLOAD = Workload.of("topk_select", {})


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
def kinds(cache: Path) -> dict[str, Inspection]:
    """All kinds, published for launches into `cache`."""
    load_plugin(PLUGIN)
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("DSABENCH_CACHE_DIR", str(cache))
        toolchain = find_toolchain()
        listed = candidates([WORKLOAD], ["tilelang_kinds"])
        facts, limits = FactCache(None, ARCH, toolchain), Limits(120.0, 2 * 2**30)
        each = inspect_configs(
            listed, ARCH, toolchain, facts, 1, (PLUGIN,), limits=limits, launch_cache=cache / "triton"
        )
        found = list(each)
    return {str(inspection.config["KIND"]): inspection for inspection in found}


def test_a_launchs_columns(kinds: dict[str, Inspection]) -> None:
    copy = kinds["copy"]
    assert (copy.outcome, copy.flags) == (Outcome.COMPILED, [])
    (launch,) = copy.launches
    assert (launch.code.kernel, launch.grid, launch.code.num_warps) == ("copy_rows_kernel", [8], 4)
    assert launch.code.whole.sass["LDG"] == launch.code.whole.sass["STG"] == 16  # float4, 128 rows of 16 by 128 threads
    assert launch.code.products is None
    assert 0 < launch.code.registers < 128
    assert copy.spill_bytes == copy.shared_bytes == 0


def test_products_run_on_tensor_cores(kinds: dict[str, Inspection]) -> None:
    product = kinds["product"]
    (launch,) = product.launches
    assert set(product.flags) <= {Flag.ONE_BLOCK}
    assert launch.code.whole.sass["HGMMA"] > 0 == launch.code.whole.sass["HMMA"]
    assert launch.code.num_stages == 2
    assert product.shared_bytes == 2 * 2 * 64 * 64 * 2  # stages, operands, bf16


def test_a_call_may_have_kernels_of_both_languages(kinds: dict[str, Inspection]) -> None:
    assert [launch.code.kernel for launch in kinds["both"].launches] == ["copy_rows_kernel", "copy"]


@pytest.mark.parametrize(
    ("kind", "why"),
    [
        ("grid", "the program launches (16, 1, 1) blocks, the plan (8)"),
        ("descriptors", "its kernel takes TMA descriptors, which a launch cannot pass"),
    ],
)
def test_what_cannot_be_launched_is_said(kinds: dict[str, Inspection], kind: str, why: str) -> None:
    assert kinds[kind].outcome == Outcome.COMPILE_ERROR
    assert why in kinds[kind].reason


def test_what_was_inspected_is_what_a_launch_loads(
    kinds: dict[str, Inspection], cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DSABENCH_CACHE_DIR", str(cache))
    plan = get_implementation("topk_select", "tilelang_kinds").plan
    assert plan is not None
    (launch,) = plan(None, (), {"KIND": "copy"})
    toolchain = find_toolchain()
    planned = compiler_of(language_of(launch), ARCH, toolchain, 60.0, None).planned(launch)
    assert isinstance(planned, PlannedLaunch)
    assert (planned.language, planned.entry, planned.grid) == (TILELANG, kernel_key(launch), (8,))
    assert launches_at_once(planned, cache / "triton")
    program = cached_program(planned.entry)
    assert program is not None
    assert program.facts.entry == "copy_rows_kernel"
    assert program.cubin.is_relative_to(cache)
    (other,) = plan(None, (), {"KIND": "grid"})
    assert cached_program(kernel_key(other)) is None  # it did not compile


def test_without_tilelang_or_headers_it_is_said_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    load_plugin(PLUGIN)
    plan = get_implementation("topk_select", "tilelang_kinds").plan
    assert plan is not None
    (launch,) = plan(None, (), {"KIND": "copy"})
    compiler = compiler_of(TILELANG, ARCH, find_toolchain(), 60.0, None)

    def missing() -> None:
        raise TileLangMissingError("TileLang is not installed: pip install it")

    monkeypatch.setattr(compile, "include_folders", missing)
    with pytest.raises(CompilerMissingError, match=r"^TileLang is not installed: pip install it$"):
        compiler.compile(launch, publish=False)
    monkeypatch.setattr(cache_module, "tilelang_version", missing)
    with pytest.raises(CompilerMissingError, match=r"^TileLang is not installed: pip install it$"):
        compiler.planned(launch)


def test_nvrtcs_word_for_memory_that_ran_out() -> None:
    assert exhausted('wgmma.h, line 45: unable to obtain mapped memory"')
