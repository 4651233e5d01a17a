"""Which products, dequantization and register tiles this CPU can run: the choices shared by the CPU implementations."""

from __future__ import annotations

from dsabench.kernels.implementation import Config, Tunable
from dsabench.kernels.machine import cpu_isa

MATH = Tunable(
    "MATH",
    ("bf16", "f32"),
    "products: bf16 pairs (vdpbf16ps, needs avx512_bf16) or f32 vectors (any CPU)",
    recompiles=True,
)
DEQUANT = Tunable(
    "DEQUANT",
    ("permute", "table"),
    "e4m3 codes by byte permute (vpermi2b, needs avx512_vbmi) or by a 256-entry table (any CPU)",
    recompiles=True,
)


def default_math() -> str:
    return "bf16" if "avx512_bf16" in cpu_isa() else "f32"


def default_dequant() -> str:
    return "permute" if _has_permute() else "table"


def _has_permute() -> bool:
    return {"avx512_vbmi", "avx512f"} <= set(cpu_isa())


def missing_extension(config: Config) -> str | None:
    """Why this CPU cannot run the config's MATH or DEQUANT; None when it can."""
    if config["MATH"] == "bf16" and "avx512_bf16" not in cpu_isa():
        return "MATH=bf16 needs avx512_bf16, which this CPU does not have"
    if config.get("DEQUANT") == "permute" and not _has_permute():
        return "DEQUANT=permute needs avx512_vbmi, which this CPU does not have"
    return None


def describe_products(config: Config) -> str:
    """What really runs, for the journal."""
    instruction = {"bf16": "vdpbf16ps", "f32": "f32 fmuladd vectors"}[str(config["MATH"])]
    dequant = {"permute": ", e4m3 by vpermi2b", "table": ", e4m3 by table", None: ""}[config.get("DEQUANT")]  # type: ignore[index]
    widest = next((e for e in ("avx512f", "avx2", "sve", "neon") if e in cpu_isa()), "baseline")
    return f"numba, {instruction} ({widest}){dequant}"


def unavailable() -> str | None:
    """None when numba can be imported; else what to do."""
    try:
        import numba  # noqa: F401
    except ImportError as error:
        return f"numba cannot be imported ({error}); install numba, or use impl='torch'"
    return None
