"""Facts kept between runs: which launches a config plans, and what each launch's machine code is. One small file a fact, written
whole or not at all, so that any number of processes may share the folder."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from pydantic import TypeAdapter, ValidationError

from dsabench.autotune.inspect.arch import Arch
from dsabench.autotune.inspect.jobs import PlannedLaunch
from dsabench.autotune.inspect.toolchain import Toolchain
from dsabench.bench.inspection_records import CodeRecord, ConfigId
from dsabench.bench.whole_file import write_whole
from dsabench.kernels.source_hash import code_lines
from dsabench.kernels.user_cache import user_cache_root

_MAKERS = (
    *("compile", "cuda_compiler", "cycles", "disassemble", "facts", "products", "resources", "sass", "source"),
    *("tilelang_compiler", "traffic", "triton_compiler"),
)
"""Modules of this package that decide what a fact is: facts that other versions of them made are not these."""
_COMPILER_ENV = ("PTXAS_OPTIONS", "DISABLE_PTXAS_OPT", "TRITON_DEFAULT_FP_FUSION", "TRITON_F32_DEFAULT")
_planned = TypeAdapter(tuple[PlannedLaunch, ...])
_Fact = TypeVar("_Fact")


def default_folder() -> Path:
    """`inspect` in DSABENCH_CACHE_DIR, or in the platform's folder for caches."""
    return user_cache_root() / "inspect"


class FactCache:
    """folder None: remembers nothing. A file that cannot be read is a miss, one that cannot be written is not written."""

    def __init__(self, folder: Path | None, arch: Arch, toolchain: Toolchain) -> None:
        self._folder = folder
        environment = {name: os.environ[name] for name in _COMPILER_ENV if name in os.environ}
        self._common = [_makers_hash(), arch.name, sorted(toolchain.versions.items()), sorted(environment.items())]

    def plan(self, config: ConfigId, source: str) -> tuple[PlannedLaunch, ...] | None:
        """source: hash of the implementation's source; "" when it is not known, and nothing is kept then."""
        return self._read(self._plan_path(config, source), _planned.validate_json) if source else None

    def keep_plan(self, config: ConfigId, source: str, launches: tuple[PlannedLaunch, ...]) -> None:
        if source:
            self._write(self._plan_path(config, source), _planned.dump_json(launches))

    def code(self, key: str) -> CodeRecord | None:
        return self._read(self._code_path(key), CodeRecord.model_validate_json)

    def keep_code(self, key: str, code: CodeRecord) -> None:
        self._write(self._code_path(key), code.model_dump_json().encode())

    def _plan_path(self, config: ConfigId, source: str) -> str:
        return f"plan-{self._hash([config.op, config.impl, config.axes, config.config, source])}.json"

    def _code_path(self, key: str) -> str:
        return f"code-{self._hash([key])}.json"

    def _hash(self, what: list[object]) -> str:
        return hashlib.sha256(json.dumps([*self._common, *what]).encode()).hexdigest()[:24]

    def _read(self, name: str, parse: Callable[[bytes], _Fact]) -> _Fact | None:
        if self._folder is None:
            return None
        try:
            return parse((self._folder / name).read_bytes())
        except (OSError, ValidationError):
            return None

    def _write(self, name: str, data: bytes) -> None:
        if self._folder is None:
            return
        with contextlib.suppress(OSError):
            write_whole(self._folder / name, data)


@functools.cache
def _makers_hash() -> str:
    digest = hashlib.sha256()
    for name in _MAKERS:
        digest.update(code_lines(Path(__file__).with_name(f"{name}.py").read_text()).encode())
    return digest.hexdigest()
