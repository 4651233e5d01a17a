"""A launch that CuPy would run otherwise than it is stated is refused when it is made."""

from __future__ import annotations

from typing import Any

import pytest

from tests.kernels.cuda.launches import scale


@pytest.mark.parametrize("wrong", [{"grid": (0,)}, {"grid": (4, 0)}, {"block": (0,)}])
def test_an_empty_dimension_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="must be at least 1 everywhere"):
        scale(**wrong)


@pytest.mark.parametrize(("cluster", "grid"), [(0, (8,)), (3, (8,)), (32, (32,))])
def test_a_cluster_divides_the_grid(cluster: int, grid: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="a cluster has 1 to 16 blocks and divides the grid's first dimension"):
        scale(cluster=cluster, grid=grid)
