"""How a user's own kernel joins: a decorator over the function that computes an op, or over the one that plans its launches.

    @dsabench.implementation("topk_select", devices="cpu", CHUNK=(1024, 4096))
    def mine(inputs, outputs, config): ...

Registers an Implementation (see `kernels.implementation`) and returns the function as it was, so that decorators can be stacked.
What is wrong with a declaration is refused where it stands, as PluginError.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import torch

from dsabench.kernels.cuda import runtime as cuda_runtime
from dsabench.kernels.cuda.source import CudaLaunch
from dsabench.kernels.implementation import Config, ConfigValue, Implementation, Tunable
from dsabench.kernels.op import Axes, Outputs, UnknownNameError
from dsabench.kernels.registry import PluginError, get_op, op_names, register
from dsabench.kernels.tilelang import runtime as tilelang_runtime
from dsabench.kernels.tilelang.launch import TileLangLaunch
from dsabench.kernels.triton import runtime
from dsabench.kernels.triton.launch import Launch, runner

DEVICES = ("cpu", "cuda")
Function = TypeVar("Function", bound=Callable[..., Any])
Default = Mapping[str, ConfigValue] | Callable[[Axes], Mapping[str, ConfigValue]]
Constraint = Callable[[Config, Axes], str | None]


class WrongOutputsError(Exception):
    """A kernel that returned results instead of writing them into the outputs it was given."""


def implementation(
    op: str,
    *,
    devices: str | Sequence[str],
    name: str | None = None,
    summary: str | None = None,
    default: Default | None = None,
    constraint: Constraint | None = None,
    describe: Callable[[Config], str] | None = None,
    **tunables: Sequence[ConfigValue],
) -> Callable[[Function], Function]:
    """Registers `function(inputs, outputs, config)`, which computes `op` into `outputs`, under its own name or `name`.

    devices     types of tensors it takes: "cpu", "cuda" or both
    tunables    by keyword: the choices, ints, strings or bools; the first is the default
    default     a dict, or a function of the axes, over that: the config that runs where nothing was tuned
    constraint  constraint(config, axes) -> None when the config may run, else why not
    summary     one line; else the first of the docstring
    describe    describe(config) -> what really runs, for the journal

    inputs: the op's `Inputs`; outputs: tensors to write all of, in the order of the contract; config: a full dict. Raises
    PluginError on an unknown op or device, a name that is taken, a tunable without choices, a default outside them, or a
    function that cannot be called so.
    """
    types = (devices,) if isinstance(devices, str) else tuple(devices)
    for device in types:
        if device not in DEVICES:
            raise PluginError(f"unknown device {device!r}; known: {', '.join(DEVICES)}")
    if not types:
        raise PluginError(f"devices must name at least one of {', '.join(DEVICES)}")

    declaration = _Declaration(op, name, summary, default, constraint, describe, tunables)

    def join(function: Function) -> Function:
        unavailable = _needs_gpu if types == ("cuda",) else _nothing
        register(declaration.of(function, run=_writing(op, function), device_types=types, unavailable=unavailable))
        return function

    return join


def triton_implementation(
    op: str,
    *,
    name: str | None = None,
    summary: str | None = None,
    default: Default | None = None,
    constraint: Constraint | None = None,
    describe: Callable[[Config], str] | None = None,
    **tunables: Sequence[ConfigValue],
) -> Callable[[Function], Function]:
    """Registers `function(inputs, outputs, config)`, which returns the launches of a call (`dsabench.Launch`, one or a list), as
    `implementation` does. It looks at shapes and scalars only, never at data.

    `dsabench inspect` then compiles every config for a GPU that is not here, `tune` prunes by what it finds, and `verify` steps
    through the kernel in Triton's interpreter.
    """

    declaration = _Declaration(op, name, summary, default, constraint, describe, tunables, recompiles=True)

    def join(function: Function) -> Function:
        plan = _planning(function, (Launch,))
        register(
            declaration.of(
                function,
                run=functools.wraps(function)(runner(plan)),
                device_types=runtime.device_types(),
                unavailable=runtime.unavailable,
                emulated=runtime.interpreting,
                plan=plan,
            )
        )
        return function

    return join


def cuda_implementation(
    op: str,
    *,
    name: str | None = None,
    summary: str | None = None,
    default: Default | None = None,
    constraint: Constraint | None = None,
    describe: Callable[[Config], str] | None = None,
    **tunables: Sequence[ConfigValue],
) -> Callable[[Function], Function]:
    """Registers `function(inputs, outputs, config)`, which returns the launches of a call (`dsabench.CudaLaunch`, one or a list) of
    CUDA C++ kernels, as `implementation` does. It looks at shapes and scalars only, never at data.

        FILE = Path(__file__).with_name("mine.cu")

        @dsabench.cuda_implementation("topk_select", THREADS=(256, 512))
        def mine(inputs, outputs, config):
            arguments = (inputs.logits, outputs[0], np.int32(inputs.k))
            source = dsabench.CudaSource(FILE, "select")
            return dsabench.CudaLaunch(source, (rows,), (config["THREADS"],), arguments, {"THREADS": config["THREADS"]})

    NVRTC compiles them for sm_90a, at the first launch on a GPU or ahead: `inspect` and `tune` do with them as with Triton's.
    Nothing interprets them: without a GPU they are compiled, not run.
    """
    declaration = _Declaration(op, name, summary, default, constraint, describe, tunables, recompiles=True)
    return _of_cuda_cpp(declaration, (CudaLaunch,), cuda_runtime.unavailable)


def tilelang_implementation(
    op: str,
    *,
    name: str | None = None,
    summary: str | None = None,
    default: Default | None = None,
    constraint: Constraint | None = None,
    describe: Callable[[Config], str] | None = None,
    **tunables: Sequence[ConfigValue],
) -> Callable[[Function], Function]:
    """As `cuda_implementation`, of TileLang programs: the launches are `dsabench.TileLangLaunch`, and `dsabench.CudaLaunch` where a
    call has kernels of both. The program stands in a Python file of its own beside this one, since that imports tilelang:

        FILE = Path(__file__).with_name("my_program.py")

        @dsabench.tilelang_implementation("topk_select", THREADS=(256, 512))
        def mine(inputs, outputs, config):
            arguments = {"logits": inputs.logits, "out": outputs[0], "rows": np.int32(rows)}
            source = dsabench.TileLangSource(FILE, "select")
            return dsabench.TileLangLaunch(source, (rows,), arguments, {"THREADS": config["THREADS"]})
    """
    declaration = _Declaration(op, name, summary, default, constraint, describe, tunables, recompiles=True)
    return _of_cuda_cpp(declaration, (TileLangLaunch, CudaLaunch), tilelang_runtime.unavailable)


def _of_cuda_cpp(
    declaration: _Declaration, launches: tuple[type, ...], unavailable: Callable[[], str | None]
) -> Callable[[Function], Function]:
    def join(function: Function) -> Function:
        plan = _planning(function, launches)
        run = functools.wraps(function)(runner(plan))
        register(declaration.of(function, run=run, device_types=("cuda",), unavailable=unavailable, plan=plan))
        return function

    return join


@dataclass(frozen=True)
class _Declaration:
    """What a decorator was told. recompiles: its tunables are constants of compiled kernels."""

    op: str
    name: str | None
    summary: str | None
    default: Default | None
    constraint: Constraint | None
    describe: Callable[[Config], str] | None
    choices: Mapping[str, Any]
    recompiles: bool = False

    def __post_init__(self) -> None:
        if self.op not in op_names():
            raise PluginError(str(UnknownNameError("op", self.op, list(op_names()))))

    def of(self, function: Any, **how: Any) -> Implementation:
        """The implementation that `function` is; `how` it runs is the rest of Implementation's fields. Raises PluginError."""
        name = _checked_name(self.op, self.name if self.name is not None else getattr(function, "__name__", None))
        id_ = f"{self.op}/{name}"
        _check_call(id_, function, ("inputs", "outputs", "config"))
        own = _OwnFunctions(id_, self._tunables(id_), self.default, self.constraint)
        if self.describe is not None:
            _check_call(f"{id_}: its describe", self.describe, ("config",))
        return Implementation(
            op=self.op,
            name=name,
            summary=self.summary or (inspect.getdoc(function) or "").partition("\n")[0] or "a user's own",
            tunables=own.tunables,
            default_config=own.default_config,
            constraint=own.reason,
            describe=self.describe or (lambda config: ""),
            **how,
        )

    def _tunables(self, id_: str) -> tuple[Tunable, ...]:
        found = []
        for name, choices in self.choices.items():
            if isinstance(choices, str) or not isinstance(choices, Sequence):
                raise PluginError(f"{id_}: tunable {name} must be a tuple or list of its choices, got {choices!r}")
            if not choices:
                raise PluginError(f"{id_}: tunable {name} has no choices")
            for i, choice in enumerate(choices):
                if not isinstance(choice, ConfigValue):
                    raise PluginError(f"{id_}: tunable {name}: {choice!r} is not an int, a string or a bool")
                if choice in choices[:i]:
                    raise PluginError(f"{id_}: tunable {name} has {choice!r} twice")
            found.append(Tunable(name, tuple(choices), "", self.recompiles))
        return tuple(found)


class _OwnFunctions:
    """A user's default and constraint, called by the tuner: their faults are the plugin's, not ours."""

    def __init__(
        self, id_: str, tunables: tuple[Tunable, ...], default: Default | None, constraint: Constraint | None
    ) -> None:
        self.id = id_
        self.tunables = tunables
        self._default = default
        self._constraint = constraint
        if constraint is not None:
            _check_call(f"{id_}: its constraint", constraint, ("config", "axes"))
        if callable(default):
            _check_call(f"{id_}: its default", default, ("axes",))
        elif default is not None:
            self._check_default(default)

    def default_config(self, axes: Axes) -> dict[str, ConfigValue]:
        config = {t.name: t.choices[0] for t in self.tunables}
        if not callable(self._default):
            return {**config, **(self._default or {})}
        chosen = self._call("default", self._default, axes)
        self._check_default(chosen)
        return {**config, **chosen}

    def reason(self, config: Config, axes: Axes) -> str | None:
        if self._constraint is None:
            return None
        reason = self._call("constraint", self._constraint, config, axes)
        if reason is None or (isinstance(reason, str) and reason):
            return reason
        raise PluginError(f"{self.id}: its constraint must return None or why a config cannot run, got {reason!r}")

    def _call(self, what: str, function: Callable[..., Any], *arguments: Any) -> Any:
        try:
            return function(*arguments)
        except Exception as error:
            raise PluginError(f"{self.id}: its {what} failed: {type(error).__name__}: {error}") from error

    def _check_default(self, default: Any) -> None:
        if not isinstance(default, Mapping):
            raise PluginError(f"{self.id}: its default must be a dict, got {default!r}")
        known = {t.name: t.choices for t in self.tunables}
        for name, value in default.items():
            if name not in known:
                raise PluginError(f"{self.id}: its default: {UnknownNameError('tunable', str(name), list(known))}")
            if not any(value == c and isinstance(value, bool) == isinstance(c, bool) for c in known[name]):
                raise PluginError(f"{self.id}: its default {name} = {value!r} is not one of {list(known[name])}")


def _checked_name(op: str, name: Any) -> str:
    """Names stand in file names, tables and `--impl`."""
    if not isinstance(name, str) or not name.replace("-", "_").isidentifier():
        raise PluginError(f"{name!r} is no name for an implementation of {op}; give it one: name='mine'")
    return name


def _check_call(what: str, function: Callable[..., Any], parameters: tuple[str, ...]) -> None:
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):  # written in C: a call will tell
        return
    try:
        signature.bind(*parameters)
    except TypeError:
        expected = ", ".join(parameters)
        raise PluginError(f"{what} is called with ({expected}), but it takes {signature}") from None


def _nothing() -> str | None:
    return None


def _needs_gpu() -> str | None:
    return None if torch.cuda.is_available() else "needs an NVIDIA GPU"


def _writing(op: str, function: Callable[..., Any]) -> Callable[[Any, Outputs, Config], None]:
    """`function`, held to writing into its outputs: tensors of its own would be dropped unseen."""

    @functools.wraps(function)
    def run(inputs: Any, outputs: Outputs, config: Config) -> None:
        returned = function(inputs, outputs, config)
        if returned is not None:
            _refuse_others(op, returned, outputs)

    return run


def _refuse_others(op: str, returned: Any, outputs: Outputs) -> None:
    """Returning the outputs themselves is a habit without harm."""
    each = returned if isinstance(returned, tuple | list) else (returned,)
    if any(not any(one is output for output in outputs) for one in each):
        names = get_op(op).output_names
        wanted = ", ".join(f"{name} {_shape(tensor)}" for name, tensor in zip(names, outputs, strict=True))
        got = ", ".join(_shape(one) for one in each)
        raise WrongOutputsError(f"it returned {got}; results are written into `outputs`: {wanted}")


def _shape(value: Any) -> str:
    if not isinstance(value, torch.Tensor):
        return type(value).__name__
    return f"{str(value.dtype).removeprefix('torch.')} {list(value.shape)}"


def _planning(function: Callable[..., Any], types: tuple[type, ...]) -> Callable[[Any, Outputs, Config], list[Any]]:
    """types: of the launches that the function may return."""

    @functools.wraps(function)
    def plan(inputs: Any, outputs: Outputs, config: Config) -> list[Any]:
        returned = function(inputs, outputs, config)
        launches = list(returned) if isinstance(returned, tuple | list) else [returned]
        wrong = [type(each).__name__ for each in launches if not isinstance(each, types)]
        if wrong or not launches:
            who = getattr(function, "__name__", "the plan")
            wanted = " or ".join(f"dsabench.{type_.__name__}" for type_ in types)
            raise TypeError(f"{who} must return its launches ({wanted}), got {wrong[0] if wrong else 'none'}")
        return launches

    return plan
