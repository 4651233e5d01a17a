"""CUDA C++ kernels compiled for real: the same columns as Triton's, from NVRTC's cubins and log."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from dsabench.autotune.inspect.arch import get_arch
from dsabench.autotune.inspect.cache import FactCache
from dsabench.autotune.inspect.grid import Candidate, candidates
from dsabench.autotune.inspect.inspecting import in_order, inspect_configs, mark_same_code
from dsabench.autotune.inspect.pool import Limits
from dsabench.autotune.inspect.resources import kernel_log, read_ptxas_log
from dsabench.autotune.inspect.toolchain import find_toolchain
from dsabench.bench.inspection_records import Flag, Inspection, Outcome
from dsabench.kernels.cuda.cache import cached_cubin, kernel_key
from dsabench.kernels.registry import load_plugin
from dsabench.kernels.workload import Workload
from tests.autotune.inspect.test_inspecting import PLUGIN as TRITON_PLUGIN

PLUGIN = str(Path(__file__).with_name("cuda_plugin.py"))
ARCH = get_arch("sm_90a")
WORKLOAD = Workload.of("topk_select", {})
TRIP = 2 * 64 * 8 * 16


def chosen(configs: Sequence[dict[str, str]] = (), impls: Sequence[str] = ("cuda_kinds",)) -> list[Candidate]:
    for plugin in (PLUGIN, TRITON_PLUGIN):
        load_plugin(plugin)
    return candidates([WORKLOAD], impls, configs)


def inspect(
    listed: list[Candidate],
    left_out: list[tuple[Candidate, str]] | None = None,
    launch_cache: Path | None = None,
    plugins: tuple[str, ...] = (PLUGIN, TRITON_PLUGIN),
) -> list[Inspection]:
    toolchain = find_toolchain()
    each = inspect_configs(
        *(listed, ARCH, toolchain, FactCache(None, ARCH, toolchain), 1, plugins),
        limits=Limits(60.0, 2 * 2**30),
        launch_cache=launch_cache,
        on_left_out=lambda candidate, why: left_out.append((candidate, why)) if left_out is not None else None,
    )
    return mark_same_code(in_order(list(each), listed))


@pytest.fixture(scope="module")
def kinds() -> dict[str, Inspection]:
    return {str(i.config["KIND"]): i for i in inspect(chosen())}


@pytest.mark.parametrize(
    ("kind", "flags"),
    [
        ("product", set()),
        ("silent", set()),
        ("repeated", {Flag.REPEATED}),
        ("serialized", {Flag.SERIALIZED}),
        ("copy", set()),
        ("spilling", {Flag.SPILLS_IN_LOOP}),
        ("large", {Flag.CANNOT_LAUNCH}),
        ("too_many_threads", {Flag.CANNOT_LAUNCH}),
    ],
)
def test_flags(kinds: dict[str, Inspection], kind: str, flags: set[Flag]) -> None:
    assert kinds[kind].outcome == Outcome.COMPILED
    assert set(kinds[kind].flags) - {Flag.ONE_BLOCK} == flags


def test_a_launchs_columns(kinds: dict[str, Inspection]) -> None:
    (launch,) = kinds["copy"].launches
    assert (launch.code.kernel, launch.grid, launch.code.num_warps) == ("copy", [8], 2)
    assert launch.code.shared_bytes == kinds["copy"].shared_bytes == 64 * 16  # declared, not what the system reserves
    assert kinds["large"].shared_bytes == 64 * 16 + 226 * 1024 + 16
    assert launch.code.whole.sass["LDG"] == launch.code.whole.sass["STG"] == 1
    assert launch.blocks_per_sm == 32
    assert launch.code.products is None
    assert 0 < launch.code.registers < 64
    assert kinds["copy"].spill_bytes == 0


def test_a_product_that_its_author_states(kinds: dict[str, Inspection]) -> None:
    (code,) = (launch.code for launch in kinds["product"].launches)
    assert code.products is not None
    assert code.products.in_loop
    assert code.products.useful_flops == code.products.issued_flops == TRIP
    assert code.num_stages == 3
    assert code.whole.sass["HGMMA"] >= 1
    assert kinds["repeated"].useful_fraction == 0.5
    assert kinds["silent"].useful_fraction is None


def test_same_code_is_named_once(kinds: dict[str, Inspection]) -> None:
    assert kinds["product_again"].same_code_as == {"KIND": "product"}
    assert kinds["serialized"].same_code_as is None


def test_ptxas_warnings_come_with_the_kernel_they_name(kinds: dict[str, Inspection]) -> None:
    (code,) = (launch.code for launch in kinds["serialized"].launches)
    assert any("C7511" in loss or "serialized" in loss for loss in code.losses)
    assert kinds["serialized"].prune_reason == "wgmma serialized"
    assert kinds["copy"].launches[0].code.losses == []


def test_several_launches_of_one_file(kinds: dict[str, Inspection]) -> None:
    assert [launch.code.kernel for launch in kinds["two"].launches] == ["products", "copy"]
    assert [launch.grid for launch in kinds["two"].launches] == [[1], [3, 2]]
    assert kinds["spilling"].spill_bytes
    assert kinds["spilling"].local_bytes
    assert not kinds["two"].spill_bytes  # the spilling kernel stands in the same file


def test_what_is_wrong_is_one_line(kinds: dict[str, Inspection]) -> None:
    for kind, words in (
        ("broken", 'CudaCompileError: cuda_kinds.cu, line 12: identifier "SERIALIZED" is undefined'),
        ("arguments", "CudaCompileError: cuda_kinds.cu: copy takes parameters of 8, 8 bytes, the launch gives 8"),
    ):
        assert kinds[kind].outcome == Outcome.COMPILE_ERROR
        assert kinds[kind].reason == words
    assert "SERIALIZED" in kinds["broken"].output


def test_the_log_of_one_kernel_of_several() -> None:
    log = (
        "ptxas info    : (C7511) Potential Performance Loss: wgmma.mma_async instructions are serialized due to "
        "insufficient register resources for the wgmma pipeline in the function 'one'\n"
        "ptxas info    : 0 bytes gmem\n"
        "ptxas info    : Compiling entry function 'two' for 'sm_90a'\n"
        "ptxas         .     8 bytes stack frame, 24 bytes spill stores, 32 bytes spill loads\n"
        "ptxas info    : Compiling entry function 'one' for 'sm_90a'\n"
        "ptxas         .     0 bytes stack frame, 0 bytes spill stores, 0 bytes spill loads\n"
    )
    one, two = (read_ptxas_log(kernel_log(log, name)) for name in ("one", "two"))
    assert (one.spill_store_bytes, one.spill_load_bytes, one.serialized) == (0, 0, True)
    assert (two.spill_store_bytes, two.spill_load_bytes, two.serialized) == (24, 32, False)


def test_compiled_ahead_a_launch_finds_its_cubin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DSABENCH_CACHE_DIR", str(tmp_path))
    (candidate,) = chosen([{"KIND": "copy"}])
    inspect([candidate], launch_cache=tmp_path / "triton")
    from dsabench.kernels.registry import get_implementation

    plan = get_implementation("topk_select", "cuda_kinds").plan
    assert plan is not None
    (launch,) = plan(None, (), dict(candidate.config.config))
    path = cached_cubin(kernel_key(launch))
    assert path is not None
    before = path.stat().st_mtime_ns
    path.write_bytes(b"damaged")
    inspect([candidate], launch_cache=tmp_path / "triton")
    again = cached_cubin(kernel_key(launch))
    assert again == path
    assert again.stat().st_mtime_ns > before


HIDING = """
import sys
from dsabench.kernels.implementation import Implementation
from dsabench.kernels.registry import register
sys.modules |= dict.fromkeys(("cuda", "cuda.bindings", "cupy", "cupy.cuda"))
register(Implementation("topk_select", "hiding", "s", ("cpu",), (), lambda axes: {}, lambda *call: None))
"""
"""A plugin for the workers, which then find neither cuda-bindings nor CuPy."""


def test_without_nvrtc_triton_is_still_inspected(tmp_path: Path) -> None:
    hiding = tmp_path / "hiding.py"
    hiding.write_text(HIDING)
    left_out: list[tuple[Candidate, str]] = []
    listed = [*chosen([{"KIND": "copy"}]), *chosen([{"KIND": "copy"}], ["kinds"])]
    found = inspect(listed, left_out, plugins=(str(hiding), PLUGIN, TRITON_PLUGIN))
    assert [(i.impl, i.outcome) for i in found] == [("kinds", Outcome.COMPILED)]
    ((candidate, why),) = left_out
    assert candidate.config.impl == "cuda_kinds"
    assert why.startswith("NVRTC, the compiler of CUDA C++, is missing (neither cuda-bindings nor CuPy is installed)")
    assert "pip install 'dsabench[cuda13]'" in why
    assert "\n" not in why
