"""Our ops as flashinfer-bench Definitions.

None of its own `dsa_paged` definitions is one of ours: its top-k indexer is our `paged_indexer_logits` and `topk_select` in one
and returns cache slots; its sparse attention takes queries and caches split in two and gives a base-2 lse. A trace under its names
would be of a call that was never timed. So each op has definitions of our own, named `dsabench_<op>_<constants>`; but for those
that write into a cache of the caller's, of which flashinfer-bench would compare the bytes that no call writes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

OP_TYPE = "dsabench"
"""Folder of the dataset. Not `dsa_paged`: for those flashinfer-bench has evaluators that expect its own layouts."""

_REFERENCES = Path(__file__).parent / "references"

Fill = Literal["random", "saved", "scalar"]
"""Where a workload's input comes from. saved: from our inputs, as random numbers are no indices, lengths, tables or packed caches
(flashinfer-bench draws int32 from [-1024, 1024) and int8 from all bytes, NaN codes among them); random: its `randn`."""


@dataclass(frozen=True)
class Input:
    """shape: names of axes, None of a scalar; dtype as flashinfer-bench writes it (bytes are int8: it has no uint8)."""

    shape: tuple[str, ...] | None
    dtype: str
    fill: Fill
    description: str


@dataclass(frozen=True)
class Spec:
    """An op in flashinfer-bench's terms. constants: axis → op axis or number; variable: axis → meaning; the name's `suffix` is
    formatted with the constants, which therefore hold in all workloads of one definition. Inputs have the names and order of the
    op's `Inputs`."""

    suffix: str
    constants: Mapping[str, str | int]
    variable: Mapping[str, str]
    inputs: Mapping[str, Input]
    outputs: Mapping[str, Input]
    description: str
    related: str = ""
    """the flashinfer-bench definition that is closest"""


def _out(shape: tuple[str, ...], dtype: str, description: str) -> Input:
    return Input(shape, dtype, "random", description)


_SCALE = Input(None, "float32", "scalar", "factor of the scores before softmax")
_CAUSAL = Input(
    None, "bool", "scalar", "queries are the last tokens of their context and see none that comes after them"
)
_LSE = "natural logarithm of the sum of exp(scores), -inf for a query that sees no key"
_ATTENTION = "dsa_sparse_attention_h16_ckv512_kpe64_topk2048_ps64"
_INDEXER = "dsa_topk_indexer_fp8_h64_d128_topk2048_ps64"

SPECS: dict[str, Spec] = {
    "indexer_logits": Spec(
        suffix="fp8_h{h}_d128",
        constants={"h": "h", "head_dim": 128},
        variable={"s_q": "queries", "s_kv": "keys"},
        inputs={
            "q": Input(("s_q", "h", "head_dim"), "float8_e4m3fn", "random", "queries"),
            "k": Input(("s_kv", "head_dim"), "float8_e4m3fn", "random", "one key head for all query heads"),
            "k_scale": Input(("s_kv",), "float32", "saved", "scales of the keys"),
            "weights": Input(("s_q", "h"), "float32", "random", "weights of the heads, the queries' scales folded in"),
            "ks": Input(("s_q",), "int32", "saved", "first key of each query's window"),
            "ke": Input(("s_q",), "int32", "saved", "end of each query's window, exclusive"),
        },
        outputs={"logits": _out(("s_q", "s_kv"), "float32", "scores, -inf outside the window")},
        description="Scores of DeepSeek Sparse Attention's lightning indexer, windowed.",
    ),
    "paged_indexer_logits": Spec(
        suffix="fp8_h{h}_d128_ps64_n{max_context}",
        constants={"h": "h", "head_dim": 128, "page": 64, "one": 1, "token_bytes": 132, "max_context": "s_kv"},
        variable={
            "b": "sequences",
            "next_n": "query tokens a sequence",
            "rows": "b times next_n",
            "num_blocks": "blocks of the cache",
            "max_blocks": "columns of the block table",
        },
        inputs={
            "q": Input(("b", "next_n", "h", "head_dim"), "float8_e4m3fn", "random", "queries"),
            "k_cache": Input(
                ("num_blocks", "page", "one", "token_bytes"),
                "int8",
                "saved",
                "bytes of the paged key cache: of a block 64 x 128 e4m3 keys, then 64 float32 scales",
            ),
            "weights": Input(("rows", "h"), "float32", "random", "weights of the heads, the queries' scales folded in"),
            "context_lens": Input(("b", "next_n"), "int32", "saved", "tokens that each query sees"),
            "block_table": Input(("b", "max_blocks"), "int32", "saved", "blocks of each sequence; garbage past its end"),
            "max_context_len": Input(None, "int32", "scalar", "columns of the output"),
        },
        outputs={"logits": _out(("rows", "max_context"), "float32", "scores, -inf from a query's length on")},
        description="Scores of DeepSeek Sparse Attention's lightning indexer over a paged cache of 132 bytes a token.",
        related=_INDEXER,
    ),
    "topk_select": Spec(
        suffix="topk{k_selected}",
        constants={"k_selected": "k"},
        variable={"rows": "rows of scores", "columns": "scores a row"},
        inputs={
            "logits": Input(("rows", "columns"), "float32", "random", "scores"),
            "starts": Input(("rows",), "int32", "saved", "first column of each row's window"),
            "ends": Input(("rows",), "int32", "saved", "end of each row's window, exclusive"),
            "k": Input(None, "int32", "scalar", "columns to select"),
            "deterministic": Input(None, "bool", "scalar", "lowest column first among equals, ascending columns"),
        },
        outputs={"indices": _out(("rows", "k_selected"), "int32", "columns, -1 padded at the end")},
        description="The exact selection of each row's highest scores.",
        related=_INDEXER,
    ),
    "sparse_mla_prefill": Spec(
        suffix="h{h_q}_ckv512_kpe64_topk{topk}",
        constants={"h_q": "h_q", "topk": "topk", "d_qk": 576, "d_v": 512, "one": 1},
        variable={"s_q": "query tokens", "s_kv": "keys"},
        inputs={
            "q": Input(("s_q", "h_q", "d_qk"), "bfloat16", "random", "queries: 512 latent, 64 rope dims"),
            "kv": Input(("s_kv", "one", "d_qk"), "bfloat16", "random", "latent cache; the first 512 dims are V"),
            "indices": Input(("s_q", "one", "topk"), "int32", "saved", "rows of kv; others than [0, s_kv) are skipped"),
            "sm_scale": _SCALE,
        },
        outputs={
            "out": _out(("s_q", "h_q", "d_v"), "bfloat16", "attention output"),
            "lse": _out(("s_q", "h_q"), "float32", _LSE),
        },
        description="Sparse MLA over a bf16 latent cache: every query attends to its own top-k keys.",
        related=_ATTENTION,
    ),
    "sparse_mla_decode": Spec(
        suffix="fp8_h{h_q}_ckv512_kpe64_topk{topk}_ps{page}",
        constants={
            "h_q": "h_q", "topk": "topk", "page": "page", "d_qk": 576, "d_v": 512, "one": 1, "token_bytes": 656,
        },
        variable={"b": "sequences", "s_q": "query tokens a sequence", "num_blocks": "blocks of the cache"},
        inputs={
            "q": Input(("b", "s_q", "h_q", "d_qk"), "bfloat16", "random", "queries: 512 latent, 64 rope dims"),
            "kv_cache": Input(
                ("num_blocks", "page", "one", "token_bytes"),
                "int8",
                "saved",
                "bytes of the paged cache: of a token 512 e4m3 codes, 4 float32 scales, 64 bfloat16 rope dims",
            ),
            "indices": Input(("b", "s_q", "topk"), "int32", "saved", "slots block * page + offset; others are skipped"),
            "sm_scale": _SCALE,
        },
        outputs={
            "out": _out(("b", "s_q", "h_q", "d_v"), "bfloat16", "attention output"),
            "lse": _out(("b", "s_q", "h_q"), "float32", _LSE),
        },
        description="Sparse MLA over a paged fp8 latent cache of 656 bytes a token.",
        related=_ATTENTION,
    ),
    "dense_mla_decode": Spec(
        suffix="h{h_q}_ckv512_kpe64_ps{page}",
        constants={"h_q": "h_q", "page": "page", "d_qk": 576, "d_v": 512, "one": 1},
        variable={
            "b": "sequences",
            "s_q": "query tokens a sequence",
            "num_blocks": "blocks of the cache",
            "max_blocks": "columns of the block table",
        },
        inputs={
            "q": Input(("b", "s_q", "h_q", "d_qk"), "bfloat16", "random", "queries: 512 latent, 64 rope dims"),
            "kv_cache": Input(
                ("num_blocks", "page", "one", "d_qk"), "bfloat16", "random", "paged cache; the first 512 dims are V"
            ),
            "block_table": Input(("b", "max_blocks"), "int32", "saved", "blocks of each sequence; garbage past its end"),
            "cache_seqlens": Input(("b",), "int32", "saved", "tokens of each sequence"),
            "sm_scale": _SCALE,
            "causal": _CAUSAL,
        },
        outputs={
            "out": _out(("b", "s_q", "h_q", "d_v"), "bfloat16", "attention output"),
            "lse": _out(("b", "s_q", "h_q"), "float32", _LSE),
        },
        description="Dense absorbed MLA over a paged bf16 latent cache.",
    ),
    "dense_mha_prefill": Spec(
        suffix="h{h_q}_qk192_v128",
        constants={"h_q": "h_q", "d_qk": 192, "d_v": 128},
        variable={"s_q": "query tokens, the last of the context", "s_kv": "keys"},
        inputs={
            "q": Input(("s_q", "h_q", "d_qk"), "bfloat16", "random", "queries"),
            "k": Input(("s_kv", "h_q", "d_qk"), "bfloat16", "random", "keys of every head"),
            "v": Input(("s_kv", "h_q", "d_v"), "bfloat16", "random", "values of every head"),
            "sm_scale": _SCALE,
            "causal": _CAUSAL,
        },
        outputs={
            "out": _out(("s_q", "h_q", "d_v"), "bfloat16", "attention output"),
            "lse": _out(("s_q", "h_q"), "float32", _LSE),
        },
        description="Dense multi-head attention with 192/128 dims a head.",
    ),
    "dequantize_kv_cache": Spec(
        suffix="fp8_ckv512_kpe64_ps{page}",
        constants={"page": "page", "d_qk": 576, "one": 1, "token_bytes": 656},
        variable={"n": "tokens", "num_blocks": "blocks of the cache"},
        inputs={
            "kv_cache": Input(
                ("num_blocks", "page", "one", "token_bytes"),
                "int8",
                "saved",
                "bytes of the paged cache: of a token 512 e4m3 codes, 4 float32 scales, 64 bfloat16 rope dims",
            ),
            "slots": Input(("n",), "int64", "saved", "slots block * page + offset; others are zero rows"),
        },
        outputs={"kv": _out(("n", "d_qk"), "bfloat16", "rows: 512 latent, 64 rope dims")},
        description="Tokens of a paged fp8 latent cache of 656 bytes a token as bf16 rows.",
    ),
}  # fmt: skip


def definition_name(op: str, axes: Mapping[str, int]) -> str:
    spec = SPECS[op]
    return f"dsabench_{op}_{spec.suffix.format_map(_constants(spec, axes))}"


def definition(op: str, axes: Mapping[str, int]) -> dict[str, Any]:
    """The Definition of an op at these axes, as its JSON file holds it."""
    spec = SPECS[op]
    constants = _constants(spec, axes)
    closest = f" flashinfer-bench's closest: {spec.related}." if spec.related else ""
    return {
        "name": definition_name(op, axes),
        "op_type": OP_TYPE,
        "description": spec.description + closest,
        "tags": ["dsabench", f"op:{op}"],
        "axes": {
            **{name: {"type": "const", "value": value} for name, value in constants.items()},
            **{name: {"type": "var", "description": meaning} for name, meaning in spec.variable.items()},
        },
        "inputs": {name: _tensor(each) for name, each in spec.inputs.items()},
        "outputs": {name: _tensor(each) for name, each in spec.outputs.items()},
        "reference": (_REFERENCES / f"{op}.py").read_text(),
    }


def bindings(spec: Spec) -> dict[str, tuple[str, int]]:
    """By variable axis the input and dimension that give its value: the first, as flashinfer-bench does."""
    found: dict[str, tuple[str, int]] = {}
    for name, each in spec.inputs.items():
        for dim, axis in enumerate(each.shape or ()):
            if axis in spec.variable:
                found.setdefault(axis, (name, dim))
    return {axis: found[axis] for axis in spec.variable}


def _constants(spec: Spec, axes: Mapping[str, int]) -> dict[str, int]:
    return {name: value if isinstance(value, int) else axes[value] for name, value in spec.constants.items()}


def _tensor(each: Input) -> dict[str, Any]:
    shape = None if each.shape is None else list(each.shape)
    return {"shape": shape, "dtype": each.dtype, "description": each.description}
