"""The hash of the source an implementation is made of: results hold for that source and no other."""

from __future__ import annotations

import ast
import functools
import hashlib
import re
import sys
from pathlib import Path

from dsabench.kernels.cuda.includes import source_text

_PACKAGE = "dsabench.kernels"
_ROOT = Path(__file__).parent


def _module_path(module: str) -> Path | None:
    if module != _PACKAGE and not module.startswith(_PACKAGE + "."):
        return None
    base = _ROOT.joinpath(*module.split(".")[2:])
    for path in (base.with_suffix(".py"), base / "__init__.py"):
        if path.is_file():
            return path
    return None


def _is_type_checking(node: ast.If) -> bool:
    test = node.test
    name = test.attr if isinstance(test, ast.Attribute) else getattr(test, "id", "")
    return name == "TYPE_CHECKING"


def _imports(tree: ast.AST) -> set[str]:
    found: set[str] = set()
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and _is_type_checking(node):
            continue  # a type alone changes no result
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found.add(node.module)
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
        found |= _imports(node)
    return found


def _closure(path: Path) -> list[Path]:
    seen: dict[Path, None] = {}
    todo = [path]
    while todo:
        current = todo.pop()
        if current in seen:
            continue
        seen[current] = None
        for module in _imports(ast.parse(current.read_text())):
            target = _module_path(module)
            if target is not None:
                todo.append(target)
        todo += tilelang_programs(current)
    return sorted(seen)


def cuda_sources(module: Path) -> list[Path]:
    """The .cu files beside a Python module that it names in literals, in their order."""
    return _named_files(module, r"[\w.-]+\.cu")


def tilelang_programs(module: Path) -> list[Path]:
    """The Python files beside a module that it names in literals, as TileLang programs are named: nothing imports them."""
    return _named_files(module, r"[\w.-]+\.py")


def _named_files(module: Path, pattern: str) -> list[Path]:
    literals = {str(node.value) for node in ast.walk(ast.parse(module.read_text())) if isinstance(node, ast.Constant)}
    named = sorted(text for text in literals if re.fullmatch(pattern, text))
    return [module.with_name(name) for name in named if module.with_name(name).is_file()]


@functools.cache
def source_hash(op: str, implementation: str) -> str:
    """12 hex digits over the implementation's file and every module of `dsabench.kernels` that it imports, however deeply, over the
    TileLang programs that these name with what they import, and over the CUDA sources with what they include; docstrings and
    comment lines do not count, so that a reworded comment voids no measurement. Raises ValueError for what is not registered or has
    no file."""
    path = _ROOT / op / f"impl_{implementation}.py"
    if not path.is_file():
        from dsabench.kernels.registry import get_implementation

        found = get_implementation(op, implementation)
        module = sys.modules.get((found.plan or found.run).__module__)  # the `run` of a plan is a wrapper of ours
        file = getattr(module, "__file__", None)
        if file is None:
            raise ValueError(
                f"{op}/{implementation} was defined in no file (a notebook or a shell): its source has no hash"
            )
        path = Path(file)
    digest = hashlib.sha256()
    modules = _closure(path)
    digest.update(_text(modules).encode())
    for source in (each for module in modules for each in cuda_sources(module)):
        digest.update(f"{source_text(source)}\n".encode())
    return digest.hexdigest()[:12]


def module_text(path: Path) -> str:
    """Code lines of a Python file and of every module of `dsabench.kernels` that it imports, however deeply."""
    return _text(_closure(path))


def _text(modules: list[Path]) -> str:
    return "".join(f"{file.name}\n{code_lines(file.read_text())}\n" for file in modules)


def code_lines(source: str) -> str:
    """`source` without docstrings, comment lines and blank lines. Text, not `ast.dump`: the dump of one source differs
    between Python versions, and a tuned table must be found under all of them."""
    lines = source.splitlines()
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.Module | ast.FunctionDef | ast.ClassDef | ast.AsyncFunctionDef) or not node.body:
            continue
        first = node.body[0]
        if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant) and isinstance(first.value.value, str):
            for number in range(first.lineno - 1, first.end_lineno or first.lineno):
                lines[number] = ""
    return "\n".join(line.rstrip() for line in lines if line.strip() and not line.lstrip().startswith("#"))
