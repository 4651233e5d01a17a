"""Library calls on a GPU find the tables tuned for it: key, versions, look-up; torch.cuda answers as on an H100."""

from __future__ import annotations

import json
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from dsabench.autotune.table import table_entries
from dsabench.bench import provenance
from dsabench.bench.records import DeviceRecord, Header
from dsabench.kernels import dispatch, gpu_key, tuned_table
from dsabench.kernels.cuda.nvrtc import NvrtcMissingError
from dsabench.kernels.gpu_key import gpu_device_key
from dsabench.kernels.registry import get_implementation, get_op
from dsabench.kernels.source_hash import source_hash

KEY = "cuda-nvidia-h100-80gb-hbm3-132sm"
OP, IMPL = "topk_select", "torch"
AXES = get_op(OP).complete_axes({"rows": 1, "s_kv": 4096})


@pytest.mark.parametrize(
    ("name", "sms", "key"),
    [
        ("NVIDIA H100 80GB HBM3", 132, KEY),
        ("NVIDIA H200", 132, "cuda-nvidia-h200-132sm"),
        ("NVIDIA H100 80GB HBM3 MIG 1g.10gb", 16, "cuda-nvidia-h100-80gb-hbm3-mig-1g-10gb-16sm"),
    ],
)
def test_the_key_is_a_file_name_that_tells_chips_and_slices_apart(name: str, sms: int, key: str) -> None:
    assert gpu_device_key(name, sms) == key


@pytest.fixture
def h100(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """torch finds one H100 behind a driver of CUDA 13.0; the indices whose properties were asked for."""
    asked: list[int] = []

    def properties(index: int) -> SimpleNamespace:
        asked.append(index)
        return SimpleNamespace(name="NVIDIA H100 80GB HBM3", multi_processor_count=132)

    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "current_device", lambda: 0)
    monkeypatch.setattr(torch.cuda, "get_device_properties", properties)
    monkeypatch.setattr(tuned_table, "cuda_driver_version", lambda: "13.0")
    monkeypatch.setattr(provenance, "cuda_driver_version", lambda: "13.0")
    monkeypatch.setenv("DSABENCH_CACHE_DIR", str(tmp_path))
    monkeypatch.setattr(tuned_table, "_PACKAGED", tmp_path / "packaged")
    gpu_key._key_of.cache_clear()
    tuned_table.forget()
    yield asked
    gpu_key._key_of.cache_clear()
    tuned_table.forget()


def test_properties_are_asked_for_once(h100: list[int]) -> None:
    assert [dispatch.device_key(torch.device(d)) for d in ("cuda:0", "cuda", "cuda:0")] == [KEY] * 3
    assert h100 == [0]


def test_without_a_gpu_no_table_knows_the_device(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert dispatch.device_key(torch.device("cuda")) is None
    assert dispatch.device_key(torch.device("meta")) is None


def test_a_cpus_versions_are_those_it_always_had() -> None:
    assert tuned_table.keyed_versions("cpu-x") == {
        "torch": version("torch").split("+")[0],
        "numba": version("numba"),
    }


def header(versions: dict[str, str]) -> Header:
    device = DeviceRecord(
        type="cuda", key=KEY, name="NVIDIA H100 80GB HBM3", cores=132, isa=["sm_90"], memory_bytes=1, last_level_cache_bytes=1,
        threads=1, details={},
    )  # fmt: skip
    return Header(
        run_id="r", started="s", command="c", device=device, versions=versions, git_commit="g",
        sources={f"{OP}/{IMPL}": source_hash(OP, IMPL)}, suite="s", strategy="s", effort="quick", seed=0, budget_s=None,
        timing_policy={},
    )  # fmt: skip


def written(versions: dict[str, str]) -> dict[str, Any]:
    """The entry that a run with these versions in its header leaves."""
    config = dict(get_implementation(OP, IMPL).default_config(AXES))
    candidate = SimpleNamespace(config=config, median_s=1e-5, low_s=1e-5, high_s=1e-5, roofline_fraction=0.5)
    won = SimpleNamespace(winner=0, default=0, ties=[], speedup_over_default=None, speedup_over_torch=None)
    comparison: Any = SimpleNamespace(
        workload=SimpleNamespace(op=OP, axes=AXES), candidates=[candidate], winners={IMPL: won}, started="now"
    )
    (entry,) = table_entries(header(versions), [comparison])
    return entry


def found(entry: dict[str, Any]) -> bool:
    path = tuned_table.user_table_path(KEY)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"schema": 1, "entries": [entry]}))
    tuned_table.forget()
    return tuned_table.nearest_config(KEY, OP, IMPL, AXES) is not None


def test_what_a_run_writes_a_call_finds(h100: list[int]) -> None:
    entry = written(provenance.package_versions("cuda"))
    assert entry["versions"] == {
        "torch": version("torch").split("+")[0],
        "triton": version("triton"),
        "cuda_driver": "13.0",
    }
    assert found(entry)


@pytest.mark.parametrize(
    "other",
    [{"cuda_driver": "12.9"}, {"triton": "3.5.0"}, {"torch": "2.10.0"}],
    ids=["driver", "triton", "torch"],
)
def test_another_driver_or_compiler_voids_an_entry(h100: list[int], other: dict[str, str]) -> None:
    assert not found(written(provenance.package_versions("cuda") | other))


def test_what_compiles_cuda_cpp_counts_for_what_it_compiles(h100: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tuned_table, "nvrtc_version", lambda: "13.0.88")
    versions = {"torch": "2.11.0", "triton": "3.6.0", "cuda_driver": "13.0", "nvrtc": "13.0.88", "tilelang": "0.1.15"}
    of = {
        impl: set(tuned_table.entry_versions(KEY, versions, impl)) for impl in ("torch", "triton", "cuda", "tilelang")
    }
    assert of["torch"] == of["triton"] == {"torch", "triton", "cuda_driver"}
    assert of["cuda"] == of["tilelang"] == set(versions)
    assert set(tuned_table.entry_versions(KEY, versions)) == set(versions)  # whose run it was is not known
    assert tuned_table.keyed_versions(KEY, "cuda")["nvrtc"] == "13.0.88"
    assert "nvrtc" not in tuned_table.keyed_versions(KEY, "triton")


def test_a_run_on_a_gpu_names_the_nvrtc_that_is_found(h100: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(provenance, "nvrtc_version", lambda: "13.0.88")
    assert provenance.package_versions("cuda")["nvrtc"] == "13.0.88"
    assert "nvrtc" not in provenance.package_versions("cpu")

    def missing() -> str:
        raise NvrtcMissingError("no NVRTC")

    monkeypatch.setattr(provenance, "nvrtc_version", missing)
    assert "nvrtc" not in provenance.package_versions("cuda")


def test_versions_of_a_cpu_run_void_an_entry_of_a_gpu(h100: list[int]) -> None:
    assert "cuda_driver" not in provenance.package_versions("cpu")
    assert not found(written(provenance.package_versions("cpu")))
