from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from dsabench.kernels import registry
from dsabench.kernels.op import UnknownNameError
from dsabench.kernels.registry import PluginError, get_implementation, implementation_names, load_plugin, op_names

PLUGIN = """
from dsabench.kernels.implementation import Implementation
from dsabench.kernels.registry import register

register(Implementation(
    op={op!r}, name={name!r}, summary="a user's own", device_types=("cpu",), tunables=(),
    default_config=lambda axes: {{}}, run=lambda inputs, outputs, config: None,
))
"""


@pytest.fixture(autouse=True)
def _no_plugin_survives(monkeypatch):
    monkeypatch.setattr(registry, "_plugins", {})
    modules = set(sys.modules)
    yield
    for name in set(sys.modules) - modules:
        if name.startswith("dsabench_plugin_"):
            del sys.modules[name]


def write(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def test_ops_stand_in_the_order_of_a_layer():
    names = op_names()
    assert [n for n in names if n in ("indexer_logits", "paged_indexer_logits", "topk_select")] == list(names[:3])
    assert "torch" in implementation_names("topk_select")
    assert set(implementation_names("topk_select")) <= set(implementation_names())


def test_unknown_names_are_refused():
    with pytest.raises(UnknownNameError, match="unknown op 'attention'"):
        registry.get_op("attention")
    with pytest.raises(UnknownNameError, match="unknown op 'attention'"):
        implementation_names("attention")
    with pytest.raises(UnknownNameError, match=r"unknown implementation of topk_select .torhc. .did you mean .torch."):
        get_implementation("topk_select", "torhc")


def test_listing_names_imports_no_contract():
    code = (
        "import sys; from dsabench.kernels.registry import op_names; assert op_names();"
        "print([m for m in sys.modules if m.startswith('dsabench.kernels.') and m.endswith('contract')])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_plugin_joins_once(tmp_path):
    path = write(tmp_path / "mine.py", PLUGIN.format(op="topk_select", name="mine"))
    (added,) = load_plugin(path)
    assert added.id == "topk_select/mine"
    assert get_implementation("topk_select", "mine") is added
    assert "mine" in implementation_names("topk_select")
    assert load_plugin(path) == []


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (PLUGIN.format(op="topk_selct", name="mine"), "unknown op 'topk_selct'"),
        (PLUGIN.format(op="topk_select", name="torch"), "topk_select/torch exists already"),
        ("x = 1\n", "registers no implementation"),
        ("import no_such_module\n", "failed to import: ModuleNotFoundError"),
        ("def broken(:\n", "failed to import: SyntaxError"),
    ],
)
def test_a_plugin_that_adds_nothing_says_why(tmp_path, text, message):
    with pytest.raises(PluginError, match=message):
        load_plugin(write(tmp_path / "bad.py", text))


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(PluginError, match=r"none\.py"):
        load_plugin(tmp_path / "none.py")
    with pytest.raises(PluginError, match="is not a Python file"):
        load_plugin(write(tmp_path / "notes.txt", "text"))


def test_a_plugin_that_failed_can_be_mended_and_loaded(tmp_path):
    path = write(tmp_path / "mended.py", "raise RuntimeError('early')\n")
    with pytest.raises(PluginError, match="RuntimeError: early"):
        load_plugin(path)
    write(path, PLUGIN.format(op="topk_select", name="mended"))
    assert [added.name for added in load_plugin(path)] == ["mended"]
