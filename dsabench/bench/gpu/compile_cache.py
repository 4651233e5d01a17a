"""Triton's cache, shared by the processes that compile ahead and the worker that launches: a kernel is compiled once.

Triton 3.6 and 3.7 look a kernel up by the SHA-256 of (`triton.runtime.cache.get_cache_key`):

- Triton's own files: version, Python sources of compiler and language, `libtriton.so`, so nothing is shared between versions;
- the kernel: source text, first line, every function and global it uses; types and constants of its arguments; which of them
  are multiples of 16 (tensors: their address);
- the backend: `ptxas --version` and the architecture, 90 for sm_90 and sm_90a alike;
- the options: warps, stages, `debug`, fp fusion, the libdevice file … as a launch completes them;
- some environment variables, as true or false: TRITON_DISABLE_LINE_INFO, DISABLE_PTXAS_OPT, TRITON_F32_DEFAULT, the dump flags.

TRITON_ALWAYS_COMPILE, TRITON_STORE_BINARY_ONLY, TRITON_DUMP_PTXAS_LOG and the folder are not in it. An entry names its files by
absolute paths: a folder of entries cannot be moved or copied, only written in place.
"""

from __future__ import annotations

import base64
import os
from pathlib import Path
from typing import Any

from dsabench.kernels.user_cache import user_cache_root

FOLDER_ENV = "TRITON_CACHE_DIR"


def cache_folder() -> Path:
    """TRITON_CACHE_DIR where the user set it, else `triton` in the user's dsabench cache."""
    named = os.environ.get(FOLDER_ENV)
    return (Path(named) if named else user_cache_root() / "triton").absolute()


def compile_environment() -> dict[str, str]:
    """What the process that compiles ahead and the worker that launches both need in their environment, before they import
    Triton, so that the second finds what the first compiled."""
    return {
        FOLDER_ENV: str(cache_folder()),
        # In the key; without it the PTX names the folder and the lines of the source.
        "TRITON_DISABLE_LINE_INFO": "1",
        # 9 to 44 KB a kernel instead of 84 KB to 1.2 MB: nobody reads the intermediate forms of what a worker compiles.
        "TRITON_STORE_BINARY_ONLY": "1",
    }


def folder_name(key: str) -> str:
    """The folder of Triton's cache key `key` (get_cache_key's text is hashed by `triton.compile`; this takes the hex digest)."""
    return base64.b32encode(bytes.fromhex(key)).decode().rstrip("=")


def is_compiled(folder: Path, entry: str, kernel: str) -> bool:
    """Whether a launch of `kernel` would load entry `entry` (see `folder_name`) from the cache at `folder`."""
    return (folder / entry / f"__grp__{kernel[:150]}.json").is_file()


def publish(compiled: Any, folder: Path) -> None:
    """Puts a triton.compiler.CompiledKernel, compiled with another cache folder, into the one at `folder`: machine code and
    metadata, all that a launch reads. Any number of processes may do so at once. Raises OSError where it cannot be written."""
    from triton import knobs
    from triton.runtime.cache import get_cache_manager

    with knobs.cache.scope():
        knobs.cache.dir = str(folder)
        manager = get_cache_manager(compiled.hash)
        name = compiled.src.name[:150]
        metadata = Path(compiled.metadata_group[f"{name}.json"]).read_text()
        group = {
            f"{name}.cubin": manager.put(compiled.asm["cubin"], f"{name}.cubin"),
            f"{name}.json": manager.put(metadata, f"{name}.json", binary=False),
        }
        manager.put_group(f"{name}.json", group)
