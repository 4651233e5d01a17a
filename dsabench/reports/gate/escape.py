"""Strings of others' in GitHub's Markdown: shown as they are, whatever they hold."""

from __future__ import annotations

import re

from dsabench.reports.gate.words import plain_line

BREAK = "\u200b"
"""Zero-width space. GitHub looks for mentions, references, emoji and addresses in the rendered text, where no escape helps: this in
their middle does."""
_FOUND_IN_TEXT = re.compile(r"@|#(?=\d)|:(?=//)|\bwww(?=\.)|\bGH(?=-\d)|:(?=[\w+-]+:)", re.IGNORECASE)
_MARKUP = {
    **{character: f"&{name};" for character, name in {"&": "amp", "<": "lt", ">": "gt", "|": "#124"}.items()},
    **{character: f"\\{character}" for character in "\\`*[]~"},
    # Formulas: a backslash does not keep GitHub from pairing dollars.
    "$": "<span>$</span>",
}
_ELLIPSIS = "…"


def escaped(text: str, most: int = 600) -> str:
    """`text` as one line that Markdown shows literally, in a table's cell, a list's item or a paragraph, cut with … to `most` bytes
    of UTF-8, never within an escape."""
    # No character takes less than a byte.
    start = plain_line(text[: most + 1]) + (_ELLIPSIS if len(text) > most + 1 else "")
    line = _FOUND_IN_TEXT.sub(lambda match: match[0] + BREAK, start)
    out: list[str] = []
    left = most
    for index, character in enumerate(line):
        piece = _piece(line, index, character)
        left -= len(piece.encode())
        if left < 0:
            while out and left < len(_ELLIPSIS.encode()):
                left += len(out.pop().encode())
            return "".join(out) + _ELLIPSIS
        out.append(piece)
    return "".join(out)


def _piece(line: str, index: int, character: str) -> str:
    if character == "_":
        # Within a word it is no markup, and `topk_select` stays readable in the source.
        inside = 0 < index < len(line) - 1 and line[index - 1].isalnum() and line[index + 1].isalnum()
        return "_" if inside else "\\_"
    if index == 0 and character in "-+=#":
        return f"\\{character}"
    if character in ".)" and line[:index].isdecimal() and line[index + 1 : index + 2] in ("", " "):
        # `1. ` would begin a list.
        return f"\\{character}"
    return _MARKUP.get(character, character)


def fenced(lines: list[str]) -> list[str]:
    """A block of code: a fence longer than any in it."""
    lines = [plain_line(line) for line in lines]
    longest = max((len(run) for line in lines for run in re.findall("`+", line)), default=0)
    fence = "`" * max(3, longest + 1)
    return [f"{fence}sh", *lines, fence]
