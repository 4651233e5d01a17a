"""Kernels of one source tree, as the gate's tests change them between trees: SIDE is written over."""

from __future__ import annotations

import os
import signal
import time

import torch

import dsabench
from dsabench.kernels.registry import get_op

SIDE = "baseline"


def fill(inputs, outputs):
    rows = torch.arange(len(inputs.logits))
    outputs[0].copy_(get_op("topk_select").reference(inputs, rows)[0])


def spin(seconds):
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        pass


@dsabench.implementation("topk_select", devices="cpu")
def steady(inputs, outputs, config):
    spin(2e-3)
    fill(inputs, outputs)


@dsabench.implementation("topk_select", devices="cpu")
def slowed(inputs, outputs, config):
    spin(2e-3 if SIDE == "baseline" else 8e-3)
    fill(inputs, outputs)


@dsabench.implementation("topk_select", devices="cpu")
def quickened(inputs, outputs, config):
    spin(8e-3 if SIDE == "baseline" else 2e-3)
    fill(inputs, outputs)


@dsabench.implementation("topk_select", devices="cpu")
def wrong(inputs, outputs, config):
    if SIDE == "baseline":
        fill(inputs, outputs)


@dsabench.implementation("topk_select", devices="cpu")
def mended(inputs, outputs, config):
    if SIDE == "candidate":
        fill(inputs, outputs)


@dsabench.implementation("topk_select", devices="cpu")
def hopeless(inputs, outputs, config):
    raise RuntimeError("it never works")


@dsabench.implementation("topk_select", devices="cpu")
def crashes(inputs, outputs, config):
    if SIDE == "candidate":
        os.kill(os.getpid(), signal.SIGSEGV)
    fill(inputs, outputs)


if SIDE == "baseline":

    @dsabench.implementation("paged_indexer_logits", devices="cpu")
    def dropped(inputs, outputs, config):
        outputs[0].zero_()

else:

    @dsabench.implementation("sparse_mla_decode", devices="cpu")
    def added(inputs, outputs, config):
        for output in outputs:
            output.zero_()
