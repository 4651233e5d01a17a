"""The tools that Triton ships are found; a missing or wrong one is one clear line."""

from __future__ import annotations

from pathlib import Path

import pytest

from dsabench.autotune.inspect import toolchain
from dsabench.autotune.inspect.toolchain import TOOLS, ToolchainError, find_toolchain
from dsabench.kernels.cuda.nvrtc import NvrtcMissingError


def test_all_are_there() -> None:
    found = find_toolchain()
    assert set(found.paths) == set(TOOLS)
    assert set(found.versions) == {"triton", "nvrtc", "tilelang", *TOOLS}
    assert all(Path(path).is_file() for path in found.paths.values())


def test_without_nvrtc_the_others_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing() -> str:
        raise NvrtcMissingError("no NVRTC")

    monkeypatch.setattr(toolchain, "nvrtc_version", missing)
    assert set(find_toolchain().versions) == {"triton", "tilelang", *TOOLS}


@pytest.mark.parametrize("tool", TOOLS)
def test_a_missing_one_is_named(tool: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(f"TRITON_{tool.upper()}_PATH", "/nowhere/tool")
    with pytest.raises(
        ToolchainError, match=f"{tool} not found at /nowhere/tool; correct or unset TRITON_{tool.upper()}"
    ):
        find_toolchain()


def test_one_that_does_not_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "ptxas"
    monkeypatch.setenv("TRITON_PTXAS_PATH", str(path))
    path.write_text("#!/bin/sh\nexit 1\n")
    with pytest.raises(ToolchainError, match=r"ptxas at .* does not run: .*ermission"):
        find_toolchain()
    path.chmod(0o755)
    with pytest.raises(ToolchainError, match=r"does not run: .*exit status 1"):
        find_toolchain()
    path.write_text("#!/bin/sh\necho I am no compiler\n")
    with pytest.raises(ToolchainError, match="is not NVIDIA's ptxas"):
        find_toolchain()


def test_a_wheel_without_tools(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Spec:
        submodule_search_locations = (str(tmp_path),)

    monkeypatch.setattr(toolchain.importlib.util, "find_spec", lambda name: Spec)
    with pytest.raises(
        ToolchainError, match=r"ptxas not found at .*; reinstall triton, or name one in TRITON_PTXAS_PATH"
    ):
        find_toolchain()
    monkeypatch.setattr(toolchain.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ToolchainError, match="Triton is not installed"):
        find_toolchain()
