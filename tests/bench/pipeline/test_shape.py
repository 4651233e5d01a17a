from __future__ import annotations

import dataclasses

import pytest

from dsabench.bench.pipeline.shape import Shape


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"context": 0}, "axis context = 0"),
        ({"batch": 0}, "axis batch = 0"),
        ({"heads": 129}, "axis heads = 129"),
        ({"topk": 4097}, "axis topk = 4097"),
        ({"index_heads": 12}, "index_heads must be 8, 16, 32 or 64, got 12"),
        ({"queries": 201, "context": 200}, "queries = 201 do not fit a context of 200"),
        ({"queries": 65}, "decode takes up to 64 queries a sequence, got 65"),
        ({"batch": 65536, "context": 1 << 20}, "more slots than an int32 counts"),
        ({"phase": "prefill", "batch": 3}, "prefill is of one sequence, got batch = 3"),
    ],
)
def test_sizes_that_make_no_sense_are_named(decode: Shape, change, message) -> None:
    decode.check()
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(decode, **change).check()


def test_a_sequence_takes_whole_blocks(decode: Shape) -> None:
    assert decode.blocks == 4
    assert decode.slots == 3 * 4 * 64
    assert decode.tokens == 6
