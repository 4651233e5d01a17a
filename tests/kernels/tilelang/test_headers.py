"""Where the headers of TileLang's kernels are found, and what is said where they are not."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from dsabench.kernels.tilelang import headers
from dsabench.kernels.tilelang.headers import TileLangMissingError, cuda_folders, cuda_version, include_folders


@pytest.fixture(autouse=True)
def nothing_kept(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name in ("CUDA_HOME", "CUDA_PATH"):
        monkeypatch.delenv(name, raising=False)
    include_folders.cache_clear()
    cuda_version.cache_clear()
    yield
    include_folders.cache_clear()
    cuda_version.cache_clear()


@pytest.fixture
def no_wheels(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine without NVIDIA's wheels and, as far as is looked, without /usr/local/cuda."""
    candidates = headers._candidates
    monkeypatch.setattr(headers.importlib.util, "find_spec", lambda name: None)
    monkeypatch.setattr(headers, "nvrtc_version", lambda: "13.0.88")
    monkeypatch.setattr(
        headers, "_candidates", lambda: [folder for folder in candidates() if not str(folder).startswith("/usr/local")]
    )


def toolkit(folder: Path, version: int = 13000, standard: str = "cccl/cuda/std/cstdint") -> Path:
    """A folder of headers, as a toolkit's."""
    for name in ("cuda_fp8.h", "crt/host_defines.h", standard):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("")
    (folder / "cuda.h").write_text(f"/* cuda.h */\n#define CUDA_VERSION {version}\n")
    return folder


def test_the_wheels_have_all() -> None:
    templates, cutlass, cuda, standard = include_folders()
    assert (templates / "tl_templates" / "cuda" / "common.h").is_file()
    assert (cutlass / "cutlass" / "cutlass.h").is_file()
    assert (cuda / "cuda_fp8.h").is_file()
    assert (standard / "cuda" / "std" / "cstdint").is_file()
    assert cuda_version().startswith("13.")


@pytest.mark.parametrize("place", ["include", "targets/x86_64-linux/include"])
@pytest.mark.parametrize("variable", ["CUDA_HOME", "CUDA_PATH"])
def test_a_toolkit_of_the_system(
    no_wheels: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, variable: str, place: str
) -> None:
    found = toolkit(tmp_path / place, 13010)
    monkeypatch.setenv(variable, str(tmp_path))
    assert cuda_folders() == (found, found / "cccl")
    assert cuda_version() == "13.1"


def test_libcupp_beside_the_other_headers(no_wheels: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    found = toolkit(tmp_path / "include", standard="cuda/std/cstdint")
    monkeypatch.setenv("CUDA_HOME", str(tmp_path))
    assert cuda_folders() == (found,)


@pytest.mark.parametrize(
    ("version", "standard", "why"),
    [
        (
            12080,
            "cccl/cuda/std/cstdint",
            r"are missing \(CUDA 12.8 in .*/include\): pip install 'dsabench\[tilelang\]'",
        ),
        (13000, "elsewhere", r"are missing \(no libcu\+\+ in .*/include\): pip install"),
    ],
)
def test_headers_that_do_not_fit_are_named(
    no_wheels: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, version: int, standard: str, why: str
) -> None:
    toolkit(tmp_path / "include", version, standard)
    monkeypatch.setenv("CUDA_HOME", str(tmp_path))
    with pytest.raises(TileLangMissingError, match=why):
        cuda_folders()


def test_no_headers_and_no_tilelang(no_wheels: None) -> None:
    missing = "^CUDA 13's headers, which TileLang's kernels include, are missing: pip install 'dsabench"
    with pytest.raises(TileLangMissingError, match=missing):
        cuda_folders()
    with pytest.raises(TileLangMissingError, match=r"^TileLang is not installed: pip install 'dsabench\[tilelang\]'$"):
        include_folders()
