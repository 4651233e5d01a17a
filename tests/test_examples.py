"""The worked example does what its README says, and says what is wrong when it is broken."""

from __future__ import annotations

import dataclasses
import importlib
import json
import os
import re
import sys
from pathlib import Path

import pytest
import torch

import dsabench
from dsabench.kernels import registry
from dsabench.kernels.registry import PluginError, load_plugin
from dsabench.kernels.source_hash import code_lines, source_hash
from dsabench.kernels.workload import Workload
from tests.cli import in_process
from tests.kernels.running import check_configs

EXAMPLE = Path(__file__).parent.parent / "examples" / "my_triton_kernel.py"
OP = "paged_indexer_logits"


@pytest.fixture
def plugin(monkeypatch, tmp_path):
    """Loads the example, or a copy in which `old` is replaced by `new`."""
    monkeypatch.setattr(registry, "_plugins", {})
    modules = set(sys.modules)

    def load(old: str = "", new: str = "") -> Path:
        path = EXAMPLE
        if old:
            assert old in EXAMPLE.read_text()
            path = tmp_path / "broken_kernel.py"
            path.write_text(EXAMPLE.read_text().replace(old, new))
        load_plugin(path)
        return path

    yield load
    for name in set(sys.modules) - modules:
        if name.startswith("dsabench_plugin_"):
            del sys.modules[name]


def command_line(*words: str) -> in_process.Done:
    environment = {name: value for name, value in os.environ.items() if name != "TRITON_INTERPRET"}
    return in_process.dsabench(*words, environment=environment)


def test_it_is_under_40_lines_of_code():
    assert len(code_lines(EXAMPLE.read_text()).splitlines()) < 40


@pytest.mark.parametrize("distribution", ["normal", "ragged", "shared_prefix", "nan_key"])
@pytest.mark.parametrize(
    "axes", [{"b": 5, "next_n": 2, "s_kv": 150, "h": 8}, {"b": 1, "next_n": 1, "s_kv": 300, "h": 64}]
)
def test_every_config_is_right_in_the_interpreter(plugin, axes, distribution):
    plugin()
    configs = [{"PAGES": pages} for pages in (1, 4, 16)]
    assert check_configs(OP, "mine", axes, distribution, configs, seed=3) == (1 if axes["s_kv"] < 256 else 2)


def test_verify_takes_it(tmp_path):
    suite = tmp_path / "tiny.toml"
    suite.write_text(
        f'name = "tiny"\ndescription = "one"\n[[workload]]\nop = "{OP}"\ndistribution = "ragged"\nb = 3\ns_kv = 130\nh = 16\n'
    )
    words = ("--impl", "mine", "--device", "cpu", "--suite", str(suite), "--json")
    done = command_line("verify", "--plugin", str(EXAMPLE), *words)
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    (case,) = document["cases"]
    assert (case["where"], case["status"], case["rows_checked"]) == ("interpreter", "PASSED", 3)
    assert document["hardware"] == {f"{OP}/mine": "unverified on hardware"}


def test_inspect_compiles_it_for_a_gpu_that_is_not_here(tmp_path):
    configs = ("--config", "PAGES=1,NUM_WARPS=4,NUM_STAGES=2", "--config", "PAGES=4,NUM_WARPS=8,NUM_STAGES=2")
    words = ("--impl", "mine", "--op", OP, "--context", "64k", *configs, "--json", "--jobs", "1")
    done = command_line("inspect", "--plugin", str(EXAMPLE), *words)
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    default, repeating = document["rows"]
    assert default["is_default"]
    assert all(row["can_launch"] and row["spill_bytes"] == 0 and row["sass"]["QGMMA"] for row in document["rows"])
    assert default["useful_fraction"] == 1.0
    assert repeating["useful_fraction"] == 0.25  # the README says so


def test_a_wrong_kernel_is_found(plugin):
    plugin("seen = token < context", "seen = token <= context")
    with pytest.raises(AssertionError, match=r"-inf mask: row 1, column 0: got .*, expected -inf"):
        check_configs(OP, "mine", {"b": 2, "s_kv": 130, "h": 8}, "ragged", [{}], seed=3)


def test_a_kernel_that_does_not_compile_is_one_line(tmp_path):
    path = tmp_path / "broken_kernel.py"
    path.write_text(EXAMPLE.read_text().replace("tl.arange(0, 64), tl.arange", "tl.arange(0, 63), tl.arange"))
    words = ("--impl", "mine", "--op", OP, "--context", "4k", "--config", "PAGES=1", "--json", "--jobs", "1")
    done = command_line("inspect", "--plugin", str(path), *words)
    assert done.returncode == 1
    (row,) = json.loads(done.stdout)["rows"]
    assert row["outcome"] == "COMPILE_ERROR"
    assert "power of 2" in row["reason"]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            f'"{OP}",',
            '"paged_indexer_logit",',
            "unknown op 'paged_indexer_logit' (did you mean 'paged_indexer_logits'?)",
        ),
        ("def mine(inputs, outputs, config)", "def mine(inputs, config)", "is called with (inputs, outputs, config)"),
        ("PAGES=(1, 4, 16)", "PAGES=()", "tunable PAGES has no choices"),
        ("def mine(", "def triton(", f"implementation {OP}/triton exists already"),
    ],
)
def test_a_wrong_declaration_is_refused(plugin, old, new, message):
    with pytest.raises(PluginError, match=re.escape(message)) as caught:
        plugin(old, new)
    assert "broken_kernel.py, line " in str(caught.value)


def test_it_is_imported_and_called_as_the_readme_says(monkeypatch):
    monkeypatch.setattr(registry, "_plugins", {})
    monkeypatch.syspath_prepend(str(EXAMPLE.parent))
    importlib.import_module("my_triton_kernel")
    inputs = Workload.of(OP, {"b": 2, "s_kv": 130, "h": 8}, "normal", 0).make_inputs()
    arguments = [getattr(inputs, field.name) for field in dataclasses.fields(inputs)]
    ours, reference = (dsabench.paged_indexer_logits(*arguments, impl=impl) for impl in ("mine", "torch"))
    torch.testing.assert_close(ours, reference, rtol=1e-3, atol=1e-2)
    source_hash.cache_clear()
    assert len(source_hash(OP, "mine")) == 12
    monkeypatch.delitem(sys.modules, "my_triton_kernel")
    source_hash.cache_clear()
    with pytest.raises(ValueError, match="was defined in no file"):  # as in a notebook
        source_hash(OP, "mine")
    source_hash.cache_clear()
