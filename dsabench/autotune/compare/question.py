"""What is compared: phase, lengths and sizes, checked before anything runs."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Literal

from dsabench.bench.pipeline.shape import Shape
from dsabench.kernels.sizes import format_size, parse_size

Phase = Literal["decode", "prefill"]
PHASES: tuple[Phase, ...] = ("decode", "prefill")
INDEX_HEADS = 64
"""of DeepSeek-V3.2's indexer; tensor parallelism does not split it"""
DEFAULT_CONTEXTS = "1k,2k,4k,8k,16k,32k,64k,128k"


class QuestionError(ValueError):
    """A comparison that cannot be made; the message names the option and what was expected."""


@dataclass(frozen=True)
class Question:
    """contexts: ascending; batch: sequences; queries: tokens of a sequence in one call, a step's (decode) or a chunk's (prefill);
    heads: attention heads; topk: keys selected."""

    phase: Phase
    contexts: tuple[int, ...]
    batch: int = 1
    queries: int = 1
    heads: int = 128
    topk: int = 2048

    def __post_init__(self) -> None:
        for context in self.contexts:
            try:
                self.shape(context).check()
            except ValueError as error:
                raise QuestionError(str(error)) from None

    def shape(self, context: int) -> Shape:
        return Shape(self.phase, context, self.batch, self.queries, self.heads, INDEX_HEADS, self.topk)

    def suite(self) -> str:
        """The journal header's name for it, e.g. `decode 4k,8k b=1 s_q=1 h_q=128 topk=2048`; `parse_question` reads it."""
        lengths = ",".join(format_size(context) for context in self.contexts)
        return f"{self.phase} {lengths} b={self.batch} s_q={self.queries} h_q={self.heads} topk={self.topk}"


def parse_question(suite: str) -> Question:
    """The inverse of `Question.suite`. Raises QuestionError for a journal of another kind of run."""
    words = suite.split()
    try:
        phase, lengths, *axes = words
        values = {name: int(value) for name, _, value in (axis.partition("=") for axis in axes)}
        return Question(
            parse_phase(phase),
            parse_lengths(lengths),
            **{field: values.pop(name) for field, name in _AXES.items()},
        )
    except (ValueError, KeyError):
        raise QuestionError(f"its journal is not of `compare --dense`: it measured {suite!r}") from None


_AXES = {"batch": "b", "queries": "s_q", "heads": "h_q", "topk": "topk"}


def parse_phase(text: str) -> Phase:
    for phase in PHASES:
        if text == phase:
            return phase
    raise QuestionError(f"unknown phase {text!r}; choose {' or '.join(PHASES)}")


def parse_lengths(text: str) -> tuple[int, ...]:
    """`4k,16k` → (4096, 16384). Raises QuestionError unless each is a size, larger than the one before."""
    lengths = []
    for word in text.split(","):
        try:
            length = parse_size(word)
        except ValueError as error:
            raise QuestionError(f"context: {error}") from None
        lengths.append(length)
    for before, after in itertools.pairwise(lengths):
        if after == before:
            raise QuestionError(f"context {format_size(after)} stands twice")
        if after < before:
            raise QuestionError(f"contexts must ascend, got {format_size(after)} after {format_size(before)}")
    return tuple(lengths)
