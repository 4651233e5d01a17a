import pytest
import torch

from dsabench.kernels import attention_reference as module
from tests.kernels.naive_attention import assert_same, finish, softmax_row


@pytest.mark.parametrize(("keys", "rows"), [(1, 1), (2, 3), (3, 2), (100, 100)])
def test_chunks_change_nothing(monkeypatch, keys, rows):
    """7 keys and 5 rows in chunks of every size: the same as one row at a time in plain Python."""
    monkeypatch.setattr(module, "_KEYS", keys)
    monkeypatch.setattr(module, "_ROWS", rows)
    generator = torch.Generator().manual_seed(3)
    q = torch.randn((5, 8), generator=generator, dtype=torch.float64) * 20
    k = torch.randn((7, 8), generator=generator, dtype=torch.float64)
    v = torch.randn((7, 4), generator=generator, dtype=torch.float64)
    visible = torch.tensor([7, 0, 1, 6, 3])
    naive = [
        softmax_row(row, k[:n].tolist(), v[:n].tolist(), 0.7)
        for row, n in zip(q.tolist(), visible.tolist(), strict=True)
    ]
    assert_same(module.attend(q, visible, lambda a, b: (k[a:b], v[a:b]), 0.7, 4), finish(naive, 4))


def test_no_key_beyond_the_visible_is_loaded():
    loaded = []

    def load(first, last):
        loaded.append((first, last))
        return torch.zeros(last - first, 8, dtype=torch.float64), torch.zeros(last - first, 4, dtype=torch.float64)

    module.attend(torch.zeros(2, 8, dtype=torch.float64), torch.tensor([3, 1500]), load, 1.0, 4)
    assert loaded == [(0, 1024), (1024, 1500)]


def test_groups_cover_every_position_once():
    group = torch.tensor([4, 0, 4, 2, 0])
    assert {value: positions.tolist() for value, positions in module.groups(group)} == {0: [1, 4], 2: [3], 4: [0, 2]}


def test_sinks():
    out = torch.ones(5, 2, dtype=torch.float64)
    lse = torch.tensor([1.0, 1.0, 1.0, 800.0, -torch.inf], dtype=torch.float64)
    out[4] = 0
    sink = torch.tensor([1.0, -torch.inf, torch.inf, 0.0, -torch.inf], dtype=torch.float64)
    assert module.apply_sink(out, lse, sink)[:, 0].tolist() == [0.5, 1.0, 0.0, 1.0, 0.0]


def test_row_flops_grow_with_the_keys_and_with_unshared_loads():
    shared = module.estimated_row_flops(2048, 576, 512, 1)
    alone = module.estimated_row_flops(2048, 576, 512, 10_000)
    assert 2 * 2048 * 1088 <= shared < 1.2 * 2 * 2048 * 1088
    assert alone > 5 * shared
    assert module.estimated_row_flops(0, 576, 512, 1) > 0
