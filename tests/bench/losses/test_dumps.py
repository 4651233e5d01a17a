"""Dumps: what is written is what is measured, and every mistake is one line that names it."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from dsabench.bench.losses.dumps import DumpError, check_dump, load_dump
from dsabench.bench.losses.losses import measure_losses
from dsabench.bench.losses.structures import make_case
from dsabench.kernels.attention_inputs import SM_SCALE

NAMES = ("q", "kv", "index_q", "index_k", "index_weights")


@pytest.fixture(scope="module")
def case():
    return make_case("needles", 128, 2, 4, seed=9)


@pytest.fixture
def tensors(case) -> dict[str, torch.Tensor]:
    return {name: getattr(case, name).clone() for name in NAMES}


def dump(folder: Path, tensors: dict[str, torch.Tensor], metadata: dict[str, str] | None = None) -> Path:
    path = folder / "layer 7.safetensors"
    save_file(tensors, path, metadata)
    return path


def refused(folder: Path, tensors: dict[str, torch.Tensor], metadata: dict[str, str] | None = None) -> str:
    path = dump(folder, tensors, metadata)
    with pytest.raises(DumpError) as error:
        load_dump(path)
    message = str(error.value)
    with pytest.raises(DumpError) as checked:
        check_dump(path)
    assert str(checked.value) == message
    assert message.startswith(f"{path}: ")
    assert "\n" not in message
    return message.removeprefix(f"{path}: ")


class TestRoundTrip:
    def test_every_tensor_comes_back(self, case, tensors, tmp_path):
        path = dump(tmp_path, tensors)
        check_dump(path)
        loaded = load_dump(path)
        for name in NAMES:
            assert torch.equal(getattr(loaded, name), getattr(case, name))
        assert (loaded.structure, loaded.synthetic, loaded.seed) == ("layer 7.safetensors", False, 0)
        assert loaded.visible.tolist() == [128, 128]
        assert loaded.sm_scale == SM_SCALE

    def test_a_dump_loses_what_its_case_loses(self, case, tensors, tmp_path):
        path = dump(tmp_path, {**tensors, "positions": case.visible.int()})
        (read,) = measure_losses(load_dump(path), (32,), torch.device("cpu"))
        (made,) = measure_losses(case, (32,), torch.device("cpu"))
        as_dumped = {"structure": "layer 7.safetensors", "synthetic": False, "seed": 0}
        assert read.model_dump() == {**made.model_dump(), **as_dumped}

    @pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32])
    def test_dtypes(self, tensors, tmp_path, dtype):
        written = {name: tensor.to(dtype) for name, tensor in tensors.items()}
        loaded = load_dump(dump(tmp_path, written))
        assert torch.equal(loaded.q, written["q"].bfloat16())
        assert torch.equal(loaded.kv, written["kv"].bfloat16())
        for name in ("index_q", "index_k", "index_weights"):
            assert torch.equal(getattr(loaded, name), written[name].float())

    @pytest.mark.parametrize("dtype", [torch.int32, torch.int64])
    def test_positions_and_scale(self, tensors, tmp_path, dtype):
        tensors["positions"] = torch.tensor([1, 128], dtype=dtype)
        loaded = load_dump(dump(tmp_path, tensors, {"sm_scale": "0.0625", "model": "any"}))
        assert loaded.visible.tolist() == [1, 128]
        assert loaded.visible.dtype == torch.int64
        assert loaded.sm_scale == 0.0625


class TestMistakes:
    @pytest.mark.parametrize("name", NAMES)
    def test_missing(self, tensors, tmp_path, name):
        del tensors[name]
        assert refused(tmp_path, tensors).startswith(f"tensor {name!r} is missing: expected [")

    def test_unknown(self, tensors, tmp_path):
        tensors["position"] = torch.tensor([1, 2])
        assert refused(tmp_path, tensors).startswith("unknown tensor 'position': expected q, kv, ")

    @pytest.mark.parametrize(
        ("name", "shape", "said"),
        [
            ("q", (2, 4, 192), "expected [n_q, h_q, 576], found F32 [2, 4, 192]"),
            ("q", (8, 576), "expected [n_q, h_q, 576], found F32 [8, 576]"),
            ("q", (2, 129, 576), "h_q must be in [1, 128], found F32 [2, 129, 576]"),
            ("kv", (0, 576), "context must be in [1, 1048576], found F32 [0, 576]"),
            ("index_q", (3, 64, 128), "expected [n_q, 64, 128] = [2, 64, 128], found F32 [3, 64, 128]"),
            ("index_k", (127, 128), "expected [context, 128] = [128, 128], found F32 [127, 128]"),
            ("index_weights", (2, 32), "expected [n_q, 64] = [2, 64], found F32 [2, 32]"),
        ],
    )
    def test_shapes(self, tensors, tmp_path, name, shape, said):
        tensors[name] = torch.zeros(shape)
        assert refused(tmp_path, tensors) == f"tensor {name!r}: {said}"

    def test_dtypes(self, tensors, tmp_path):
        tensors["index_k"] = tensors["index_k"].to(torch.float8_e4m3fn)
        said = refused(tmp_path, tensors)
        assert said == "tensor 'index_k': expected BF16 or F16 or F32, found F8_E4M3 [128, 128]"

    @pytest.mark.parametrize("name", NAMES)
    @pytest.mark.parametrize("value", [torch.nan, -torch.inf])
    def test_not_finite(self, tensors, tmp_path, name, value):
        tensors[name][(1,) * tensors[name].ndim] = value
        place = [1] * tensors[name].ndim
        assert refused(tmp_path, tensors) == f"tensor {name!r}: expected finite values, found {value} at {place}"

    def test_too_large_for_bf16(self, tensors, tmp_path):
        tensors["kv"] = tensors["kv"].float()
        tensors["kv"][5, 6] = 3.4028e38
        assert refused(tmp_path, tensors).startswith(
            "tensor 'kv': expected finite values, found 3.4028e+38 at [5, 6], "
        )

    @pytest.mark.parametrize(
        ("positions", "said"),
        [
            (torch.tensor([1, 129]), "expected values in [1, 128], found 129 at [1]"),
            (torch.tensor([0, 5]), "expected values in [1, 128], found 0 at [0]"),
            (torch.tensor([1, 2, 3]), "expected [n_q] = [2], found I64 [3]"),
            (torch.tensor([1.0, 2.0]), "expected I32 or I64, found F32 [2]"),
        ],
    )
    def test_positions(self, tensors, tmp_path, positions, said):
        tensors["positions"] = positions
        assert refused(tmp_path, tensors) == f"tensor 'positions': {said}"

    @pytest.mark.parametrize("text", ["0", "-1", "nan", "1/24", "inf"])
    def test_scale(self, tensors, tmp_path, text):
        said = refused(tmp_path, tensors, {"sm_scale": text})
        assert said == f"metadata 'sm_scale': expected a finite number above 0, found {text!r}"

    def test_no_file(self, tmp_path):
        with pytest.raises(DumpError, match=r"nothing\.safetensors: cannot be read as safetensors: No such file"):
            load_dump(tmp_path / "nothing.safetensors")

    def test_a_folder(self, tmp_path):
        with pytest.raises(DumpError, match="cannot be read as safetensors: "):
            load_dump(tmp_path)

    @pytest.mark.parametrize("content", [b"", b"not a tensor in sight, only words", b"\xff" * 64])
    def test_not_safetensors(self, tmp_path, content):
        path = tmp_path / "words.safetensors"
        path.write_bytes(content)
        with pytest.raises(DumpError, match=r"words\.safetensors: cannot be read as safetensors: "):
            load_dump(path)

    @pytest.mark.parametrize("use", [load_dump, check_dump])
    def test_cut_short(self, tensors, tmp_path, use):
        path = dump(tmp_path, tensors)
        path.write_bytes(path.read_bytes()[:-100])
        with pytest.raises(DumpError, match="cannot be read as safetensors: "):
            use(path)
