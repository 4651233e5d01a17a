"""The first and the last record of every run."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Literal

from dsabench.bench.effort import Effort
from dsabench.bench.provenance import git_commit, package_versions
from dsabench.bench.records import DeviceRecord, DeviceType, End, Header

EndReason = Literal["complete", "budget", "interrupted", "error"]

_INPUTS: dict[DeviceType, str] = {
    "cpu": "copies rotated so that one round touches twice the last-level cache, at most 1 GiB; where that does not do, a stream "
    "of that size before each sample",
    "cuda": "copies rotated so that one round touches three times the L2, inside graphs too; where memory does not allow that, a "
    "read of that size before each call, outside the timed stretch",
}


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


def timing_policy(effort: Effort, device_type: DeviceType, trial_timeout_s: float) -> dict[str, str]:
    """How trials of this effort are timed, in words."""
    return effort.describe() | {
        "inputs": _INPUTS[device_type],
        "trial limit": f"{trial_timeout_s:g} s",
        "worker environment": "set before torch and numba are imported; device details, env.*",
    }
