"""Kernels to be compared: `right` is, `deceived` returns results of a wrong shape, `idle` writes nothing, `slow` takes 3 ms more."""

from __future__ import annotations

import time

import torch

import dsabench
from dsabench.kernels.registry import get_op


def fill(inputs, outputs):
    rows = torch.arange(len(inputs.logits))
    outputs[0].copy_(get_op("topk_select").reference(inputs, rows)[0])


@dsabench.implementation("topk_select", devices="cpu", DELAY=(0, 1))
def right(inputs, outputs, config):
    fill(inputs, outputs)


@dsabench.implementation("topk_select", devices="cpu")
def slow(inputs, outputs, config):
    fill(inputs, outputs)
    time.sleep(3e-3)


@dsabench.implementation("topk_select", devices="cpu")
def deceived(inputs, outputs, config):
    return torch.zeros(3, 4, dtype=torch.int32)


@dsabench.implementation("topk_select", devices="cpu")
def idle(inputs, outputs, config):
    pass


@dsabench.implementation("topk_select", devices="cuda")
def elsewhere(inputs, outputs, config):
    pass
