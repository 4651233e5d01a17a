from __future__ import annotations

import pytest

from dsabench.kernels.op import Axis, UnknownNameError, format_size, parse_size
from dsabench.kernels.registry import get_op, op_names


@pytest.mark.parametrize(
    ("text", "size"), [("4k", 4096), ("128K", 131072), ("1m", 1 << 20), ("4096", 4096), (4096, 4096), (" 2k ", 2048)]
)
def test_sizes_are_read(text, size):
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["", "4g", "-1", "4.5k", "k", "4 k", "four"])
def test_what_is_not_a_size_is_named(text):
    with pytest.raises(ValueError, match="is not a size; write for example 4096, 4k or 1m"):
        parse_size(text)


@pytest.mark.parametrize("value", [0, 1, 1000, 1024, 2119, 4096, 1 << 20, 3 << 20, (1 << 20) + 1024])
def test_sizes_round_trip(value):
    assert parse_size(format_size(value)) == value


@pytest.mark.parametrize("value", [0, 9, True, 2.0, "4"])
def test_axis_refuses_what_is_outside(value):
    with pytest.raises(ValueError, match="axis h"):
        Axis("h", "heads", 1, 8, 8).check(value)


def test_unknown_names_come_with_the_nearest_and_the_list():
    error = UnknownNameError("op", "topk_selct", ["topk_select", "indexer_logits"])
    assert str(error) == "unknown op 'topk_selct' (did you mean 'topk_select'?); known: topk_select, indexer_logits"


@pytest.mark.parametrize("name", op_names())
def test_every_op_is_whole(name):
    op = get_op(name)
    assert op.name == name
    assert op.summary
    assert op.output_names
    assert next(iter(op.distributions)) == "normal"
    assert all(op.distributions.values())
    assert op.axis(op.context_axis).maximum >= 1 << 20
    for axis in op.axes:
        axis.check(axis.default)
        assert axis.meaning


@pytest.mark.parametrize("name", op_names())
def test_axes_are_completed_in_order_and_checked(name):
    op = get_op(name)
    full = op.complete_axes({op.context_axis: 4096})
    assert list(full) == [axis.name for axis in op.axes]
    assert full[op.context_axis] == 4096
    with pytest.raises(ValueError, match=f"axis {op.context_axis} = 0 is outside"):
        op.complete_axes({op.context_axis: 0})
    with pytest.raises(UnknownNameError, match="unknown axis"):
        op.complete_axes({"no_such_axis": 1})
    with pytest.raises(UnknownNameError, match="unknown distribution"):
        op.check_distribution("no_such_distribution")
