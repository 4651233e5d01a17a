"""Compiles the configs of a run ahead of their trials, in a process of its own, and says which a device need not see.

Only for implementations with a `plan` (kernels that are compiled per config). The child inspects one config after another,
those of the first pairs first, while the worker measures; a trial waits for the verdict on its own config. What was compiled
stands in the cache that a worker with `bench.gpu.compile_cache.compile_environment` loads kernels from.
"""

from __future__ import annotations

import contextlib
import json
import os
import pickle
import subprocess
import sys
import threading
from collections.abc import Sequence
from types import TracebackType

from dsabench.autotune.inspect.grid import Candidate, candidate_of
from dsabench.autotune.plan import Pair
from dsabench.bench.gpu.compile_cache import compile_environment
from dsabench.bench.inspection_records import Inspection
from dsabench.kernels.implementation import Config, Implementation
from dsabench.kernels.workload import Workload

WAIT_S = 180.0
"""A compile is cut off after 120 s; one whose verdict is later still is tried without it."""


class CompileAhead:
    """Use as a context manager. What is found is kept by config; a child that fails costs the pruning, not the run."""

    def __init__(self, pairs: Sequence[Pair], plugins: tuple[str, ...] = ()) -> None:
        self._candidates = [candidate for pair in pairs for candidate in _configs(pair)]
        self._plugins = plugins
        self._place = {candidate.config: n for n, candidate in enumerate(self._candidates)}
        self._found: dict[int, Inspection | None] = {}  # None: nothing here compiles it
        self._changed = threading.Condition()
        self._ended = not self._candidates
        self._child: subprocess.Popen[bytes] | None = None
        self.fault = ""
        """why nothing more will be pruned; "" while all is well"""

    def __enter__(self) -> CompileAhead:
        if self._candidates:
            self._child = subprocess.Popen(
                [sys.executable, "-m", "dsabench.autotune.ahead_main"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env=os.environ | compile_environment(),
                start_new_session=True,  # the user's Ctrl-C is this process's business
            )
            threading.Thread(target=self._read, args=(self._child,), name="compile ahead", daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        child, self._child = self._child, None
        if child is not None:
            child.kill()  # its workers notice that their parent is gone
            child.wait()

    def _read(self, child: subprocess.Popen[bytes]) -> None:
        assert child.stdin is not None
        assert child.stdout is not None
        fault = ""
        try:
            with contextlib.suppress(BrokenPipeError):  # a child that died at once: its lines are missing below
                pickle.dump((self._candidates, self._plugins), child.stdin)
                child.stdin.flush()  # left open: its end tells the child that nobody listens any more
            for line in child.stdout:
                message = json.loads(line)
                if "fault" in message:
                    fault = message["fault"]
                    continue
                with self._changed:
                    told = message["inspection"]
                    self._found[message["candidate"]] = Inspection.model_validate(told) if told else None
                    self._changed.notify_all()
        except (OSError, ValueError) as error:
            fault = f"{type(error).__name__}: {error}"
        with self._changed:
            self._ended = True
            if len(self._found) < len(self._candidates) and self._child is not None:
                self.fault = fault or "the compiling process ended early"
            self._changed.notify_all()

    def reason(self, workload: Workload, implementation: Implementation, config: Config) -> str | None:
        """Why this config need not be tried; None when it should be, or nothing is known of it. Waits for a verdict that is
        on its way."""
        place = self._place_of(workload, implementation, config)
        if place is None:
            return None
        with self._changed:
            self._changed.wait_for(lambda: self._ended or place in self._found, WAIT_S)
            found = self._found.get(place)
        return found.prune_reason if found else None

    def inspections(
        self, workload: Workload, implementation: Implementation, configs: Sequence[Config], wait_s: float
    ) -> list[Inspection | None]:
        """What is known of each config's machine code once all are compiled or `wait_s` seconds have passed; None where nothing
        is."""
        places = [self._place_of(workload, implementation, config) for config in configs]
        awaited = {place for place in places if place is not None}
        with self._changed:
            self._changed.wait_for(lambda: self._ended or awaited <= self._found.keys(), wait_s)
            return [None if place is None else self._found.get(place) for place in places]

    def _place_of(self, workload: Workload, implementation: Implementation, config: Config) -> int | None:
        if implementation.plan is None:
            return None
        return self._place.get(candidate_of(workload, implementation, config).config)


def _configs(pair: Pair) -> list[Candidate]:
    """The default, then the rest of what is legal; the default alone where nothing is searched."""
    implementation, axes = pair.implementation, pair.workload.axis_values
    if implementation.plan is None:
        return []
    default = implementation.default_config(axes)
    legal = [c for c in implementation.configs() if implementation.constraint(c, axes) is None] if pair.search else []
    return [candidate_of(pair.workload, implementation, c) for c in (default, *(c for c in legal if c != default))]
