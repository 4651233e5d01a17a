"""The kernels of another source tree under this tree's measuring: `dsabench.kernels` from there, everything else from here.

Both sides of a gate are then measured by the same code, and whatever differs is the kernels'. Light at import.
"""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

_PACKAGE = "dsabench.kernels"


def kernels_folder(tree: Path) -> Path | None:
    """Where a source tree has the package; None in a tree that is not dsabench's."""
    folder = tree / "dsabench" / "kernels"
    return folder if (folder / "__init__.py").is_file() else None


def use_kernels(folder: str) -> None:
    """Makes `dsabench.kernels` the package in `folder`, for this process. Raises RuntimeError when it is imported already and
    ImportError when there is none."""
    if _PACKAGE in sys.modules:
        raise RuntimeError(f"{_PACKAGE} is imported already; another tree's must be chosen before")
    spec = importlib.util.spec_from_file_location(
        _PACKAGE, Path(folder) / "__init__.py", submodule_search_locations=[folder]
    )
    if spec is None or spec.loader is None:
        raise ImportError(f"there is no package in {folder}")
    module = importlib.util.module_from_spec(spec)
    sys.modules[_PACKAGE] = module
    spec.loader.exec_module(module)
    import dsabench

    dsabench.kernels = module  # as an import would have set it
