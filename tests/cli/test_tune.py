"""`dsabench tune` as a user runs it: real faults, real interruptions; whole processes where one is killed, interrupted or limited,
and once for the exit code."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import psutil
import pytest

from dsabench.bench.journal import JournalError, read_journal
from dsabench.bench.records import Status
from tests.cli import in_process
from tests.cli.in_process import Done
from tests.homes import own_environment

PLUGINS = Path(__file__).parent.parent / "bench"
FAULTY = str(PLUGINS / "faulty_plugin.py")
REMEMBERING = str(PLUGINS / "remembering_plugin.py")
SLOW = str(PLUGINS / "slow_plugin.py")
NARROW = ["--op", "topk_select", "--no-report"]
QUICKLY = ["--suite", "tiny", *NARROW]


def command(*words: str) -> list[str]:
    return [sys.executable, "-m", "dsabench.cli.app", *words]


def process(cache: Path, *words: str, **more) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command("tune", *words),
        capture_output=True,
        text=True,
        env=own_environment(cache),
        cwd=cache,
        timeout=200,
        **more,
    )


def tune(cache: Path, *words: str) -> Done:
    return in_process.dsabench("tune", *words, environment=own_environment(cache), cwd=cache)


def keys(journal) -> list[tuple]:
    return [(t.workload.key, t.impl, json.dumps(t.config, sort_keys=True), t.rung) for t in journal.trials]


@pytest.fixture(scope="module")
def faults(tmp_path_factory):
    """One run over a plugin with every fault, exhaustively."""
    base = tmp_path_factory.mktemp("faults")
    done = process(
        base, *QUICKLY, "--plugin", FAULTY, "--impl", "faulty", "--strategy", "exhaustive", "--budget", "150s",
        "--trial-timeout", "4s", "--out", "out", "--json",
    )  # fmt: skip
    return base, done


def test_each_fault_ends_as_its_status_and_the_run_goes_on(faults):
    base, done = faults
    assert done.returncode == 0, done.stderr
    journal = read_journal(base / "out")
    status = {t.config["FAULT"]: t.status for t in journal.trials if t.impl == "faulty"}
    assert status == {
        "none": Status.PASSED,
        "raises": Status.LAUNCH_ERROR,
        "compile": Status.COMPILE_ERROR,
        "wrong": Status.INCORRECT,
        "unwritten": Status.INCORRECT,
        "wrong_later": Status.INCORRECT,
        "writes_input": Status.INCORRECT,
        "exits": Status.LAUNCH_ERROR,
        "memory": Status.OUT_OF_MEMORY,
        "pruned": Status.PRUNED,
        "segfault": Status.CRASHED,
        "aborts": Status.CRASHED,
        "hangs": Status.TIMEOUT,
    }
    assert all(t.reason for t in journal.trials if t.status is not Status.PASSED)
    assert journal.ends[-1].reason == "complete"
    assert [t.number for t in journal.trials] == list(range(1, len(journal.trials) + 1))


def test_only_the_right_kernel_can_win(faults):
    base, _ = faults
    journal = read_journal(base / "out")
    (comparison,) = journal.comparisons
    won = comparison.winners["faulty"]
    assert comparison.candidates[won.winner].config == {"FAULT": "none"}
    assert won.speedup_over_torch is not None
    (entry,) = (e for e in json.loads((base / "out" / "tuned.json").read_text())["entries"] if e["impl"] == "faulty")
    assert entry["config"] == {"FAULT": "none"}
    assert entry["source"] == journal.header.sources["topk_select/faulty"]
    installed = base / "tuned" / f"{journal.header.device.key}.json"
    assert json.loads(installed.read_text())["entries"]


def test_a_kernel_that_leaves_the_work_out_is_impossible_and_never_wins(tmp_path):
    """It passes every check; only the roofline gives it away."""
    suite = tmp_path / "wide.toml"
    suite.write_text(
        'name = "wide"\ndescription = "rows that take 0.1 ms to read"\n'
        '[[workload]]\nop = "topk_select"\nrows = 32\ns_kv = 32768\nk = 16\n'
    )
    done = tune(
        tmp_path, "--suite", str(suite), *NARROW, "--plugin", REMEMBERING, "--impl", "remembers", "--budget", "40s",
        "--out", "out",
    )  # fmt: skip
    journal = read_journal(tmp_path / "out")
    (cheat,) = (t for t in journal.trials if t.impl == "remembers")
    assert cheat.status is Status.IMPOSSIBLE, done.stderr
    assert "leaves work out" in cheat.reason
    assert cheat.timing is not None  # kept, so that the broken measurement can be looked at
    assert all("remembers" not in comparison.winners for comparison in journal.comparisons)
    tuned = tmp_path / "out" / "tuned.json"
    assert not tuned.exists() or "remembers" not in tuned.read_text()


def test_the_library_finds_what_was_tuned(faults, monkeypatch):
    from dsabench.kernels.tuned_table import forget, nearest_config

    base, _ = faults
    journal = read_journal(base / "out")
    (comparison,) = journal.comparisons
    expected = comparison.candidates[comparison.winners["torch"].winner].config
    monkeypatch.setenv("DSABENCH_CACHE_DIR", str(base))
    forget()
    try:
        axes = comparison.workload.axes
        assert nearest_config(journal.header.device.key, "topk_select", "torch", axes) == expected
        assert nearest_config(journal.header.device.key, "topk_select", "torch", axes | {"s_kv": 300}) == expected
    finally:
        forget()


def test_json_is_one_document_and_nothing_else(faults):
    _base, done = faults
    document = json.loads(done.stdout)
    assert document["schema"] == 1
    assert document["command"] == "tune"
    assert document["end"] == "complete"
    assert document["trials"]["CRASHED"] == 2
    rows = {row["impl"]: row for row in document["winners"]}
    assert set(rows) == {"faulty", "torch"}
    assert rows["faulty"]["confirmed"]
    assert {impl: row["language"] for impl, row in rows.items()} == {"faulty": "plugin", "torch": "torch"}
    assert rows["faulty"]["low_s"] <= rows["faulty"]["median_s"] <= rows["faulty"]["high_s"]
    assert document["ceilings"]["product"]["f32"]["value"] > 0


def test_the_header_says_where_the_numbers_are_from(faults):
    base, _ = faults
    header = read_journal(base / "out").header
    assert header.suite == "tiny"
    assert header.strategy == "exhaustive"
    assert header.device.details["env.GOMP_SPINCOUNT"] == "20000"
    assert "torch" in header.versions
    assert "tune" in header.command


def test_a_second_run_into_the_same_directory_is_refused_and_changes_nothing(faults):
    base, _ = faults
    before = (base / "out" / "journal.jsonl").read_bytes()
    done = tune(base, *QUICKLY, "--out", "out", "--budget", "30s")
    assert done.returncode != 0
    assert done.stderr.startswith("error: ")
    assert "--resume" in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert (base / "out" / "journal.jsonl").read_bytes() == before


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda header: header["device"].update(key="cpu-other"), ["device", "cpu-other"]),
        (
            lambda header: header["sources"].update({"topk_select/torch": "0123456789ab"}),
            ["source of topk_select/torch"],
        ),
        (lambda header: None, ["seed", "--seed-changed"]),
    ],
)
def test_a_journal_of_something_else_is_not_resumed_and_not_touched(faults, tmp_path, change, words):
    base, _ = faults
    lines = (base / "out" / "journal.jsonl").read_text().splitlines(keepends=True)
    header = json.loads(lines[0])
    change(header)
    (tmp_path / "out").mkdir()
    journal = tmp_path / "out" / "journal.jsonl"
    journal.write_text(json.dumps(header) + "\n" + "".join(lines[1:]))
    before = journal.read_bytes()
    seed = ["--seed", "99"] if "seed" in words else []
    done = tune(tmp_path, *QUICKLY, "--out", "out", "--resume", "--budget", "30s", *seed)
    assert done.returncode != 0
    assert "cannot resume" in done.stderr
    assert all(word in done.stderr for word in words if not word.startswith("--"))
    assert len(done.stderr.splitlines()) == 1
    assert journal.read_bytes() == before


def test_a_malformed_line_is_named_by_its_number(faults, tmp_path):
    base, _ = faults
    lines = (base / "out" / "journal.jsonl").read_text().splitlines(keepends=True)
    lines[2] = lines[2].replace('"kind"', '"sort"', 1)
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "journal.jsonl").write_text("".join(lines))
    done = tune(tmp_path, *QUICKLY, "--out", "out", "--resume", "--budget", "30s")
    assert done.returncode != 0
    assert "line 3" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def wait_for_trials(path: Path, count: int, process: subprocess.Popen) -> None:
    end = time.monotonic() + 120
    while time.monotonic() < end:
        if path.is_file() and path.read_bytes().count(b'"kind":"trial"') >= count:
            return
        assert process.poll() is None, process.communicate()
        time.sleep(0.02)
    process.kill()
    pytest.fail(f"{count} trials did not appear")


GOING_ON = [*NARROW, "--plugin", SLOW, "--impl", "slow", "--budget", "120s", "--out", "out"]


def start(base: Path, *words: str) -> subprocess.Popen:
    return subprocess.Popen(
        command("tune", *GOING_ON, *words),
        env=own_environment(base),
        cwd=base,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def test_killed_then_interrupted_then_finished_without_a_trial_repeated_or_lost(tmp_path):
    path = tmp_path / "out" / "journal.jsonl"

    killed = start(tmp_path, "--suite", "tiny", "--seed", "5", "--strategy", "exhaustive")
    wait_for_trials(path, 3, killed)
    workers = psutil.Process(killed.pid).children(recursive=True)
    killed.kill()
    killed.communicate()
    _, alive = psutil.wait_procs(workers, timeout=10)
    assert not alive, "a worker outlived its parent"
    first = read_journal(path)
    assert len(first.trials) >= 3
    with path.open("ab") as file:
        file.write(b'{"kind":"trial","number":99,"op":"top')  # as if killed in the middle of a line
    assert read_journal(path).torn

    interrupted = start(tmp_path, "--resume")
    wait_for_trials(path, len(first.trials) + 2, interrupted)
    interrupted.send_signal(signal.SIGINT)
    out, err = interrupted.communicate(timeout=60)
    assert interrupted.returncode == 130, err
    assert "--resume" in out
    second = read_journal(path)
    assert not second.torn
    assert second.ends[-1].reason == "interrupted"
    assert second.trials[: len(first.trials)] == first.trials

    finished = tune(tmp_path, *GOING_ON, "--resume")
    assert finished.returncode == 0, finished.stderr
    third = read_journal(path)
    assert third.trials[: len(second.trials)] == second.trials
    assert third.ends[-1].reason == "complete"
    repeats = [key for key, count in Counter(keys(third)).items() if count > 1]
    assert not repeats
    slow = {t.config["DELAY"] for t in third.trials if t.impl == "slow"}
    assert slow == set(range(8)), "every config was measured"
    assert len(third.ceilings) == 1
    assert len(third.comparisons) == 1
    assert [(h.suite, h.seed, h.strategy) for h in third.headers] == [("tiny", 5, "exhaustive")] * 3, (
        "left open: as it was"
    )

    assert tune(tmp_path, *GOING_ON, "--resume").returncode == 0
    fourth = read_journal(path)
    assert fourth.trials == third.trials
    assert fourth.comparisons == third.comparisons


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 24 KiB; without the right to mount one, no limit here (the test sets a limit on file sizes)."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = shutil.which("mount")
    mounted = (
        bool(mount)
        and not subprocess.run(
            [str(mount), "-t", "tmpfs", "-o", "size=24k", "tmpfs", str(disk)], capture_output=True
        ).returncode
    )
    yield disk, mounted
    if mounted:
        subprocess.run(["umount", "-l", str(disk)], check=True)


@pytest.mark.skipif(sys.platform == "win32", reason="no file size limits")
def test_a_full_disk_is_named_and_the_journal_stays_whole(tmp_path, small_disk):
    import resource

    disk, mounted = small_disk

    def limit() -> None:
        if not mounted:
            resource.setrlimit(resource.RLIMIT_FSIZE, (12_000, 12_000))

    done = process(
        tmp_path, *QUICKLY, "--plugin", SLOW, "--strategy", "exhaustive", "--budget", "60s", "--out", str(disk / "out"),
        preexec_fn=limit,
    )  # fmt: skip
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert line.startswith("error: ")
    assert "No space left on device" in line or "File too large" in line
    assert str(disk / "out") in line
    journal = read_journal(disk / "out")
    assert not journal.torn
    assert journal.trials


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--op", "topk"], "unknown op 'topk'"),
        (["--impl", "gpu"], "unknown implementation 'gpu'"),
        (["--suite", "quik"], "did you mean 'quick'"),
        (["--context", "0"], "context must be at least 1"),
        (["--context", "4q"], "'4q' is not a size"),
        (["--budget", "0"], "budget: must be above 0"),
        (["--budget", "soon"], "budget: 'soon' is not a duration"),
        (["--trial-timeout", "0s"], "trial-timeout: must be above 0"),
        (["--effort", "huge"], "unknown effort 'huge'"),
        (["--strategy", "magic"], "unknown strategy 'magic'"),
        (["--device", "cuda:99"], "device cuda:99: "),
        (["--device", "abacus"], "unknown device 'abacus'"),
        (["--plugin", "absent.py"], "absent.py is not a Python file"),
        (["--out", "/proc/nowhere"], "cannot write to /proc/nowhere"),
        (["--colour"], "No such option"),
    ],
)
def test_bad_input_is_one_line_before_anything_is_made(tmp_path, words, message, capsys, monkeypatch):
    from dsabench.cli.app import run

    monkeypatch.chdir(tmp_path)
    for name in [n for n in os.environ if n.startswith("DSABENCH_")]:
        monkeypatch.delenv(name)
    code = run(["tune", "--suite", "tiny", "--budget", "20s", "--no-report", *words])
    out, err = capsys.readouterr()
    assert code not in (0, None)
    assert out == ""
    (line,) = err.splitlines()
    assert line.startswith("error: ")
    assert message in line
    assert not (tmp_path / "dsabench-out").exists()


def test_a_suite_file_with_an_unknown_key_is_one_line(tmp_path, capsys, monkeypatch):
    from dsabench.cli.app import run

    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.toml").write_text('name = "m"\ndescription = "d"\n[[workload]]\nop = "topk_select"\nrowz = 1\n')
    assert run(["tune", "--suite", "mine.toml"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "mine.toml" in line
    assert "'rowz'" in line


def test_debug_adds_the_traceback(tmp_path, capsys, monkeypatch):
    from dsabench.cli.app import run

    monkeypatch.chdir(tmp_path)
    run(["tune", "--suite", "quik", "--debug"])
    err = capsys.readouterr().err
    assert "Traceback" in err
    assert err.splitlines()[-1].startswith("error: unknown suite")


def test_help_imports_nothing_heavy_and_shows_an_example():
    code = (
        "import sys\nfrom dsabench.cli.app import run\ncodes = [run(['--help']), run(['tune', '--help'])]\n"
        "heavy = {'torch', 'numba', 'numpy', 'scipy', 'pandas', 'matplotlib'} & set(sys.modules)\n"
        "assert not heavy, heavy\nassert codes == [0, 0], codes\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert "tune" in done.stdout
    assert "Examples" in done.stdout
    assert "dsabench tune --op topk_select" in done.stdout


def test_journals_are_refused_when_there_are_none(tmp_path):
    with pytest.raises(JournalError, match="cannot read journal"):
        read_journal(tmp_path)
