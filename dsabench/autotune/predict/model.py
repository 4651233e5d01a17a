"""The model: seconds that a launch takes, from its work, a chip's limits and a few constants.

A launch has G blocks, R of them on each of S SMs at a time. What one block takes of each unit, in seconds of its SM:

    tensor         FLOPs issued, repeats and padding included / (product rate / S · tensor_efficiency)
    issue          warp instructions / (4 schedulers · clock · issue_efficiency), or what the slowest of the special units takes
    shared memory  bytes / (128 B · clock): loads, stores, copies, spills, and the operands that products read there
    L2             bytes asked of it / G · active SMs / (L2 rate · l2_efficiency), at least bytes / (64 B · clock) of the SM's port
    HBM            compulsory bytes / G · active SMs / (bandwidth · memory_efficiency); of rows gathered again the share that L2
                   is too small to keep comes on top

r blocks on an SM share its units, and no block is faster than its own chain of instructions:

    span(r)  = max(r · busiest unit, chain)
    chain    = max(a, b) + (1 − overlap) · min(a, b) + trips · exposed loads + first loads
               a = max(tensor, shared memory), b = issue by its own warps + syncs · sync_s

With loads asked for d trips ahead (d = stages − 1 for copies to shared memory and for what producer warps load, else 0) and n loads
of a trip that wait for one another, max(0, n − d) of them stand in every trip, and a trip is no shorter than
load_latency_s · min(n, d) / d. First loads are 1 + n latencies a block.

Where warps have roles (one fetches, another computes), each loop is charged to the warps that run it: a block's use of a unit is the
sum over roles, and its chain the longest of theirs, which run side by side. Exposed loads stand in the producers' chain, code
outside of the loops in that of the main loop's warps.

    seconds  = Σ over launches of launch_s + ⌊G / (S · R)⌋ · span(R) + span(⌈rest / S⌉)

and at least the roofline. This is the usual model of a GPU's throughput limits beside a warp's own latency (Hong and Kim, ISCA
2009; Volkov, Berkeley 2016), with a block's asynchronous products in place of a warp's arithmetic. 128 bytes a clock of shared
memory and four schedulers: CUDA C++ Programming Guide; mma.sync reaches about 62 % of wgmma's rate (Luo et al., IPDPS 2024).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from dsabench.autotune.predict.constants import SHIPPED, Constants
from dsabench.autotune.predict.machine import Machine
from dsabench.autotune.predict.work import Body, LaunchWork, Role, launch_works
from dsabench.bench.inspection_records import Inspection
from dsabench.kernels.op import Cost

SCHEDULERS = 4
SHARED_BYTES_A_CLOCK = 128
L2_PORT_BYTES_A_CLOCK = 64
MMA_SYNC_SHARE = 0.62
UNITS = ("tensor", "issue", "shared memory", "L2", "HBM")
LOSSES = ("exposed latency", "waves and tail", "launch")


@dataclass(frozen=True)
class Prediction:
    """seconds: predicted, not measured. parts: seconds by name. The UNITS are how long each would be busy if its work were spread
    over all SMs; they run at the same time. The LOSSES come on top of each launch's busiest unit."""

    seconds: float
    parts: Mapping[str, float]

    @property
    def limit(self) -> str:
        """The largest part, by name."""
        return max(self.parts, key=lambda name: self.parts[name])


@dataclass(frozen=True)
class Predictor:
    """Predicts for one machine."""

    machine: Machine
    constants: Constants = SHIPPED

    def seconds(self, inspection: Inspection, cost: Cost) -> Prediction | None:
        """Of one call. cost: of the workload that the config was compiled for. None for what does not compile or cannot launch."""
        works = launch_works(inspection, cost)
        return None if works is None else predict(works, cost, self.machine, self.constants)


def predict(works: Sequence[LaunchWork], cost: Cost, machine: Machine, constants: Constants) -> Prediction:
    """What launches one after the other take."""
    parts = dict.fromkeys((*UNITS, *LOSSES), 0.0)
    seconds = 0.0
    for work in works:
        found = _Launch(work, machine, constants).parts()
        seconds += max(found[name] for name in UNITS) + sum(found[name] for name in LOSSES)
        for name, part in found.items():
            parts[name] += part
    return Prediction(max(seconds, machine.bound_s(cost)), parts)


@dataclass(frozen=True)
class _Share:
    """What one role of a block takes of its SM's units, in seconds."""

    role: Role
    tensor_s: float
    issue_s: float
    pipe_s: float
    shared_s: float
    syncs_s: float


class _Launch:
    def __init__(self, work: LaunchWork, machine: Machine, constants: Constants) -> None:
        self._work = work
        self._machine = machine
        self._constants = constants
        self._trips = constants.search_passes if work.trips is None else work.trips
        main_warps = work.warps - sum(role.warps for role in work.beside)
        main = Role(work.trip, main_warps, fetches=not any(role.fetches for role in work.beside))
        self._roles = [self._share(main, work.once), *(self._share(role) for role in work.beside)]
        self._tensor_s = sum(share.tensor_s for share in self._roles)
        self._issue_s = sum(share.issue_s for share in self._roles)
        self._pipe_s = sum(share.pipe_s for share in self._roles)
        self._shared_s = sum(share.shared_s for share in self._roles)

    def parts(self) -> dict[str, float]:
        work, machine = self._work, self._machine
        at_once = machine.sms * work.resident
        full, rest = divmod(work.blocks, at_once)
        loop_s = full * self._span(work.resident, machine.sms)
        if rest:
            each = -(-rest // machine.sms)
            loop_s += self._span(each, -(-rest // each))
        busy = {name: seconds * work.blocks / machine.sms for name, seconds in self._units(machine.sms).items()}
        busiest = max(busy.values())
        spread_s = max(work.blocks / at_once * self._span(work.resident, machine.sms), busiest)
        return busy | {
            "exposed latency": spread_s - busiest,
            "waves and tail": max(loop_s - spread_s, 0.0),
            "launch": self._constants.launch_s,
        }

    def _span(self, resident: int, active: int) -> float:
        """Of `resident` blocks side by side on each of `active` SMs."""
        few_warps = SCHEDULERS / min(SCHEDULERS, resident * self._work.warps)
        units = self._units(active)
        units["issue"] = max(self._issue_s * few_warps, self._pipe_s)
        return max(resident * max(units.values()), self._chain())

    def _units(self, active: int) -> dict[str, float]:
        """Seconds of its SM that one block takes of each unit while `active` SMs share L2 and memory."""
        work, machine, constants = self._work, self._machine, self._constants
        l2_rate = machine.l2_rate(work.bytes.row) * constants.l2_efficiency
        port = L2_PORT_BYTES_A_CLOCK * machine.clock_hz
        missed = max(0.0, 1 - machine.l2_bytes / work.bytes.rows) if work.bytes.rows else 0.0
        memory_bytes = work.bytes.memory + work.bytes.again * missed
        return {
            "tensor": self._tensor_s,
            "issue": max(self._issue_s, self._pipe_s),
            "shared memory": self._shared_s,
            "L2": work.bytes.l2 / work.blocks * max(active / l2_rate, 1 / port),
            "HBM": memory_bytes / work.blocks * active / (machine.bandwidth * constants.memory_efficiency),
        }

    def _chain(self) -> float:
        """No shorter than what the roles together take of a unit: they wait for the first loads as one."""
        together = max(self._tensor_s, self._shared_s, self._issue_s)
        first_loads = self._constants.load_latency_s * (1 + self._work.dependent_loads)
        return max(together, *map(self._chain_of, self._roles)) + first_loads

    def _chain_of(self, share: _Share) -> float:
        constants = self._constants
        few_warps = SCHEDULERS / min(SCHEDULERS, share.role.warps)
        a = max(share.tensor_s, share.shared_s)
        b = max(share.issue_s * few_warps, share.pipe_s) + share.syncs_s
        chain = max(a, b) + (1 - constants.overlap) * min(a, b)
        if not share.role.fetches:
            return chain
        latency, loads, ahead = constants.load_latency_s, self._work.dependent_loads, self._work.ahead
        if ahead:
            chain = max(chain, self._trips * latency * min(loads, ahead) / ahead)
        return chain + self._trips * latency * max(0, loads - ahead)

    def _products_s(self, body: Body) -> float:
        """Of one SM, at the ceiling."""
        rates = {**self._machine.product, "mma.sync": self._machine.product["bf16"] * MMA_SYNC_SHARE}
        return sum(flops * self._machine.sms / rates[rate] for rate, flops in body.products.items())

    def _share(self, role: Role, once: Body | None = None) -> _Share:
        """Of a role's trips and what it does once."""
        constants, clock = self._constants, self._machine.clock_hz

        def over_block(of: Callable[[Body], float]) -> float:
            return self._trips * of(role.body) + (of(once) if once else 0.0)

        return _Share(
            role=role,
            tensor_s=over_block(self._products_s) / constants.tensor_efficiency,
            issue_s=over_block(lambda body: body.instructions) / (SCHEDULERS * clock * constants.issue_efficiency),
            pipe_s=over_block(lambda body: body.pipe_clocks) / clock,
            shared_s=over_block(lambda body: body.shared_bytes) / (SHARED_BYTES_A_CLOCK * clock),
            syncs_s=over_block(lambda body: body.syncs) * constants.sync_s,
        )
