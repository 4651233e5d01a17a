"""Rows for machines."""

from __future__ import annotations

import json

import pytest

from dsabench.bench.scaling.bill import Price
from dsabench.bench.scaling.rows import flat_loss_rows, flat_pipeline_rows, pipeline_rows
from tests.bench.scaling.pipeline_points import decode_points, decode_stages, loss, point


def test_a_row_holds_what_was_measured():
    rows = pipeline_rows(decode_points((4096, 131072)), Price(), 0)
    assert [row["context"] for row in rows] == [4096, 131072]
    last = rows[-1]
    assert last["phase"] == "decode"
    assert last["dense_ms"] == pytest.approx(3e-4 * 131072, rel=0.02)
    assert last["dense_low_ms"] <= last["dense_ms"] <= last["dense_high_ms"]
    assert last["speedup"] == pytest.approx(last["dense_ms"] / last["sparse_ms"])
    assert last["speedup_low"] <= last["speedup"] <= last["speedup_high"]
    assert list(last["stages_ms"]) == ["indexer", "topk", "attention"]
    assert sum(last["stages_ms"].values()) == pytest.approx(last["sparse_ms"], rel=0.03)
    assert last["dense_over_eager"] == pytest.approx(3.0, rel=0.03)
    assert last["dense_usd"] > last["sparse_usd"] > 0
    assert last["dense_prompt_usd"] is None
    assert (last["dense_kv_bytes_per_token"], last["sparse_kv_bytes_per_token"]) == (1152, 788)
    assert json.loads(json.dumps(rows)) == rows


def test_a_missing_side_is_null_and_its_row_stays():
    (row,) = pipeline_rows([point(4096, None, decode_stages(4096), gaps={"dense": "no memory"})], Price(), 0)
    assert row["dense_ms"] is None
    assert row["dense_usd"] is None
    assert row["speedup"] is None
    assert row["sparse_ms"] > 0
    assert row["gaps"] == {"dense": "no memory"}


def test_flat_rows_have_one_column_a_stage_and_no_nesting():
    (flat,) = flat_pipeline_rows(
        pipeline_rows([point(4096, None, decode_stages(4096), gaps={"dense": "no memory"})], Price(), 0)
    )
    assert flat["indexer_ms"] == pytest.approx(1.6e-5 * 4096, rel=0.02)
    assert flat["axis_h_q"] == 128
    assert flat["gaps"] == "dense: no memory"
    assert not [key for key, value in flat.items() if isinstance(value, dict | list)]


def test_flat_losses_are_one_row_a_kind_and_k():
    flat = flat_loss_rows([loss("spread", 256, 0.1), loss("spread", 512, 0.2), loss("spread", 256, 0.3)])
    assert [(row["structure"], row["k"], row["mass_median"]) for row in flat] == [
        ("spread", 256, 0.3),
        ("spread", 512, 0.2),
    ]
    assert (flat[0]["recall_low"], flat[0]["recall_high"]) == (0.95, 0.99)
    assert "kind" not in flat[0]
