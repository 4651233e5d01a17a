"""What a worker does with each job, on the one device it is bound to."""

from __future__ import annotations

from collections.abc import Callable

import numba
import torch

from dsabench.bench.ceilings import measure_ceilings
from dsabench.bench.device import last_level_cache
from dsabench.bench.interleave import run_compare
from dsabench.bench.jobs import CeilingsJob, CompareJob, Job, Prepared, PrepareJob, Result, Stage, TrialJob, VerifyJob
from dsabench.bench.memory import limit_memory
from dsabench.bench.trial import Flush, run_trial
from dsabench.bench.verify import run_verify
from dsabench.bench.workbench import Benches
from dsabench.kernels.machine import usable_cpus
from dsabench.kernels.registry import load_plugin


class Workshop:
    """Loads the plugins, settles the threads, keeps the inputs."""

    def __init__(self, plugins: tuple[str, ...], tell: Callable[[Stage], None]) -> None:
        threads = usable_cpus()
        # In this order: numba's thread pool resets torch's thread count when it starts.
        numba.set_num_threads(threads)
        torch.set_num_threads(threads)
        for path in plugins:
            load_plugin(path)
        limit_memory()
        self._cache_bytes = last_level_cache()[0]
        self._benches = Benches(torch.device("cpu"))
        self._flush = Flush(self._cache_bytes)
        self._tell = tell

    def do(self, job: Job) -> Result:
        match job:
            case CeilingsJob():
                return measure_ceilings(job.seconds, job.last_level_cache_bytes)
            case PrepareJob():
                bench = self._benches.get(job.workload)
                return Prepared(bench.cost, bench.input_bytes, bench.rows_total, len(bench.rows), bench.build_s)
            case TrialJob():
                return run_trial(job, self._benches, self._flush, self._cache_bytes, self._tell)
            case CompareJob():
                return run_compare(job, self._benches, self._flush, self._cache_bytes, self._tell)
            case VerifyJob():
                return run_verify(job, self._benches, self._tell)
