from __future__ import annotations

import sys

import pytest

from dsabench.bench.gpu.nvml import Sensor, open_sensor
from tests.bench.gpu.fake_nvml import FakeNvml


@pytest.fixture
def nvml(monkeypatch: pytest.MonkeyPatch) -> FakeNvml:
    """What `import pynvml` gives."""
    fake = FakeNvml()
    monkeypatch.setitem(sys.modules, "pynvml", fake)  # type: ignore[arg-type]
    return fake


@pytest.fixture
def sensor(nvml: FakeNvml) -> Sensor:
    opened = open_sensor("GPU-a")
    assert opened is not None
    return opened
