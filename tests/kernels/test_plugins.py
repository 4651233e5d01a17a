from __future__ import annotations

import importlib.metadata
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

import dsabench
from dsabench.kernels import registry
from dsabench.kernels.cuda.compile import compile_launch
from dsabench.kernels.plugin import WrongOutputsError
from dsabench.kernels.registry import PluginError, get_implementation, get_op, implementation_names, load_plugin
from dsabench.kernels.source_hash import source_hash
from dsabench.kernels.workload import Workload
from tests.kernels.cuda.launches import scale
from tests.kernels.running import check_all_rows, run_poisoned
from tests.kernels.tilelang import launches as tilelang_launches

WORKLOAD = Workload.of("topk_select", {"rows": 3, "s_kv": 40, "k": 8}, "normal", 0)
RIGHT = """
import dsabench
from dsabench.kernels.registry import get_op
import torch

@dsabench.implementation("topk_select", devices="cpu", CHUNK=(16, 32), ORDER=["up", "down"])
def mine(inputs, outputs, config):
    '''The reference.

    Nothing more.'''
    rows = torch.arange(len(inputs.logits))
    outputs[0].copy_(get_op("topk_select").reference(inputs, rows)[0])
"""
HEAD = "import dsabench\n"
BODY = "\ndef mine(inputs, outputs, config): pass\n"


@pytest.fixture(autouse=True)
def _no_plugin_survives(monkeypatch):
    monkeypatch.setattr(registry, "_plugins", {})
    monkeypatch.setattr(registry, "_entry_points_loaded", False)
    source_hash.cache_clear()
    modules = set(sys.modules)
    yield
    source_hash.cache_clear()
    for name in set(sys.modules) - modules:
        if name.startswith(("dsabench_plugin_", "offered_")):
            del sys.modules[name]


def write(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


class TestDecorator:
    def test_a_function_joins_under_its_own_name_and_computes(self, tmp_path):
        (mine,) = load_plugin(write(tmp_path / "one.py", RIGHT))
        assert (mine.id, mine.summary, mine.device_types) == ("topk_select/mine", "The reference.", ("cpu",))
        assert [(t.name, t.choices, t.recompiles) for t in mine.tunables] == [
            ("CHUNK", (16, 32), False),
            ("ORDER", ("up", "down"), False),
        ]
        assert mine.default_config({}) == {"CHUNK": 16, "ORDER": "up"}
        inputs = WORKLOAD.make_inputs()
        op = get_op("topk_select")
        assert check_all_rows(op, inputs, run_poisoned(op, mine, inputs)).passed
        assert dsabench.topk_select(inputs.logits, inputs.starts, inputs.ends, 8, impl="mine").shape == (3, 8)

    def test_the_function_is_returned_and_can_be_decorated_twice(self):
        @dsabench.implementation("topk_select", devices=("cpu", "cuda"), name="both-of-them")
        @dsabench.implementation("indexer_logits", devices=["cuda"])
        def both(inputs, outputs, config):
            return "called"

        assert both(None, None, None) == "called"
        assert get_implementation("topk_select", "both-of-them").device_types == ("cpu", "cuda")
        assert get_implementation("topk_select", "both-of-them").unavailable() is None
        assert get_implementation("indexer_logits", "both").unavailable() == "needs an NVIDIA GPU"

    def test_defaults_and_constraints(self):
        @dsabench.implementation(
            "topk_select",
            devices="cpu",
            default=lambda axes: {"B": axes["k"]},
            constraint=lambda config, axes: "B is over k" if config["B"] > axes["k"] else None,
            A=(1, 2),
            B=(8, 16),
        )
        def mine(inputs, outputs, config):
            pass

        found = get_implementation("topk_select", "mine")
        assert found.default_config({"k": 16}) == {"A": 1, "B": 16}
        assert found.check_config({"A": 2}, {"k": 8}) == {"A": 2, "B": 8}
        with pytest.raises(ValueError, match="cannot run: B is over k"):
            found.check_config({"B": 16}, {"k": 8})
        with pytest.raises(PluginError, match=r"topk_select/mine: its default B = 9 is not one of \[8, 16\]"):
            found.default_config({"k": 9})
        with pytest.raises(PluginError, match="its default failed: KeyError: 'k'"):
            found.default_config({})

    def test_a_constraint_that_answers_yes_or_no_is_refused(self):
        @dsabench.implementation("topk_select", devices="cpu", constraint=lambda config, axes: False)
        def mine(inputs, outputs, config):
            pass

        with pytest.raises(PluginError, match="must return None or why a config cannot run, got False"):
            get_implementation("topk_select", "mine").constraint({}, {})

    def test_returned_tensors_are_refused_and_the_outputs_themselves_are_not(self):
        @dsabench.implementation("topk_select", devices="cpu")
        def mine(inputs, outputs, config):
            return outputs[0] if inputs else torch.zeros(2, 3)

        run = get_implementation("topk_select", "mine").run
        outputs = (torch.empty((3, 8), dtype=torch.int32),)
        run(True, outputs, {})
        with pytest.raises(
            WrongOutputsError, match=r"it returned float32 \[2, 3\]; .* `outputs`: indices int32 \[3, 8\]"
        ):
            run(False, outputs, {})

    def test_the_hash_is_of_the_users_file(self, tmp_path):
        path = write(tmp_path / "one.py", RIGHT)
        load_plugin(path)
        before = source_hash("topk_select", "mine")
        source_hash.cache_clear()
        path.write_text(RIGHT + "X = 1\n")
        assert source_hash("topk_select", "mine") != before

    def test_two_files_of_one_name_are_two_modules(self, tmp_path):
        (tmp_path / "a").mkdir()
        (tmp_path / "b").mkdir()
        load_plugin(write(tmp_path / "a" / "kernels.py", RIGHT))
        load_plugin(write(tmp_path / "b" / "kernels.py", RIGHT.replace("def mine", "def other") + "X = 1\n"))
        assert {"mine", "other"} <= set(implementation_names("topk_select"))
        assert source_hash("topk_select", "mine") != source_hash("topk_select", "other")
        assert load_plugin(tmp_path / "a" / "kernels.py") == []
        assert load_plugin(tmp_path / "b" / "kernels.py") == []

    def test_importing_dsabench_stays_light(self):
        code = "import sys, dsabench; assert not {'torch', 'triton'} & set(sys.modules); dsabench.implementation"
        subprocess.run([sys.executable, "-c", code], check=True)


class TestTritonDecorator:
    def test_the_launches_are_run_interpreted_and_planned(self):
        ran = []

        class Kernel:
            def __getitem__(self, grid):
                return lambda **arguments: ran.append((grid, arguments))

        @dsabench.triton_implementation("topk_select", BLOCK=(32, 64))
        def mine(inputs, outputs, config):
            return dsabench.Launch(Kernel(), (3,), {"x": config["BLOCK"]}, 4, 1)

        found = get_implementation("topk_select", "mine")
        assert found.plan is not None
        assert found.emulated()
        assert found.device_types == ("cpu",)
        assert found.tunables[0].recompiles
        assert [launch.grid for launch in found.plan(None, (), {"BLOCK": 64})] == [(3,)]
        found.run(None, (), {"BLOCK": 64})
        assert ran == [((3,), {"x": 64, "num_warps": 4, "num_stages": 1})]

    @pytest.mark.parametrize(("returned", "got"), [(None, "NoneType"), ([], "none"), ([3], "int")])
    def test_a_plan_without_launches_says_so(self, returned, got):
        @dsabench.triton_implementation("topk_select")
        def mine(inputs, outputs, config):
            return returned

        with pytest.raises(TypeError, match=rf"mine must return its launches \(dsabench\.Launch\), got {got}"):
            get_implementation("topk_select", "mine").run(None, (), {})


class TestCudaCpp:
    @pytest.mark.parametrize("decorator", [dsabench.cuda_implementation, dsabench.tilelang_implementation])
    def test_a_plan_of_cuda_launches(self, decorator):
        @decorator("topk_select", BLOCK=(32, 64))
        def mine(inputs, outputs, config):
            return scale(block=(config["BLOCK"],))

        found = get_implementation("topk_select", "mine")
        assert found.plan is not None
        assert (found.device_types, found.emulated()) == (("cuda",), False)
        assert found.unavailable() is not None  # no GPU
        assert found.tunables[0].recompiles
        assert [launch.block for launch in found.plan(None, (), {"BLOCK": 64})] == [(64,)]
        compiled = compile_launch(found.plan(None, (), {"BLOCK": 128})[0])
        assert compiled.cubin.startswith(b"\x7fELF")

    def test_tilelang_beside_cuda(self):
        @dsabench.tilelang_implementation("topk_select")
        def mine(inputs, outputs, config):
            return [tilelang_launches.scale(), scale()]

        plan = get_implementation("topk_select", "mine").plan
        assert plan is not None
        assert [type(launch).__name__ for launch in plan(None, (), {})] == ["TileLangLaunch", "CudaLaunch"]

    def test_a_launch_of_another_language_says_what_is_wanted(self):
        @dsabench.cuda_implementation("topk_select")
        def mine(inputs, outputs, config):
            return tilelang_launches.scale()

        @dsabench.tilelang_implementation("topk_select")
        def other(inputs, outputs, config):
            return []

        with pytest.raises(TypeError, match=r"mine must .* \(dsabench\.CudaLaunch\), got TileLangLaunch"):
            get_implementation("topk_select", "mine").run(None, (), {})
        with pytest.raises(TypeError, match=r"\(dsabench\.TileLangLaunch or dsabench\.CudaLaunch\), got none"):
            get_implementation("topk_select", "other").run(None, (), {})


ERRORS: list[tuple[str, str]] = [
    (
        HEAD + "@dsabench.implementation('sparse_mla_decod', devices='cpu')" + BODY,
        r"bad\.py, line 2: unknown op 'sparse_mla_decod' \(did you mean 'sparse_mla_decode'\?\)",
    ),
    (
        HEAD + "@dsabench.triton_implementation('attention')" + BODY,
        r"bad\.py, line 2: unknown op 'attention'; known: indexer_logits, ",
    ),
    (
        HEAD + "\n@dsabench.implementation('topk_select', devices='gpu')" + BODY,
        r"bad\.py, line 3: unknown device 'gpu'; known: cpu, cuda",
    ),
    (HEAD + "@dsabench.implementation('topk_select', devices=())" + BODY, "devices must name at least one of cpu, cuda"),
    (HEAD + "@dsabench.implementation('topk_select')" + BODY, "missing 1 required keyword-only argument: 'devices'"),
    (
        HEAD + "@dsabench.implementation('topk_select', devices='cpu', name='torch')" + BODY,
        "topk_select/torch exists already",
    ),
    (
        HEAD + 2 * ("@dsabench.implementation('topk_select', devices='cpu')" + BODY),
        r"line 4: implementation topk_select/mine exists already; choose another name",
    ),
    (HEAD + "@dsabench.implementation('topk_select', devices='cpu', name='my kernel')" + BODY, "'my kernel' is no name"),
    (HEAD + "dsabench.implementation('topk_select', devices='cpu')(lambda a, b, c: 0)", "'<lambda>' is no name"),
    (HEAD + "@dsabench.implementation('topk_select', devices='cpu', N=())" + BODY, "mine: tunable N has no choices"),
    (HEAD + "@dsabench.implementation('topk_select', devices='cpu', N=4)" + BODY, "N must be a tuple or list .*, got 4"),
    (HEAD + "@dsabench.implementation('topk_select', devices='cpu', N='ab')" + BODY, "tuple or list .*, got 'ab'"),
    (HEAD + "@dsabench.implementation('topk_select', devices='cpu', N=(1.5,))" + BODY, "1.5 is not an int, a string"),
    (HEAD + "@dsabench.implementation('topk_select', devices='cpu', N=(4, 4))" + BODY, "tunable N has 4 twice"),
    (
        HEAD + "@dsabench.implementation('topk_select', devices='cpu', default={'M': 1}, N=(1,))" + BODY,
        "its default: unknown tunable 'M'",
    ),
    (HEAD + "@dsabench.implementation('topk_select', devices='cpu', default=3, N=(1,))" + BODY, "must be a dict, got 3"),
    (
        HEAD + "@dsabench.implementation('topk_select', devices='cpu')\ndef mine(inputs, outputs): pass\n",
        r"line 2: topk_select/mine is called with \(inputs, outputs, config\), but it takes \(inputs, outputs\)",
    ),
    (
        HEAD + "@dsabench.implementation('topk_select', devices='cpu', constraint=lambda config: None)" + BODY,
        r"its constraint is called with \(config, axes\), but it takes \(config\)",
    ),
    (HEAD + "\n\nx = undefined\n", r"bad\.py, line 4, failed to import: NameError: name 'undefined' is not defined"),
    (HEAD + "def broken(:\n", r"bad\.py, line 2, failed to import: SyntaxError: invalid syntax"),
    ("import no_such_module\n", r"bad\.py, line 1, failed to import: ModuleNotFoundError: No module named 'no_such_mod"),
    ("raise SystemExit(0)\n", r"bad\.py, line 1, failed to import: SystemExit: 0"),
    ("x = 1\n", r"bad\.py registers no implementation; decorate a function with @dsabench\.implementation"),
]  # fmt: skip


class TestErrors:
    @pytest.mark.parametrize(("text", "message"), ERRORS)
    def test_each_is_one_line_that_says_where(self, tmp_path, text, message):
        with pytest.raises(PluginError, match=message) as caught:
            load_plugin(write(tmp_path / "bad.py", text))
        assert "\n" not in str(caught.value)
        assert "mine" not in implementation_names("topk_select")

    def test_what_registered_before_the_error_goes_too(self, tmp_path):
        path = write(tmp_path / "half.py", RIGHT + "\nraise RuntimeError('late')\n")
        with pytest.raises(PluginError, match="line 14, failed to import: RuntimeError: late"):
            load_plugin(path)
        write(path, RIGHT)
        assert [added.name for added in load_plugin(path)] == ["mine"]


class TestEntryPoints:
    @pytest.fixture
    def offer(self, tmp_path, monkeypatch):
        """Writes modules that installed packages would have, and their entry points."""
        monkeypatch.syspath_prepend(str(tmp_path))
        points: list[Any] = []

        def offering(module: str, text: str, value: str = "") -> None:
            write(tmp_path / f"{module}.py", text)
            points.append(importlib.metadata.EntryPoint(module, value or module, registry.ENTRY_POINTS))

        monkeypatch.setattr(importlib.metadata, "entry_points", lambda group: [p for p in points if p.group == group])
        return offering

    def test_what_a_package_offers_is_there(self, offer, caplog):
        offer("offered_kernels", RIGHT, "offered_kernels:mine")
        offer("offered_kernels", RIGHT)
        assert "mine" in implementation_names("topk_select")
        assert len(source_hash("topk_select", "mine")) == 12
        assert caplog.records == []

    def test_a_broken_one_costs_a_line_and_the_others_join(self, offer, caplog):
        offer("offered_broken", "import dsabench\nraise OSError('no driver\\nhere')\n")
        offer("offered_wrong", HEAD + "@dsabench.implementation('topk_selec', devices='cpu')" + BODY)
        offer("offered_nothing", "x = 1\n")
        offer("offered_right", RIGHT)
        assert "mine" in implementation_names("topk_select")
        assert "mine" in implementation_names("topk_select")
        lines = [record.getMessage() for record in caplog.records]
        assert len(lines) == 3
        assert lines[0].endswith("left out: OSError: no driver here")
        assert "offered_wrong" in lines[1]
        assert "did you mean 'topk_select'?" in lines[1]
        assert lines[2].endswith("it registers no implementation")
        assert all("\n" not in line for line in lines)

    def test_the_command_line_prints_one_line_and_goes_on(self, tmp_path):
        write(tmp_path / "offered_late.py", "raise OSError('no driver')\n")
        (tmp_path / "late-1.0.dist-info").mkdir()
        write(tmp_path / "late-1.0.dist-info" / "METADATA", "Metadata-Version: 2.1\nName: late\nVersion: 1.0\n")
        points = f"[{registry.ENTRY_POINTS}]\nlate = offered_late\n"
        write(tmp_path / "late-1.0.dist-info" / "entry_points.txt", points)
        code = (
            f"import sys; sys.path.insert(0, {str(tmp_path)!r})\n"
            "from dsabench.kernels.registry import implementation_names\n"
            "print(implementation_names('topk_select'))"
        )
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        assert "torch" in done.stdout
        assert done.stderr == "entry point late (offered_late, of late) left out: OSError: no driver\n"
