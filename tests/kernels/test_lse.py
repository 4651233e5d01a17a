import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from dsabench.kernels import lse

finite = st.floats(-1e4, 1e4, width=32)


def test_base_2_is_log2_of_the_sum():
    assert float(lse.to_base_2(torch.tensor(math.log(8.0), dtype=torch.float64))) == pytest.approx(3.0, abs=1e-15)
    assert float(lse.from_base_2(torch.tensor(3.0, dtype=torch.float64))) == pytest.approx(math.log(8.0), abs=1e-15)


@settings(deadline=None)
@given(st.lists(finite, min_size=1, max_size=8))
def test_round_trips(values):
    natural = torch.tensor([*values, -math.inf], dtype=torch.float64)
    torch.testing.assert_close(lse.from_base_2(lse.to_base_2(natural)), natural)
    assert torch.equal(lse.from_flashmla(lse.to_flashmla(natural)), natural)


def test_empty_rows():
    natural = torch.tensor([0.5, -math.inf])
    assert lse.to_flashmla(natural).tolist() == [0.5, math.inf]
    assert lse.from_flashmla(torch.tensor([0.5, math.inf])).tolist() == [0.5, -math.inf]
    assert lse.to_base_2(natural)[1] == -math.inf
    assert lse.from_base_2(natural)[1] == -math.inf


def test_the_argument_is_not_changed():
    natural = torch.tensor([1.0, -math.inf])
    lse.to_flashmla(natural)
    lse.to_base_2(natural)
    assert natural.tolist() == [1.0, -math.inf]


def test_the_wrong_convention_is_refused():
    with pytest.raises(ValueError, match=r"holds \+inf"):
        lse.to_flashmla(torch.tensor([math.inf]))
    with pytest.raises(ValueError, match="holds -inf"):
        lse.from_flashmla(torch.tensor([-math.inf]))
