from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch

from dsabench.kernels import registry, source_hash
from dsabench.kernels.cuda.includes import files_of
from dsabench.kernels.registry import get_implementation, get_op, implementation_names, op_names
from dsabench.kernels.source_hash import code_lines


@pytest.fixture
def house(tmp_path, monkeypatch):
    """A small package tree in the place of dsabench/kernels."""
    (tmp_path / "topk_select").mkdir()
    for name in ("__init__", "shared", "deep", "apart"):
        (tmp_path / f"{name}.py").write_text(f'"""{name}"""\nVALUE = 1\n')
    (tmp_path / "shared.py").write_text("from dsabench.kernels import deep\nVALUE = deep.VALUE\n")
    (tmp_path / "topk_select" / "impl_one.py").write_text(
        "from typing import TYPE_CHECKING\n"
        "import dsabench.kernels.shared\n"
        "if TYPE_CHECKING:\n    from dsabench.kernels.apart import VALUE\n"
        "X = 1\n"
    )
    monkeypatch.setattr(source_hash, "_ROOT", tmp_path)
    return tmp_path


def hash_now() -> str:
    source_hash.source_hash.cache_clear()
    return source_hash.source_hash("topk_select", "one")


def append(path: Path, text: str) -> None:
    path.write_text(path.read_text() + text)


def test_hash_is_stable_and_short(house):
    assert hash_now() == hash_now()
    assert len(hash_now()) == 12
    assert set(hash_now()) <= set("0123456789abcdef")


@pytest.mark.parametrize("file", ["topk_select/impl_one.py", "shared.py", "deep.py"])
def test_code_changes_it_however_deep(house, file):
    before = hash_now()
    append(house / file, "Y = 2\n")
    assert hash_now() != before


@pytest.mark.parametrize("file", ["topk_select/impl_one.py", "shared.py", "deep.py"])
def test_comments_docstrings_and_blank_lines_do_not(house, file):
    before = hash_now()
    text = (house / file).read_text()
    (house / file).write_text(
        '"""Another docstring,\n\nof three lines."""\n\n# a comment\n' + text.replace('"""deep"""\n', "")
    )
    assert hash_now() == before


def test_modules_not_imported_do_not(house):
    before = hash_now()
    append(house / "apart.py", "Y = 2\n")  # imported under TYPE_CHECKING only
    assert hash_now() == before


def test_strings_and_hash_signs_inside_code_count():
    assert code_lines('x = "# not a comment"\n') == 'x = "# not a comment"'
    assert code_lines("def f():\n    '''doc'''\n    # why\n    return 1\n") == "def f():\n    return 1"
    assert code_lines("x = 1  # why\n") != code_lines("x = 2  # why\n")


@pytest.mark.parametrize("op", ["indexer_logits", "paged_indexer_logits", "topk_select"])
def test_real_implementations_follow_their_imports(op):
    source_hash.source_hash.cache_clear()
    path = Path(registry.__file__).parent / op / "impl_torch.py"
    names = {file.name for file in source_hash._closure(path)}
    assert "impl_torch.py" in names
    assert "contract.py" not in names  # a test or a distribution added to a contract voids no measurement
    if op != "topk_select":
        assert "fp8.py" in names


def test_a_plugin_is_hashed_from_its_own_file(tmp_path, monkeypatch):
    monkeypatch.setattr(registry, "_plugins", {})
    source_hash.source_hash.cache_clear()
    path = tmp_path / "hashed.py"
    path.write_text(
        "from dsabench.kernels.implementation import Implementation\n"
        "from dsabench.kernels.registry import register\n"
        "def run(inputs, outputs, config): pass\n"
        "register(Implementation('topk_select', 'hashed', 's', ('cpu',), (), lambda axes: {}, run))\n"
    )
    registry.load_plugin(path)
    before = source_hash.source_hash("topk_select", "hashed")
    source_hash.source_hash.cache_clear()
    append(path, "X = 1\n")
    assert source_hash.source_hash("topk_select", "hashed") != before
    del sys.modules["dsabench_plugin_hashed"]


@pytest.fixture
def cuda_house(house):
    """`impl_one` names a CUDA source that includes a header beside it, which includes one of the package's own."""
    append(house / "topk_select" / "impl_one.py", "FILE = 'radix.cu'\n")
    (house / "topk_select" / "radix.cu").write_text('#include "radix.cuh"\nint x;\n')
    (house / "topk_select" / "radix.cuh").write_text('  # include "types.cuh"\nint y;\n')
    (house / "topk_select" / "unnamed.cu").write_text("int z;\n")
    return house


@pytest.mark.parametrize("name", ["radix.cu", "radix.cuh"])
def test_cuda_sources_and_their_headers_count(cuda_house, name):
    before = hash_now()
    file = cuda_house / "topk_select" / name
    file.write_text(f"// a comment\n\n{file.read_text()}")
    assert hash_now() == before
    append(file, "int more;\n")
    assert hash_now() != before


def test_cuda_sources_that_are_not_named_do_not(cuda_house):
    before = hash_now()
    append(cuda_house / "topk_select" / "unnamed.cu", "int more;\n")
    append(cuda_house / "topk_select" / "impl_one.py", "OTHER = 'not_there.cu'\n")
    with_a_name = hash_now()
    assert with_a_name != before  # the code
    (cuda_house / "topk_select" / "not_there.cu").write_text("int there;\n")
    assert hash_now() != with_a_name


def test_tilelang_programs_and_what_they_import_count(house):
    append(house / "topk_select" / "impl_one.py", "FILE = 'tilelang_program.py'\n")
    program = house / "topk_select" / "tilelang_program.py"
    program.write_text("from dsabench.kernels import apart\n")
    before = hash_now()
    program.write_text("# a comment\nfrom dsabench.kernels import apart\n")
    assert hash_now() == before
    append(house / "apart.py", "MORE = 1\n")
    imported = hash_now()
    assert imported != before
    append(program, "MORE = 1\n")
    assert hash_now() != imported


def test_the_packages_own_headers_count():
    names = [path.name for path in files_of(Path(__file__).parent / "cuda" / "tiny.cu")]
    assert names == ["tiny.cu", "tiny.cuh", "types.cuh"]


@pytest.mark.parametrize("op", op_names())
def test_every_planned_source_is_hashed(op):
    """.cu files and TileLang programs are found by their names in literals."""
    for name in implementation_names(op):
        implementation = get_implementation(op, name)
        if implementation.plan is None or name not in ("cuda", "tilelang"):
            continue
        contract = get_op(op)
        axes = contract.complete_axes({})
        inputs = contract.empty_inputs(axes, torch.device("meta"))
        plan = implementation.plan(inputs, contract.empty_outputs(inputs), implementation.default_config(axes))
        hashed = {
            source
            for module in source_hash._closure(Path(registry.__file__).parent / op / f"impl_{name}.py")
            for source in (*source_hash.cuda_sources(module), *source_hash.tilelang_programs(module))
        }
        assert {launch.source.file for launch in plan} <= hashed
