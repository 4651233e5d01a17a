"""File names from words that others chose: device names, implementations of plugins."""

from __future__ import annotations

import re
from collections.abc import Mapping


def device_file_name(name: str) -> str:
    """`NVIDIA H100 80GB HBM3` as `NVIDIA_H100_80GB_HBM3`: for NVIDIA's names what vLLM and SGLang make of
    `torch.cuda.get_device_name()`. Whatever else could leave the folder, or end the name's `key=value` list, becomes `_` too."""
    return safe_word(name) or "unknown"


def safe_word(text: str) -> str:
    """Letters, digits, `.`, `+` and `-` stay, all else becomes `_`; no dot at either end; at most 80 characters."""
    return re.sub(r"[^A-Za-z0-9.+-]+", "_", text)[:80].strip("._")


def axis_words(axes: Mapping[str, int]) -> list[str]:
    return [f"{safe_word(name)}={value}" for name, value in axes.items()]
