"""Cubins to SASS, many in one call of nvdisasm."""

from __future__ import annotations

import struct
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from dsabench.autotune.inspect.sass import Code, Instruction, analyse, parse

_BINARY = {"sm_90a": "SM90a"}
_INSTRUCTION_BYTES = 16


class DisassemblyError(Exception):
    """nvdisasm or a cubin is not as expected."""


def kernel_code(cubin: bytes, kernel: str) -> bytes:
    """The machine code of one kernel: section `.text.<kernel>` of a 64-bit ELF file. Raises DisassemblyError without one."""
    try:
        (headers,) = struct.unpack_from("<Q", cubin, 40)
        size, number, names_at = struct.unpack_from("<HHH", cubin, 58)
        sections = [struct.unpack_from("<IIQQQQ", cubin, headers + i * size) for i in range(number)]
        names = sections[names_at][4]
        for name, _, _, _, offset, length in sections:
            begin = names + name
            if cubin[begin : cubin.index(b"\0", begin)].decode() == f".text.{kernel}":
                return cubin[offset : offset + length]
    except (struct.error, ValueError, IndexError) as error:
        raise DisassemblyError(f"the cubin of {kernel} is not a whole ELF file: {error}") from error
    raise DisassemblyError(f"the cubin holds no code of {kernel}")


def disassemble(codes: Sequence[bytes], arch: str, nvdisasm: str, timeout_s: float) -> list[Code]:
    """One `Code` for each kernel's machine code.

    nvdisasm builds its tables anew at every start: 0.4 s of user time against 0.03 s for a kernel of 3000 instructions. So the
    codes are laid end to end in one raw image; branches are relative, and the text is cuobjdump's, instruction by instruction.
    """
    starts, length = [], 0
    for code in codes:
        starts.append(length)
        length += len(code)
    with tempfile.TemporaryDirectory() as folder:
        image = Path(folder) / "image.bin"
        image.write_bytes(b"".join(codes))
        done = subprocess.run(
            [nvdisasm, "--binary", _BINARY[arch], str(image)], capture_output=True, text=True, timeout=timeout_s
        )
    instructions = parse(done.stdout)
    if done.returncode or len(instructions) * _INSTRUCTION_BYTES != length:
        said = next(iter(done.stderr.strip().splitlines()), "nothing")
        raise DisassemblyError(
            f"nvdisasm made {len(instructions)} instructions of {length} bytes, exit code {done.returncode}; it said: {said}"
        )
    found = []
    for start, code in zip(starts, codes, strict=True):
        inside = instructions[start // _INSTRUCTION_BYTES : (start + len(code)) // _INSTRUCTION_BYTES]
        found.append(analyse([_moved(i, start) for i in inside]))
    return found


def _moved(i: Instruction, start: int) -> Instruction:
    return replace(i, address=i.address - start, target=None if i.target is None else i.target - start)
