"""Tuned configs as vLLM and SGLang keep theirs: a JSON file by shape and device name, whose keys are sizes and whose values are
configs.

`op=…,impl=…,<every axis but the context>,device_name=….json` maps context lengths to configs. Both engines turn every key into an
int (vLLM drops `triton_version` first, SGLang nothing), so what else there is to say stands in `….meta.json` beside it. Folders
by version as SGLang's and vLLM's (`triton_3_7_1/`): a config holds for the compiler it was measured with.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from dsabench.reports.export.exported import Exported, ExportError, LeftOut, json_text, write_file
from dsabench.reports.export.names import axis_words, device_file_name, safe_word
from dsabench.reports.export.tuned import Tuned
from dsabench.reports.sections import CONTEXT_AXIS, instant

META_SCHEMA = 1
_COMPILERS = ("triton", "numba", "torch")
"""Whose version names the folder: the first that is part of a config's key."""


def write_serving(found: Sequence[Tuned], out: Path, also_for: Sequence[str] = ()) -> Exported:
    """also_for: names of devices under which the same files are written once more; their `.meta.json` says where they were
    measured. Raises ExportError."""
    if not found:
        raise ExportError("nothing to export: no tuned config (one that was re-timed interleaved) was found")
    names = [device_file_name(name) for name in also_for]
    done = Exported()
    contents: dict[Path, str] = {}
    for path, group in _by_file(found).items():
        kept, superseded = _newest(group)
        done.left_out += superseded
        configs = {str(context): dict(tuned.config) for context, tuned in kept.items()}
        done.rows += len(configs)
        for name in dict.fromkeys([device_file_name(group[0].device), *names]):
            target = path.with_name(f"{path.name},device_name={name}.json")
            contents[out / target] = json_text(configs)
            meta = _meta(kept, None if name == device_file_name(group[0].device) else name)
            contents[out / target.with_name(target.name.removesuffix(".json") + ".meta.json")] = json_text(meta)
    for each, text in sorted(contents.items()):
        write_file(each, text)
    done.files = sorted(contents)
    return done


def _by_file(found: Iterable[Tuned]) -> dict[Path, list[Tuned]]:
    """By file, as yet without device name: those of one op, implementation and shape, and of one compiler. Raises ExportError when
    two devices, or two implementations whose names differ in signs that a file name cannot have, would share a file."""
    groups: dict[Path, list[Tuned]] = {}
    for tuned in sorted(found, key=lambda t: (t.device_key, t.what)):
        others = {name: value for name, value in tuned.axes.items() if name != CONTEXT_AXIS}
        name = ",".join([f"op={safe_word(tuned.op)}", f"impl={safe_word(tuned.impl)}", *axis_words(others)])
        groups.setdefault(Path(_version_folder(tuned)) / name, []).append(tuned)
    for group in groups.values():
        owners = sorted({(tuned.device_key, f"{tuned.op}/{tuned.impl}") for tuned in group})
        if len(owners) > 1:
            first, second = (f"{what} on {device}" for device, what in owners[:2])
            raise ExportError(f"{first} and {second} would share a file; export them apart")
    return groups


def _version_folder(tuned: Tuned) -> str:
    compiler = next((name for name in _COMPILERS if name in tuned.versions), None)
    return (
        "unknown_version" if compiler is None else f"{compiler}_{safe_word(tuned.versions[compiler]).replace('.', '_')}"
    )


def _newest(group: Sequence[Tuned]) -> tuple[dict[int, Tuned], list[LeftOut]]:
    """By context, ascending, the latest measured of each. One file is of one source and one set of versions, those of the latest:
    a config of an older kernel may not even be legal beside them."""
    ordered = sorted(group, key=_age)
    latest = ordered[-1]
    kept: dict[int, Tuned] = {}
    left_out = []
    for tuned in ordered:
        if (tuned.source, dict(tuned.versions)) != (latest.source, dict(latest.versions)):
            left_out.append(LeftOut(tuned.what, f"an older kernel or other versions than of {latest.measured}"))
        elif tuned.context is not None:
            kept[tuned.context] = tuned
    return dict(sorted(kept.items())), left_out


def _age(tuned: Tuned) -> tuple[float, str]:
    """Of two measured at one moment the later in writing counts, whatever the order of the sources."""
    when = instant(tuned.measured)
    return (when.timestamp() if when else 0.0, json.dumps([tuned.source, dict(tuned.config)], sort_keys=True))


def _meta(kept: dict[int, Tuned], copied_for: str | None) -> dict[str, Any]:
    one = next(iter(kept.values()))
    return {
        "schema": META_SCHEMA,
        "op": one.op,
        "impl": one.impl,
        "axes": {name: value for name, value in one.axes.items() if name != CONTEXT_AXIS},
        "keys": CONTEXT_AXIS,
        "measured_on": {"device": one.device, "device_key": one.device_key},
        "copied_for": copied_for,
        "source": one.source,
        "versions": dict(one.versions),
        "entries": {
            str(context): {
                "median_s": tuned.median_s,
                "low_s": tuned.low_s,
                "high_s": tuned.high_s,
                "noise": tuned.noise,
                "is_default": tuned.config == tuned.default_config,
                "default_config": tuned.default_config,
                "speedup_over_default": tuned.speedup_over_default,
                "speedup_over_torch": tuned.speedup_over_torch,
                "roofline_fraction": tuned.roofline_fraction,
                "ties": tuned.ties,
                "measured": tuned.measured,
                "commit": tuned.commit,
            }
            for context, tuned in kept.items()
        },
    }
