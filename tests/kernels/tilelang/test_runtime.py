"""Where TileLang kernels can run, said in one line."""

from __future__ import annotations

import pytest

from dsabench.kernels.ledger import needs_hardware
from dsabench.kernels.tilelang import runtime
from dsabench.kernels.tilelang.implementation import tilelang_implementation
from tests.kernels.tilelang.launches import scale


@pytest.mark.parametrize("reason", [None, "needs an NVIDIA GPU"])
def test_where_cuda_cpp_runs(monkeypatch: pytest.MonkeyPatch, reason: str | None) -> None:
    monkeypatch.setattr(runtime.cuda_runtime, "unavailable", lambda: reason)
    assert runtime.unavailable() == reason


def test_no_tilelang(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runtime.cuda_runtime, "unavailable", lambda: None)
    monkeypatch.setattr(runtime.importlib.util, "find_spec", lambda name: None)
    assert runtime.unavailable() == "needs TileLang: pip install 'dsabench[tilelang]'"


def test_the_implementation_of_a_plan() -> None:
    plan = lambda inputs, outputs, config: [scale()]
    made = tilelang_implementation("topk_select", "a test's", (), lambda axes: {}, lambda config, axes: None, plan)
    assert (made.id, made.device_types, made.plan) == ("topk_select/tilelang", ("cuda",), plan)
    assert needs_hardware(made)
    assert made.unavailable() is not None
