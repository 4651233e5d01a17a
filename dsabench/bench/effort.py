"""How much measuring: named profiles, each number with its reason."""

from __future__ import annotations

from dataclasses import dataclass, replace

from dsabench.bench.records import DeviceType


@dataclass(frozen=True)
class TimingPolicy:
    """When one config has been timed enough. Seconds unless said otherwise.

    A sample is the mean of as many calls as last `sample_s`; samples are taken until the median's interval is within ±`target`
    of it, or `time_s` is used up (but never fewer than `least_samples`, unless those would take longer than `patience_s`).
    """

    sample_s: float
    warmup_s: float
    least_samples: int
    most_samples: int
    target: float
    time_s: float
    patience_s: float
    confidence: float = 0.95

    def cheaper(self, fraction: float) -> TimingPolicy:
        """The policy of a cheaper rung: `fraction` of the time and of the samples, a wider target."""
        return replace(
            self,
            least_samples=max(3, round(self.least_samples * fraction)),
            most_samples=max(3, round(self.most_samples * fraction)),
            # The half-width of a median's interval falls with the root of the samples.
            target=self.target / fraction**0.5,
            time_s=self.time_s * fraction,
            warmup_s=self.warmup_s * max(fraction, 0.25),
        )


@dataclass(frozen=True)
class Effort:
    """timing: one trial; rounds: interleaved rounds of a confirmation, at least `least_rounds` while those fit `confirm_s`
    seconds and at least 3 always; round_s: least time of one config in one round; contenders: configs of each
    implementation that are confirmed, besides its default; within: how far behind the best (relative) one may be and still
    be a contender; ceiling_s: measuring time of each machine ceiling."""

    name: str
    timing: TimingPolicy
    rounds: int
    least_rounds: int
    confirm_s: float
    round_s: float
    contenders: int
    within: float
    ceiling_s: float

    def describe(self) -> dict[str, str]:
        t = self.timing
        return {
            "sample": f"mean of as many calls as last {t.sample_s * 1e3:g} ms, garbage collection off",
            "warm-up": f"at least one call and {t.warmup_s * 1e3:g} ms",
            "samples": f"{t.least_samples} to {t.most_samples}, until the {t.confidence:.0%} interval of the median is within "
            f"±{t.target:.1%} or {t.time_s:g} s have passed",
            "confirmation": f"best {self.contenders} of each implementation within {self.within:.0%}, its default and torch's "
            f"default, {self.least_rounds} to {self.rounds} interleaved rounds in random order",
        }


QUICK = Effort(
    name="quick",
    timing=TimingPolicy(
        sample_s=0.5e-3,  # 10⁴ times the clock's step of 50 ns, and longer than a scheduler's wake-up of 50 µs
        warmup_s=0.01,
        least_samples=6,  # the fewest whose range is a 95 % interval of the median
        most_samples=150,
        target=0.03,  # repeats of one sweep moved configs by 3.4 %: a tighter single trial buys nothing
        time_s=0.12,  # 48 pairs of the quick suite share about 180 s with their compiles and checks
        patience_s=1.0,  # a baseline of half a second a call is confirmed in rounds anyway
    ),
    rounds=15,
    least_rounds=5,
    confirm_s=3.0,  # five rounds with a baseline of 2.5 s a call took 20 s of the 180 that the searches have
    round_s=3e-3,
    contenders=3,
    within=0.15,  # twice the largest move seen between two sweeps (7.5 %): what is further back does not win a repeat
    ceiling_s=0.6,
)

FULL = Effort(
    name="full",
    timing=TimingPolicy(
        sample_s=1e-3,
        warmup_s=0.05,
        least_samples=20,
        most_samples=400,
        target=0.02,
        time_s=1.0,
        patience_s=10.0,
    ),
    rounds=41,
    least_rounds=15,
    confirm_s=60.0,
    round_s=10e-3,
    contenders=3,
    within=0.15,
    ceiling_s=2.0,
)

QUICK_GPU = replace(
    QUICK,
    timing=TimingPolicy(
        sample_s=1e-3,  # 2000 times the event clock's step of 0.5 µs
        warmup_s=0.02,
        least_samples=10,
        most_samples=200,
        target=0.01,
        time_s=0.15,
        patience_s=1.0,
    ),
    rounds=25,
    least_rounds=9,
    within=0.10,
    ceiling_s=0.5,
)

FULL_GPU = replace(
    FULL,
    timing=TimingPolicy(
        sample_s=5e-3,
        warmup_s=1.2,  # a sustained regime: a second of work before the first sample, see gpu.stopwatch
        least_samples=30,
        most_samples=500,
        target=0.005,
        time_s=1.0,
        patience_s=10.0,
    ),
    within=0.10,
)
"""The GPU's numbers are reasoned, not yet chosen by measuring on one."""

EFFORTS: dict[str, dict[DeviceType, Effort]] = {
    "quick": {"cpu": QUICK, "cuda": QUICK_GPU},
    "full": {"cpu": FULL, "cuda": FULL_GPU},
}
"""By name and type of device."""
