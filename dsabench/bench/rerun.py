"""The command that measures one row of a journal again, from the header of its run."""

from __future__ import annotations

import shlex

from dsabench.bench.records import Header, PipelinePoint, WorkloadId
from dsabench.kernels.sizes import format_size

COMPARE = "compare"
"""The strategy that the header of `dsabench compare` without `--dense` names; the others but COMPARE_DENSE are of `tune`."""


def plugin_options(command: str) -> list[str]:
    """The `--plugin` options of a command line."""
    try:
        words = shlex.split(command)
    except ValueError:
        return []
    found = [w for w in words if w.startswith("--plugin=")]
    return found + [f"--plugin={words[i + 1]}" for i, w in enumerate(words[:-1]) if w == "--plugin"]


def rerun_command(header: Header, workload: WorkloadId, impl: str) -> str:
    """With the run's suite, effort and seed (`tune`: and strategy), beside `torch`."""
    compared = header.strategy == COMPARE
    words = [
        "dsabench",
        "compare" if compared else "tune",
        "--suite",
        header.suite,
        "--op",
        workload.op,
        "--impl",
        impl,
    ]
    words += ["--impl", "torch"] if impl != "torch" else []
    words += ["--context", format_size(workload.axes.get("s_kv", 0))]
    words += [] if compared else ["--strategy", header.strategy]
    return _closed(words, header)


def rerun_dense_command(header: Header, point: PipelinePoint) -> str:
    """The pipeline against dense attention, at one context length."""
    words = ["dsabench", "compare", "--dense", "--phase", point.phase, "--context", format_size(point.context)]
    options = {"--batch": "b", "--queries": "s_q", "--heads": "h_q", "--topk": "topk"}
    for option, axis in options.items():
        if axis in point.axes and (option, point.phase) != ("--batch", "prefill"):
            words += [option, str(point.axes[axis])]
    return _closed([*words, "--no-losses"], header)


def _closed(words: list[str], header: Header) -> str:
    words += ["--effort", header.effort, "--seed", str(header.seed), "--device", header.device.type]
    return shlex.join([*words, *plugin_options(header.command), "--out", "rerun"])
