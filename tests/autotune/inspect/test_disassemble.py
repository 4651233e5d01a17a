"""Many kernels through one nvdisasm give the text that cuobjdump gives for each; registers and spills from NVIDIA's tools."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from dsabench.autotune.inspect.disassemble import DisassemblyError, disassemble, kernel_code
from dsabench.autotune.inspect.resources import ResourceError, read_ptxas_log, read_resources
from dsabench.autotune.inspect.sass import analyse, parse
from dsabench.autotune.inspect.toolchain import find_toolchain

TIMEOUT_S = 60.0
PTX = """
.version 8.0
.target sm_90a
.address_size 64
.visible .entry NAME(.param .u64 p, .param .u32 n) {
  .reg .pred %q; .reg .b32 %i<4>; .reg .f32 %f; .reg .b64 %a<3>; .local .align 8 .b8 room[LOCAL]; .reg .b64 %l<3>;
  ld.param.u64 %a0, [p]; ld.param.u32 %i0, [n]; mov.u32 %i1, 0; mov.f32 %f, 0f00000000; mov.u64 %l0, room;
LOOP:
  mul.wide.u32 %a1, %i1, 4; add.s64 %a2, %a0, %a1;
  red.global.add.f32 [%a2], %f;
  and.b32 %i2, %i1, 7; mul.wide.u32 %l1, %i2, 4; add.s64 %l2, %l0, %l1; st.local.f32 [%l2], %f; ld.local.f32 %f, [%l2];
  add.u32 %i1, %i1, 1; setp.lt.u32 %q, %i1, %i0; @%q bra LOOP;
  ret;
}
"""


def cubin(folder: Path, name: str, local: int = 32) -> bytes:
    source, out = folder / f"{name}.ptx", folder / f"{name}.cubin"
    source.write_text(PTX.replace("NAME", name).replace("LOCAL", str(local)))
    ptxas = find_toolchain().paths["ptxas"]
    subprocess.run([ptxas, "--gpu-name=sm_90a", str(source), "-o", str(out)], check=True)
    return out.read_bytes()


def test_a_batch_reads_as_one_by_one(tmp_path: Path) -> None:
    tools = find_toolchain().paths
    names = ["first", "second", "third"]
    cubins = [cubin(tmp_path, name, 32 * (n + 1)) for n, name in enumerate(names)]
    codes = [kernel_code(data, name) for data, name in zip(cubins, names, strict=True)]
    batch = disassemble(codes, "sm_90a", tools["nvdisasm"], TIMEOUT_S)
    for name, found in zip(names, batch, strict=True):
        words = [tools["cuobjdump"], "-sass", str(tmp_path / f"{name}.cubin")]
        alone = analyse(parse(subprocess.run(words, capture_output=True, text=True, check=True).stdout))
        assert found == alone
        assert found.loop is not None
        assert found.loop.families["STL"] > 0


def test_resources(tmp_path: Path) -> None:
    cuobjdump = find_toolchain().paths["cuobjdump"]
    found = read_resources(cubin(tmp_path, "one", 64), "one", cuobjdump, TIMEOUT_S)
    assert found.local_bytes == 64
    assert 8 <= found.registers <= 64
    with pytest.raises(ResourceError, match="no resources of other"):
        read_resources(cubin(tmp_path, "one"), "other", cuobjdump, TIMEOUT_S)


def test_what_is_no_cubin(tmp_path: Path) -> None:
    with pytest.raises(DisassemblyError, match="no code of absent"):
        kernel_code(cubin(tmp_path, "present"), "absent")
    with pytest.raises(DisassemblyError, match="not a whole ELF file"):
        kernel_code(b"\x7fELF", "any")
    with pytest.raises(DisassemblyError, match="exit code"):
        disassemble([b"\xff" * 40], "sm_90a", find_toolchain().paths["nvdisasm"], TIMEOUT_S)


LOG = """
ptxas info    : (C7511) Potential Performance Loss: wgmma.mma_async instructions are serialized due to insufficient register resources for the wgmma pipeline in the function 'prefill'
ptxas info    : 11 bytes gmem
ptxas info    : Compiling entry function 'prefill' for 'sm_90a'
ptxas info    : Function properties for prefill
    1608 bytes stack frame, 2892 bytes spill stores, 2652 bytes spill loads
ptxas info    : Used 255 registers, used 1 barriers, 1608 bytes cumulative stack size
"""  # noqa: E501


def test_ptxas_log() -> None:
    log = read_ptxas_log(LOG)
    assert (log.spill_store_bytes, log.spill_load_bytes) == (2892, 2652)
    assert log.serialized
    assert log.losses[0].startswith("(C7511) Potential Performance Loss: wgmma.mma_async")
    clean = read_ptxas_log(LOG.split("\n", 2)[2])
    assert not clean.serialized
    assert clean.losses == ()
    with pytest.raises(ResourceError, match="printed no figures"):
        read_ptxas_log("ptxas warning : nothing\n")
