"""`dsabench doctor --measure` as a user runs it, and what its exit code says."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from dsabench.bench.selfcheck import SelfCheck
from dsabench.cli import doctor as doctor_module
from dsabench.cli.app import run

CHECKS = ["spin 0.2 ms", "spin 1 ms", "spin 10 ms", "flush", "rotation", "random against zeros", "same against same"]


def check(verdict: str, unit: str = "s") -> SelfCheck:
    return SelfCheck(
        name="spin [1] ms",
        expected="1 ms",
        measured=2e-3,
        low=2e-3,
        high=2e-3,
        unit=unit,  # type: ignore[arg-type]
        verdict=verdict,  # type: ignore[arg-type]
        text="timed as 2 ms",
    )


@pytest.mark.parametrize(
    ("found", "code"),
    [(check("ok"), 0), (check("cannot tell"), 0), (check("off"), 1), (check("off", "ratio"), 0)],
)
def test_the_exit_code_says_whether_a_spin_is_off(
    found: SelfCheck, code: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(doctor_module, "_measured", lambda device, allow_busy: ("a device", [found]))
    assert run(["doctor", "--measure"]) == code
    text = capsys.readouterr().out
    assert "measuring on a device" in text
    assert "spin [1] ms" in text
    assert found.verdict in text


def test_without_measure_nothing_is_measured(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse() -> None:
        raise AssertionError

    monkeypatch.setattr(doctor_module, "_measured", refuse)
    assert run(["doctor", "--json"]) == 0
    assert "measuring" not in json.loads(capsys.readouterr().out)


def test_doctor_measures_this_machine() -> None:
    environment = {name: value for name, value in os.environ.items() if name != "TRITON_INTERPRET"}
    done = subprocess.run(
        [sys.executable, "-c", "from dsabench.cli.app import main; main()", "doctor", "--measure", "--json"],
        capture_output=True,
        text=True,
        env=environment,
    )
    document = json.loads(done.stdout)
    assert document["measured_on"]
    checks = document["measuring"]
    assert [each["name"] for each in checks] == CHECKS
    for each in checks:
        assert each["verdict"] in ("ok", "off", "cannot tell")
        assert each["low"] <= each["measured"] <= each["high"]
    assert done.returncode == any(each["verdict"] == "off" and each["unit"] == "s" for each in checks), done.stderr
