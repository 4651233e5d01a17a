"""The first and the last record of every run."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Literal

from dsabench.bench.provenance import git_commit, package_versions
from dsabench.bench.records import DeviceRecord, End, Header

EndReason = Literal["complete", "budget", "interrupted", "error"]


def now() -> str:
    """ISO 8601, UTC, to the millisecond."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def run_header(
    command: str,
    device: DeviceRecord,
    sources: dict[str, str],
    suite: str,
    strategy: str,
    effort: str,
    seed: int,
    budget_s: float | None,
    timing_policy: dict[str, str],
) -> Header:
    """A header with a new run id, begun now; see `Header` for what each holds."""
    return Header(
        run_id=uuid.uuid4().hex[:12],
        started=now(),
        command=command,
        device=device,
        versions=package_versions(device.type),
        git_commit=git_commit(),
        sources=sources,
        suite=suite,
        strategy=strategy,
        effort=effort,
        seed=seed,
        budget_s=budget_s,
        timing_policy=timing_policy,
    )


def run_end(reason: EndReason, detail: str, wall_s: float, skipped: Sequence[str]) -> End:
    return End(reason=reason, detail=detail, ended=now(), wall_s=wall_s, skipped=list(skipped))
