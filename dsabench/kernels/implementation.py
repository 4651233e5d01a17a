"""What an implementation is: one way to compute an op, with the parameters that can be tuned."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from dsabench.kernels.op import Axes, Outputs, UnknownNameError

ConfigValue = int | str | bool
Config = Mapping[str, ConfigValue]


@dataclass(frozen=True)
class Tunable:
    """One parameter of an implementation. Names are capitals for tile constants (BLOCK_KV), as the field writes them.

    recompiles: another choice is other machine code (seconds of compiling), not just another argument; a search that is
    short of time leaves such choices for last.
    """

    name: str
    choices: tuple[ConfigValue, ...]
    meaning: str
    recompiles: bool = False


def _no_constraint(config: Config, axes: Axes) -> str | None:
    return None


def _always_available() -> str | None:
    return None


def _never() -> bool:
    return False


@dataclass(frozen=True)
class Implementation:
    """One way to compute an op. Each lives in `kernels/<op>/impl_<name>.py` as `IMPLEMENTATION`, or in a user's plugin.

    run(inputs, outputs, config)   computes into preallocated outputs; everything a call needs is inside (packing, splits,
                                   merge), so that it is timed
    default_config(axes)           the stated default for these axes on this machine
    constraint(config, axes)       None when the config may run; else why it cannot or need not (the trial is PRUNED)
    unavailable()                  None when it can run on this machine; else why not and what would be needed
    describe(config)               what really runs, for the journal (instruction set, products, threads)
    emulated()                     True when it can run here only in an emulation of its device: right, to be stepped through
                                   and verified, but never timed and never a default choice
    plan(inputs, outputs, config)  for kernels that are compiled per config: the launches `run` would do, as data; inputs and
                                   outputs may be on the meta device (see kernels.triton.launch)
    """

    op: str
    name: str
    summary: str
    device_types: tuple[str, ...]
    tunables: tuple[Tunable, ...]
    default_config: Callable[[Axes], dict[str, ConfigValue]]
    run: Callable[[Any, Outputs, Config], None]
    constraint: Callable[[Config, Axes], str | None] = _no_constraint
    unavailable: Callable[[], str | None] = _always_available
    describe: Callable[[Config], str] = lambda config: ""
    emulated: Callable[[], bool] = _never
    plan: Callable[[Any, Outputs, Config], Sequence[Any]] | None = None

    @property
    def id(self) -> str:
        return f"{self.op}/{self.name}"

    def configs(self) -> Iterator[dict[str, ConfigValue]]:
        """Every point of the tunables' grid, legal or not, in a fixed order."""
        names = [t.name for t in self.tunables]
        for values in itertools.product(*(t.choices for t in self.tunables)):
            yield dict(zip(names, values, strict=True))

    def compiles_anew(self, config: Config, base: Config) -> int:
        """How many recompiling tunables differ between two full configs: 0 when they run the same machine code."""
        return sum(t.recompiles and config[t.name] != base[t.name] for t in self.tunables)

    def check_config(self, config: Config, axes: Axes) -> dict[str, ConfigValue]:
        """The full config: the given keys over the defaults. Raises ValueError on an unknown key, a value outside the
        tunable's choices, or a config that cannot run with these axes."""
        known = {t.name: t for t in self.tunables}
        for name, value in config.items():
            if name not in known:
                raise UnknownNameError(f"tunable of {self.id}", name, list(known))
            choices = known[name].choices
            if not any(value == c and isinstance(value, bool) == isinstance(c, bool) for c in choices):
                raise ValueError(f"config: {name} = {value!r} is not one of {list(choices)} ({self.id})")
        full = {**self.default_config(axes), **config}
        reason = self.constraint(full, axes)
        if reason:
            raise ValueError(f"config {format_config(full)} of {self.id} cannot run: {reason}")
        return full


def config_key(config: Config) -> str:
    """A canonical string of a config: equal configs give equal keys."""
    return json.dumps(dict(config), sort_keys=True, separators=(",", ":"))


def format_config(config: Config) -> str:
    return " ".join(f"{k}={v}" for k, v in config.items()) or "(no tunables)"
