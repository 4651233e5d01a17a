"""The process that compiles ahead (see `autotune.ahead`): candidates come in pickled, verdicts go out as JSON lines."""

from __future__ import annotations

import json
import os
import pickle
import sys
import threading
from pathlib import Path
from typing import Any

NICENESS = 10
"""The worker that measures goes first: a late launch shows in its times, a late verdict only in the order of trials."""


def main() -> None:
    if hasattr(os, "nice"):
        os.nice(NICENESS)
    # Messages have the pipe to themselves: what a plugin prints at import must not stand between them.
    out = os.fdopen(os.dup(1), "w")
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)

    def say(message: dict[str, Any]) -> None:
        out.write(json.dumps(message) + "\n")
        out.flush()

    candidates, plugins = pickle.load(sys.stdin.buffer)
    threading.Thread(target=_leave_with_parent, daemon=True).start()
    from dsabench.autotune.inspect.arch import DEFAULT_ARCH, get_arch
    from dsabench.autotune.inspect.cache import FactCache, default_folder
    from dsabench.autotune.inspect.inspecting import inspect_configs
    from dsabench.autotune.inspect.pool import PoolError
    from dsabench.autotune.inspect.toolchain import ToolchainError, find_toolchain
    from dsabench.bench.gpu.compile_cache import cache_folder
    from dsabench.kernels.machine import usable_cpus
    from dsabench.kernels.registry import load_plugin

    for path in plugins:
        load_plugin(Path(path))
    place = {candidate.config: n for n, candidate in enumerate(candidates)}
    try:
        arch, toolchain = get_arch(DEFAULT_ARCH), find_toolchain()
        cache = FactCache(default_folder(), arch, toolchain)
        workers = max(1, usable_cpus() - 1)
        each = inspect_configs(
            *(candidates, arch, toolchain, cache, workers, plugins),
            launch_cache=cache_folder(),
            on_left_out=lambda candidate, _: say({"candidate": place[candidate.config], "inspection": None}),
        )
        for found in each:
            say({"candidate": place[found.id], "inspection": found.model_dump(mode="json")})
    except (ToolchainError, PoolError) as error:
        say({"fault": str(error)})


def _leave_with_parent() -> None:
    sys.stdin.buffer.read()
    os._exit(1)


if __name__ == "__main__":
    main()
