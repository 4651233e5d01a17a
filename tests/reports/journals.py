"""Journals with SYNTHETIC numbers, written through the real writer: made to look like a tuning run, measured nowhere."""

from __future__ import annotations

import itertools
import math
import random
from dataclasses import dataclass, field
from pathlib import Path

from dsabench.bench.journal import JOURNAL_NAME, JournalWriter
from dsabench.bench.records import (
    Candidate,
    Ceilings,
    CheckRecord,
    Comparison,
    DeviceRecord,
    End,
    Header,
    ImplWinner,
    Rate,
    Ratio,
    Record,
    Roofline,
    Status,
    Timing,
    Trial,
    WorkloadId,
    WorkloadRecord,
)

CONTEXTS = (4096, 16384, 65536)
BF16, F32, READ, COPY = 439e9, 216e9, 38e9, 31e9
DEVICE_NAME = "Synthetic CPU 9000"

# axes, flops, compulsory bytes, gather bytes at a context length, as REFERENCE §3 counts them
_AXES: dict[str, dict[str, int]] = {
    "indexer_logits": {"s_q": 64, "s_kv": 0, "h": 64, "causal": 1},
    "paged_indexer_logits": {"b": 1, "next_n": 1, "s_kv": 0, "h": 64},
    "topk_select": {"rows": 64, "s_kv": 0, "k": 2048, "deterministic": 0},
    "sparse_mla_prefill": {"s_q": 16, "s_kv": 0, "h_q": 128, "topk": 2048},
    "sparse_mla_decode": {"b": 1, "s_q": 1, "s_kv": 0, "h_q": 128, "topk": 2048, "page": 64},
    "dense_mla_decode": {"b": 1, "s_q": 1, "s_kv": 0, "h_q": 128, "page": 64, "causal": 0},
    "dense_mha_prefill": {"s_q": 16, "s_kv": 0, "h_q": 16, "causal": 1},
}
OPS = tuple(_AXES)
_TUNABLES: dict[str, dict[str, tuple[int | str | bool, ...]]] = {
    "cpu": {"NK": (1, 2, 4, 6), "BLOCK_KV": (64, 128, 256), "DEQUANT": ("table", "permute")},
    "torch": {"TILE": (512, 2048, 8192)},
}
_DEFAULTS: dict[str, dict[str, int | str | bool]] = {
    "cpu": {"NK": 2, "BLOCK_KV": 64, "DEQUANT": "table"},
    "torch": {"TILE": 512},
}
# fraction of the roofline that the best synthetic config reaches
_BEST = {"cpu": 0.78, "torch": 0.11}


def cost(op: str, context: int) -> tuple[int, int, int]:
    n = context
    match op:
        case "indexer_logits":
            return 2 * 64 * n * 64 * 128, 64 * 64 * 128 + n * 132 + 64 * n * 4, 64 * 64 * 128 + n * 132 + 64 * n * 4
        case "paged_indexer_logits":
            return 2 * n * 64 * 128, n * 132 + n * 4 + 64 * 128, n * 132 + n * 4 + 64 * 128
        case "topk_select":
            return 0, 64 * n * 4 + 64 * 2048 * 4, 64 * n * 4 + 64 * 2048 * 4
        case "sparse_mla_prefill":
            unique = min(n, 16 * 2048)
            return (
                2 * 16 * 2048 * 128 * 1088,
                unique * 1152 + 16 * 128 * 1088 * 2,
                16 * 2048 * 1152 + 16 * 128 * 1088 * 2,
            )
        case "sparse_mla_decode":
            return 2 * 2048 * 128 * 1088, 2048 * 656 + 128 * 1088 * 2, 2048 * 656 + 128 * 1088 * 2
        case "dense_mla_decode":
            return 2 * n * 128 * 1088, n * 1152 + 128 * 1088 * 2, n * 1152 + 128 * 1088 * 2
        case _:
            return 2 * 16 * n * 16 * 320, 2 * 16 * (16 * 320 + n * 320), 2 * 16 * (16 * 320 + n * 320)


def device(name: str = DEVICE_NAME, key: str = "cpu-synthetic-2c") -> DeviceRecord:
    return DeviceRecord(
        type="cpu",
        key=key,
        name=name,
        cores=2,
        isa=["avx2", "avx512f", "avx512_bf16", "avx512_vbmi"],
        memory_bytes=16 << 30,
        last_level_cache_bytes=32 << 20,
        threads=2,
        details={"governor": "performance"},
    )


def header(
    device_record: DeviceRecord, *, started: str = "2026-01-02T03:04:05+00:00", run_id: str = "synthetic-run"
) -> Header:
    return Header(
        run_id=run_id,
        started=started,
        command="dsabench tune --suite quick --budget 5m --out runs/synthetic",
        device=device_record,
        versions={"python": "3.11.9", "dsabench": "0.1.0", "torch": "2.13.0", "numba": "0.68.0"},
        git_commit="0123456789abcdef0123456789abcdef01234567-dirty",
        sources={f"{op}/{impl}": f"{i:06x}{j:06x}" for i, op in enumerate(OPS) for j, impl in enumerate(_TUNABLES)},
        suite="quick",
        strategy="exhaustive",
        effort="quick",
        seed=0,
        budget_s=300.0,
        timing_policy={
            "clock": "wall",
            "warm-up": "until two calls agree within 10 %, at least 2",
            "inputs": "rotated over 3 times the last-level cache",
        },
    )


def ceilings(scale: float = 1.0) -> Ceilings:
    def rate(value: float, method: str) -> Rate:
        return Rate(value=value * scale, median=value * scale * 0.97, n=15, method=method)

    return Ceilings(
        bandwidth={
            "copy": rate(COPY, "copy of 1 GiB, both directions counted"),
            "read": rate(READ, "sum over 1 GiB of float32"),
        },
        product={"bf16": rate(BF16, "vdpbf16ps tiles, K = 576"), "f32": rate(F32, "FMA tiles, K = 576")},
    )


def workload_id(op: str, context: int, *, seed: int = 0) -> WorkloadId:
    axes = {name: context if name == "s_kv" else value for name, value in _AXES[op].items()}
    return WorkloadId(key=f"{OPS.index(op)}{context:09x}"[-10:], op=op, axes=axes, distribution="normal", seed=seed)


def bound(op: str, context: int, scale: float = 1.0) -> tuple[float, str]:
    flops, compulsory, _ = cost(op, context)
    compute, memory = flops / (BF16 * scale), compulsory / (READ * scale)
    return max(compute, memory), "compute" if compute > memory else "memory"


def workload_record(op: str, context: int, scale: float = 1.0) -> WorkloadRecord:
    flops, compulsory, gather = cost(op, context)
    bound_s, limit = bound(op, context, scale)
    return WorkloadRecord(
        workload=workload_id(op, context),
        flops=flops,
        compulsory_bytes=compulsory,
        gather_bytes=gather,
        input_bytes=compulsory,
        roofline=Roofline(
            bound_s=bound_s,
            limit="compute" if limit == "compute" else "memory",
            product="bf16" if flops else None,
            bandwidth="read",
            intensity=flops / compulsory,
        ),
        rows_total=64,
        rows_checked=64 if context <= 16384 else 16,
        build_s=0.4,
    )


def slowdown(impl: str, config: dict[str, int | str | bool], context: int) -> float:
    """Of a synthetic config against the best: smooth, so that the parameter study has something to show."""
    if impl == "torch":
        return 1.0 + 0.3 * abs(math.log2(int(config["TILE"]) / 2048)) / 2
    registers = {1: 2.1, 2: 1.35, 4: 1.02, 6: 1.0}[int(config["NK"])]
    block = {64: 1.12, 128: 1.0, 256: 1.04}[int(config["BLOCK_KV"])]
    return registers * block * (1.25 if config["DEQUANT"] == "table" else 1.0) * (1 + 0.02 * math.log2(65536 / context))


def best_seconds(op: str, impl: str, context: int, scale: float = 1.0) -> float:
    reach = _BEST[impl] * (0.75 if op in ("sparse_mla_decode", "sparse_mla_prefill") else 1.0)
    if impl == "torch" and op in ("sparse_mla_prefill", "dense_mha_prefill", "sparse_mla_decode"):
        reach *= 2.6
    return bound(op, context, scale)[0] / reach


def timing(median: float, rng: random.Random) -> Timing:
    samples = [median * (1 + 0.02 * rng.gauss(0, 1) ** 2) for _ in range(24)]
    samples.sort()
    return Timing(
        median_s=median,
        low_s=median * 0.99,
        high_s=median * 1.012,
        confidence=0.95,
        min_s=min(samples),
        p10_s=samples[2],
        p90_s=samples[-3],
        n=24,
        calls_per_sample=4,
        warmup_calls=3,
        input_copies=6,
        clock="wall",
        stopped_by="interval",
        samples_s=samples,
    )


def check_record(op: str, context: int, *, passed: bool = True, reason: str = "") -> CheckRecord:
    worst = {"score_mismatches": 0.0} if op == "topk_select" else {"row_cosine_difference": 3.1e-8, "max_abs": 1.7e-4}
    return CheckRecord(
        passed=passed,
        rows_checked=64 if context <= 16384 else 16,
        rows_total=64,
        rule="row cosine difference < 1e-5 and each element abs < 1e-3 or rel < 2.01/128",
        worst=worst if passed else {name: value + 0.5 for name, value in worst.items()},
        reason=reason,
    )


@dataclass
class JournalBuilder:
    """Collects records and writes them as one journal. `failing` holds (op, impl) of which every trial fails."""

    device: DeviceRecord = field(default_factory=device)
    ops: tuple[str, ...] = OPS
    contexts: tuple[int, ...] = CONTEXTS
    impls: tuple[str, ...] = ("cpu", "torch")
    failing: frozenset[tuple[str, str]] = frozenset()
    scale: float = 1.0
    """of the synthetic machine's speed"""
    compare: bool = True
    end: str | None = "complete"
    started: str = "2026-01-02T03:04:05+00:00"
    ended: str = "2026-01-02T03:08:55+00:00"
    skipped: tuple[str, ...] = ()
    extra: list[Record] = field(default_factory=list)
    number: int = 0

    def trial(
        self,
        op: str,
        impl: str,
        context: int,
        config: dict[str, int | str | bool],
        rng: random.Random,
        status: Status = Status.PASSED,
        reason: str = "",
        rung: int = 0,
    ) -> Trial:
        self.number += 1
        median = (
            best_seconds(op, impl, context, self.scale) * slowdown(impl, config, context) * (1 + 0.01 * rng.random())
        )
        ran = status is Status.PASSED
        checked = status in (Status.PASSED, Status.INCORRECT)
        return Trial(
            number=self.number,
            op=op,
            impl=impl,
            workload=workload_id(op, context),
            config=config,
            is_default=config == _DEFAULTS[impl],
            source="abcdef012345",
            rung=rung,
            status=status,
            reason=reason,
            describe="vdpbf16ps, 2 threads",
            compile_s=0.3 if checked else None,
            check=check_record(op, context, passed=ran, reason=reason) if checked else None,
            timing=timing(median, rng) if ran else None,
            roofline_fraction=bound(op, context, self.scale)[0] / median if ran else None,
            peak_extra_bytes=3 << 20,
            started=self.started,
            duration_s=0.4,
        )

    def trials(self, op: str, impl: str, context: int, rng: random.Random) -> list[Trial]:
        names = list(_TUNABLES[impl])
        grid = [dict(zip(names, values, strict=True)) for values in itertools.product(*_TUNABLES[impl].values())]
        default = [config for config in grid if config == _DEFAULTS[impl]]
        rest = [config for config in grid if config != _DEFAULTS[impl]]
        rng.shuffle(rest)
        made = []
        for config in default + rest:
            status, reason = Status.PASSED, ""
            if (op, impl) in self.failing:
                status, reason = Status.INCORRECT, f"row {rng.randrange(64)}: lse 3.5 where 4.25 was expected"
            elif impl == "cpu" and config["NK"] == 6 and config["BLOCK_KV"] == 256:
                status, reason = Status.PRUNED, "NK = 6 with BLOCK_KV = 256 spills: 38 registers of 32"
            elif impl == "cpu" and op == "topk_select" and config["NK"] == 1 and config["BLOCK_KV"] == 64:
                status, reason = Status.TIMEOUT, f"no answer within {rng.randrange(20, 30)} s"
            made.append(self.trial(op, impl, context, config, rng, status, reason))
        return made

    def comparison(self, op: str, context: int, trials: list[Trial], rng: random.Random) -> Comparison | None:
        candidates: list[Candidate] = []
        winners: dict[str, ImplWinner] = {}
        bound_s = bound(op, context, self.scale)[0]
        default_torch: float | None = None
        picked: dict[str, list[int]] = {}
        for impl in self.impls:
            passed = [t for t in trials if t.impl == impl and t.timing]
            if not passed:
                continue
            ranked = sorted(passed, key=lambda t: t.timing.median_s if t.timing else math.inf)
            chosen = ranked[:3] + [t for t in ranked[3:] if t.is_default]
            picked[impl] = []
            for trial in chosen:
                assert trial.timing is not None
                median = trial.timing.median_s
                picked[impl].append(len(candidates))
                candidates.append(
                    Candidate(
                        impl=impl,
                        config=trial.config,
                        is_default=trial.is_default,
                        median_s=median,
                        low_s=median * 0.992,
                        high_s=median * 1.009,
                        n=60,
                        rounds_s=[median * (1 + 0.012 * rng.gauss(0, 1)) for _ in range(12)],
                        roofline_fraction=bound_s / median,
                    )
                )
                if impl == "torch" and trial.is_default:
                    default_torch = median
        if not candidates:
            return None
        for impl, indices in picked.items():
            winner = min(indices, key=lambda i: candidates[i].median_s)
            default = next(i for i in indices if candidates[i].is_default)
            best = candidates[winner].median_s
            ties = [i for i in indices if i != winner and candidates[i].median_s / best < 1.015]

            def ratio(over: float, best: float = best) -> Ratio:
                return Ratio(ratio=over / best, low=over / best * 0.98, high=over / best * 1.03)

            winners[impl] = ImplWinner(
                winner=winner,
                ties=ties,
                default=default,
                speedup_over_default=Ratio(ratio=1.0, low=1.0, high=1.0)
                if winner == default
                else ratio(candidates[default].median_s),
                speedup_over_torch=None if default_torch is None else ratio(default_torch),
            )
        best_impl = min(winners, key=lambda name: candidates[winners[name].winner].median_s)
        medians = sorted(candidates[w.winner].median_s for w in winners.values())
        return Comparison(
            workload=workload_id(op, context),
            candidates=candidates,
            winners=winners,
            best_impl=best_impl,
            best_is_tie=len(medians) > 1 and medians[1] / medians[0] < 1.015,
            noise=0.015,
            started=self.started,
            duration_s=3.0,
        )

    def records(self) -> list[Record]:
        rng = random.Random(7)
        out: list[Record] = [header(self.device, started=self.started), ceilings(self.scale)]
        for op in self.ops:
            for context in self.contexts:
                out.append(workload_record(op, context, self.scale))
                trials = [trial for impl in self.impls for trial in self.trials(op, impl, context, rng)]
                out += trials
                comparison = self.comparison(op, context, trials, rng) if self.compare else None
                out += [comparison] if comparison else []
        out += self.extra
        if self.end:
            reason = self.end
            out.append(
                End(
                    reason=reason,  # type: ignore[arg-type]
                    detail="",
                    ended=self.ended,
                    wall_s=290.0,
                    skipped=list(self.skipped),
                )
            )
        return out

    def write(self, directory: Path) -> Path:
        return write_records(directory, self.records())


def write_records(directory: Path, records: list[Record]) -> Path:
    """Whole lines as the writer makes them, but synced once: 20,000 syncs would be a test of the disk."""
    path = directory / JOURNAL_NAME
    with JournalWriter(path) as writer:
        writer.write(records[0])
    with path.open("ab") as file:
        for record in records[1:]:
            file.write(record.model_dump_json().encode() + b"\n")
    return path
