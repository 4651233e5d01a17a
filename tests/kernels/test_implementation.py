from __future__ import annotations

import pytest

from dsabench.kernels.implementation import Implementation, Tunable, config_key, format_config
from dsabench.kernels.op import UnknownNameError
from dsabench.kernels.registry import get_implementation, get_op, implementation_names, op_names

EXAMPLE = Implementation(
    op="topk_select",
    name="example",
    summary="for the tests",
    device_types=("cpu",),
    tunables=(Tunable("BLOCK", (1, 2, 4), "size"), Tunable("FAST", (False, True), "switch")),
    default_config=lambda axes: {"BLOCK": 2, "FAST": False},
    run=lambda inputs, outputs, config: None,
    constraint=lambda config, axes: "BLOCK exceeds rows" if int(config["BLOCK"]) > axes["rows"] else None,
)


def test_the_grid_is_every_combination_in_a_fixed_order():
    configs = list(EXAMPLE.configs())
    assert len(configs) == 6
    assert configs == list(EXAMPLE.configs())
    assert configs[0] == {"BLOCK": 1, "FAST": False}
    assert len({config_key(c) for c in configs}) == 6


def test_given_keys_go_over_the_defaults():
    assert EXAMPLE.check_config({"FAST": True}, {"rows": 8}) == {"BLOCK": 2, "FAST": True}


@pytest.mark.parametrize(
    ("config", "error", "message"),
    [
        ({"BLOK": 1}, UnknownNameError, "unknown tunable of topk_select/example 'BLOK' .did you mean 'BLOCK'"),
        ({"BLOCK": 3}, ValueError, r"BLOCK = 3 is not one of \[1, 2, 4\]"),
        ({"BLOCK": True}, ValueError, "BLOCK = True is not one of"),
        ({"FAST": 1}, ValueError, "FAST = 1 is not one of"),
        ({"BLOCK": 4}, ValueError, "BLOCK=4 FAST=False of topk_select/example cannot run: BLOCK exceeds rows"),
    ],
)
def test_a_wrong_config_is_named(config, error, message):
    with pytest.raises(error, match=message):
        EXAMPLE.check_config(config, {"rows": 2})


def test_config_key_does_not_depend_on_the_order():
    assert config_key({"A": 1, "B": True}) == config_key({"B": True, "A": 1})
    assert config_key({"A": 1}) != config_key({"A": True})
    assert format_config({"A": 1, "B": "x"}) == "A=1 B=x"
    assert format_config({}) == "(no tunables)"


@pytest.mark.parametrize(
    ("op", "name"), [(op, name) for op in op_names() for name in implementation_names(op)], ids=lambda v: v
)
def test_every_implementation_is_whole(op, name):
    implementation = get_implementation(op, name)
    assert implementation.id == f"{op}/{name}"
    assert implementation.summary
    assert set(implementation.device_types) <= {"cpu", "cuda"}
    assert all(t.meaning and len(set(t.choices)) == len(t.choices) > 1 for t in implementation.tunables)
    contract = get_op(op)
    for context in (1, 4096, 131072, 1 << 20):
        axes = contract.complete_axes({contract.context_axis: context})
        default = implementation.default_config(axes)
        assert list(default) == [t.name for t in implementation.tunables]
        # The default must be legal wherever the op is.
        assert implementation.check_config(default, axes) == default


def test_which_configs_run_other_machine_code() -> None:
    implementation = get_implementation("sparse_mla_decode", "cpu")
    base = implementation.default_config({"b": 1, "s_q": 1, "h_q": 128})
    other_math = "f32" if base["MATH"] == "bf16" else "bf16"
    other_block = 60 if base["BLOCK_KV"] != 60 else 120
    assert implementation.compiles_anew(base, base) == 0
    assert implementation.compiles_anew({**base, "BLOCK_KV": other_block}, base) == 0
    assert implementation.compiles_anew({**base, "MATH": other_math, "BLOCK_KV": other_block}, base) == 1
