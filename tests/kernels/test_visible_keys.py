import torch

from dsabench.kernels.visible_keys import visible_keys


def test_without_causal_every_query_sees_its_sequence():
    assert visible_keys(torch.tensor([5, 0], dtype=torch.int32), 3, False).tolist() == [[5, 5, 5], [0, 0, 0]]


def test_causal_is_aligned_at_the_end():
    assert visible_keys(torch.tensor([5, 2, 0]), 3, True).tolist() == [[3, 4, 5], [0, 1, 2], [0, 0, 0]]


def test_one_causal_query_sees_everything():
    assert visible_keys(torch.tensor([7]), 1, True).tolist() == [[7]]
