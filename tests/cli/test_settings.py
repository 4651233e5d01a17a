from __future__ import annotations

import pytest

from dsabench.cli.errors import UsageError
from dsabench.cli.settings import TuneSettings, load_settings


def load(tmp_path, command_line=None, environment=None):
    return load_settings(command_line or {}, environment or {}, tmp_path)[0]


def test_defaults_stand_where_nothing_is_said(tmp_path):
    (tmp_path / "pyproject.toml").write_text("[tool.other]\nx = 1\n")
    assert load(tmp_path) == TuneSettings()


def test_each_layer_overrides_the_one_below(tmp_path):
    (tmp_path / "pyproject.toml").write_text(
        '[tool.dsabench]\nsuite = "tiny"\nseed = 1\nbudget = 30\nop = ["topk_select"]\ncontext = ["4k", 512]\n'
    )
    environment = {
        "DSABENCH_SEED": "2",
        "DSABENCH_INSTALL": "0",
        "DSABENCH_IMPL": "cpu,torch",
        "DSABENCH_BUDGET": "40s",
    }
    found, given = load_settings({"budget": "50s", "suite": None, "op": None}, environment, tmp_path)
    assert (found.suite, found.seed, found.budget) == ("tiny", 2, "50s")
    assert (found.op, found.impl, found.install, found.context) == (("topk_select",), ("cpu", "torch"), False, "4k,512")
    assert given == {"budget"}


def test_the_nearest_file_counts_and_dsabench_toml_comes_first(tmp_path):
    (tmp_path / "dsabench.toml").write_text("seed = 5\n")
    inner = tmp_path / "a" / "b"
    inner.mkdir(parents=True)
    assert load(inner).seed == 5
    (inner / "pyproject.toml").write_text("[tool.dsabench]\nseed = 6\n")
    assert load(inner).seed == 6
    (inner / "dsabench.toml").write_text("seed = 7\n")
    assert load(inner).seed == 7


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("sead = 1\n", ["dsabench.toml", "'sead'", "did you mean 'seed'"]),
        ('seed = "one"\n', ["dsabench.toml", "seed must be of type int", "'one'"]),
        ("seed = true\n", ["seed", "True"]),
        ("install = 1\n", ["install must be of type bool"]),
        ("op = [1]\n", ["op must be a list of strings"]),
        ("seed = \n", ["dsabench.toml"]),
    ],
)
def test_what_is_wrong_in_a_file_is_named(tmp_path, text, words):
    (tmp_path / "dsabench.toml").write_text(text)
    with pytest.raises(UsageError) as caught:
        load(tmp_path)
    assert all(word in str(caught.value) for word in words), str(caught.value)


@pytest.mark.parametrize(
    ("name", "value", "word"),
    [
        ("DSABENCH_BUDGE", "1", "DSABENCH_BUDGET|budget"),
        ("DSABENCH_SEED", "x", "integer"),
        ("DSABENCH_REPORT", "maybe", "true"),
    ],
)
def test_what_is_wrong_in_the_environment_is_named(tmp_path, name, value, word):
    with pytest.raises(UsageError, match=word) as caught:
        load(tmp_path, environment={name: value})
    assert name in str(caught.value)


def test_variables_of_the_library_are_not_settings(tmp_path):
    assert (
        load(tmp_path, environment={"DSABENCH_CACHE_DIR": "/x", "DSABENCH_HIDE_ISA": "all", "PATH": "/bin"})
        == TuneSettings()
    )
