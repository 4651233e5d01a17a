"""`dsabench compare`: sparse against dense (`--dense`), or implementations against one another."""

from __future__ import annotations

import inspect
import time
from typing import Annotated, Any

import typer

from dsabench.cli.errors import UsageError

_EXAMPLES = """Examples:

  dsabench compare --dense

  dsabench compare --dense --phase prefill --context 4k,16k,64k --out prefill

  dsabench compare --dense --gpu-hour-usd 1.5 --inputs layer30.safetensors --json

  dsabench compare --op topk_select --impl cpu --impl torch

  dsabench compare --op topk_select --plugin my_kernel.py
"""
_DENSE_ONLY = ("phase", "batch", "queries", "heads", "topk", "gpu_hour_usd", "other_ms", "inputs", "losses")
_IMPLEMENTATIONS_ONLY = ("suite", "op", "impl", "plugin")


def compare(
    dense: Annotated[
        bool, typer.Option("--dense", help="The whole sparse pipeline against the best dense attention.")
    ] = False,
    context: Annotated[
        str | None,
        typer.Option(
            help="Context lengths, e.g. 4k,64k. \\[default: 1k,2k,4k,8k,16k,32k,64k,128k with --dense; else the suite's]"
        ),
    ] = None,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda[:i].")] = "auto",
    budget: Annotated[
        str | None,
        typer.Option(help="Wall time of the whole command: 90s, 5m, or seconds. \\[default: 4m; 8m on a GPU]"),
    ] = None,
    effort: Annotated[
        str | None, typer.Option(help="quick or full: how many rounds are timed. \\[default: quick]")
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of inputs and order. \\[default: 0]")] = None,
    out: Annotated[str, typer.Option(help="Directory for journal, rows and report.")] = "dsabench-compare",
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the journal in --out.")] = False,
    allow_busy: Annotated[
        bool, typer.Option("--allow-busy", help="Measure on a GPU that other processes use; refused otherwise.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document on stdout, nothing else.")] = False,
    phase: Annotated[str | None, typer.Option(help="With --dense: decode or prefill. \\[default: decode]")] = None,
    batch: Annotated[int | None, typer.Option(help="With --dense, decode: sequences. \\[default: 1]")] = None,
    queries: Annotated[
        int | None,
        typer.Option(
            help="With --dense: tokens a call computes of each sequence; for prefill the chunk. "
            "\\[default: 1; prefill 64, 2048 on a GPU]"
        ),
    ] = None,
    heads: Annotated[int | None, typer.Option(help="With --dense: attention heads. \\[default: 128]")] = None,
    topk: Annotated[int | None, typer.Option(help="With --dense: keys selected. \\[default: 2048]")] = None,
    gpu_hour_usd: Annotated[
        float | None,
        typer.Option(
            "--gpu-hour-usd",
            help="With --dense: dollars for an hour of the device, a CPU too. \\[default: 2.0]",
        ),
    ] = None,
    other_ms: Annotated[
        float | None,
        typer.Option(
            help="With --dense: milliseconds of all but attention, for one token in one layer; added to both sides' cost. "
            "\\[default: 0]"
        ),
    ] = None,
    inputs: Annotated[
        str | None,
        typer.Option(
            help="With --dense: .safetensors file of real q, kv and indexer tensors; losses are told of it too."
        ),
    ] = None,
    losses: Annotated[
        bool | None,
        typer.Option(
            "--losses/--no-losses", help="With --dense: measure what selecting keys loses. \\[default: losses]"
        ),
    ] = None,
    suite: Annotated[
        str | None,
        typer.Option(help="Without --dense: suite by name or a .toml file. \\[default: quick; hopper on a GPU]"),
    ] = None,
    op: Annotated[list[str] | None, typer.Option(help="Without --dense: only this op; repeatable.")] = None,
    impl: Annotated[
        list[str] | None, typer.Option(help="Without --dense: only this implementation; repeatable.")
    ] = None,
    plugin: Annotated[
        list[str] | None,
        typer.Option(help="Without --dense: Python file that registers implementations; repeatable."),
    ] = None,
) -> int:
    """Is sparse attention worth it, from which length, at what cost, and what does it lose: --dense.

    Times the indexer, top-k and sparse attention as one against the best dense attention at each context length, interleaved,
    on the same inputs; reports time by stage, speed-up, the length from which sparse wins, growth, memory and cost, and how
    much of dense attention the selected keys keep. Without --dense: implementations side by side on a suite.
    """
    begun = time.monotonic()
    given: dict[str, Any] = {
        "phase": phase, "batch": batch, "queries": queries, "heads": heads, "topk": topk, "gpu_hour_usd": gpu_hour_usd,
        "other_ms": other_ms, "inputs": inputs, "losses": losses,
        "suite": suite, "op": op or None, "impl": impl or None, "plugin": plugin or None,
    }  # fmt: skip
    for name in _IMPLEMENTATIONS_ONLY if dense else _DENSE_ONLY:
        if given[name] is not None:
            raise UsageError(
                f"--{_flag(name)} goes {'without' if dense else 'with'} --dense (see dsabench compare --help)"
            )
    if not dense:
        from dsabench.cli.compare_implementations import compare_implementations

        return compare_implementations(
            suite=suite,
            op=op,
            impl=impl,
            context=context,
            device=device,
            budget=budget,
            effort=effort,
            seed=seed,
            out=out,
            plugin=plugin,
            resume=resume,
            as_json=as_json,
            allow_busy=allow_busy,
            begun=begun,
        )
    from dsabench.cli.compare_dense import DenseOptions, compare_dense

    return compare_dense(
        DenseOptions(
            phase=phase,
            context=context,
            batch=batch,
            queries=queries,
            heads=heads,
            topk=topk,
            gpu_hour_usd=2.0 if gpu_hour_usd is None else gpu_hour_usd,
            other_ms=0.0 if other_ms is None else other_ms,
            inputs=inputs,
            device=device,
            budget=budget,
            effort=effort,
            seed=seed,
            out=out,
            resume=resume,
            losses=losses is not False,
            allow_busy=allow_busy,
            as_json=as_json,
            begun=begun,
        )
    )


compare.__doc__ = f"{inspect.cleandoc(compare.__doc__ or '')}\n\n{_EXAMPLES}"


def _flag(name: str) -> str:
    return name.replace("_", "-")
