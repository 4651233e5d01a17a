"""The worker process of the inspector: compiles under limits of memory and file size, its output in a file of its own."""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from dsabench.autotune.inspect.arch import Arch
from dsabench.autotune.inspect.jobs import JobFailed, Ready
from dsabench.autotune.inspect.toolchain import Toolchain
from dsabench.bench.child_process import detach, die_with
from dsabench.bench.inspection_records import Outcome

FILE_BYTES = 256 * 2**20
"""No file a worker writes grows past this, its captured output included."""
OUTPUT_CHARACTERS = 4000
_EXHAUSTED = (
    *("out of memory", "bad_alloc", "memoryerror", "memory allocation fail", "cannot allocate memory"),
    "unable to obtain mapped memory",  # NVRTC
)


@dataclass(frozen=True)
class WorkerSetup:
    """log: the file that gets descriptors 1 and 2; memory_bytes: of private memory, for the worker and each tool it starts;
    launch_cache: the folder of Triton's that is to hold what was compiled, for launches; None: thrown away."""

    arch: Arch
    toolchain: Toolchain
    plugins: tuple[str, ...]
    log: str
    memory_bytes: int
    timeout_s: float
    launch_cache: Path | None = None


def main(jobs: Connection, lifeline: Connection, setup: WorkerSetup, parent: int) -> None:
    """The target of the spawned process, which finds TRITON_CACHE_DIR in its environment and no TRITON_INTERPRET."""
    detach(setup.log)
    die_with(parent, lifeline)
    _limit(setup.memory_bytes)
    with contextlib.suppress(EOFError, BrokenPipeError, ConnectionResetError):  # the parent hung up
        _serve(jobs, setup)


def _limit(memory_bytes: int) -> None:
    """RLIMIT_DATA and not RLIMIT_AS: a CUDA build of torch maps gigabytes of files that cost no memory."""
    import resource

    resource.setrlimit(resource.RLIMIT_DATA, (memory_bytes, memory_bytes))
    resource.setrlimit(resource.RLIMIT_FSIZE, (FILE_BYTES, FILE_BYTES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _serve(jobs: Connection, setup: WorkerSetup) -> None:
    try:
        from dsabench.autotune.inspect.compile import Compiler
        from dsabench.kernels.registry import load_plugin

        for plugin in setup.plugins:
            load_plugin(plugin)
        compiler = Compiler(setup.arch, setup.toolchain, setup.timeout_s, setup.launch_cache)
        jobs.send(Ready())
    except Exception as error:
        jobs.send(_failed(error, setup.log))
        return
    while True:
        job = jobs.recv()
        os.ftruncate(1, 0)
        try:
            result: Any = compiler.do(job)
        except Exception as error:
            sys.stdout.flush()
            result = _failed(error, setup.log)
        jobs.send(result)
        shutil.rmtree(os.environ["TRITON_CACHE_DIR"], ignore_errors=True)  # 1 MB a kernel, never read again


def _failed(error: Exception, log: str) -> JobFailed:
    output = output_end(log)
    outcome = (
        Outcome.OUT_OF_MEMORY if isinstance(error, MemoryError) or exhausted(str(error)) else Outcome.COMPILE_ERROR
    )
    return JobFailed(outcome, f"{type(error).__name__}: {_gist(error, output)}", output)


def _gist(error: Exception, output: str) -> str:
    """One line that says what is wrong."""
    lines = [" ".join(line.split()) for line in str(error).splitlines() if line.strip()] or ["no message"]
    if "PassManager::run failed" in lines[0]:  # says nothing; what is wrong was printed
        lines = [line for line in output.splitlines() if "error:" in line] or lines
    elif (
        type(error).__name__ == "CompilationError"
    ):  # "at 3:8:", an excerpt of the kernel, and at the end what is wrong
        lines = [f"{lines[0]} {lines[-1]}"]
    elif type(error).__name__ == "PTXASError":
        lines = [line for line in lines if line.startswith("ptxas")] or lines
    return lines[0][:300]


def output_end(log: str) -> str:
    """The last lines of a worker's output, at most OUTPUT_CHARACTERS."""
    try:
        with Path(log).open("rb") as file:
            file.seek(max(0, os.path.getsize(log) - 4 * OUTPUT_CHARACTERS))
            return file.read().decode(errors="replace").strip()[-OUTPUT_CHARACTERS:]
    except OSError:
        return ""


def exhausted(text: str) -> bool:
    """Whether a message says that memory ran out: Python, C++, LLVM and ptxas each have their words for it."""
    return any(words in text.lower() for words in _EXHAUSTED)
