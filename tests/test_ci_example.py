"""The workflow under examples/ci is one that GitHub takes, and its commands are ones that `dsabench` takes."""

from __future__ import annotations

import re
import shlex
import subprocess
from pathlib import Path
from typing import Any

import pytest
import typer
from check_jsonschema import main as check_jsonschema
from ruamel.yaml import YAML

from dsabench.cli.app import app

WORKFLOW = Path(__file__).parent.parent / "examples" / "ci" / "dsabench-gate.yml"
PARSED = YAML(typ="safe").load(WORKFLOW)
STEPS: list[dict[str, Any]] = [step for job in PARSED["jobs"].values() for step in job["steps"]]
SCRIPTS: list[str] = [step["run"] for step in STEPS if "run" in step]


def command_lines() -> list[list[str]]:
    """The words after each `dsabench` in the scripts, up to the shell's next operator."""
    found = []
    for line in "\n".join(SCRIPTS).replace("\\\n", " ").splitlines():
        lexer = shlex.shlex(line, posix=True, punctuation_chars=True)
        lexer.whitespace_split = True
        words = list(lexer)
        if words and Path(words[0]).name == "dsabench":
            end = next((i for i, word in enumerate(words) if set(word) <= set("|&;<>()")), len(words))
            found.append(words[1:end])
    return found


def check(path: Path, capsys: pytest.CaptureFixture[str]) -> tuple[int, str]:
    with pytest.raises(SystemExit) as stop:
        check_jsonschema(["--builtin-schema", "vendor.github-workflows", str(path)])
    return int(stop.value.code or 0), capsys.readouterr().out


def test_github_takes_the_workflow(capsys: pytest.CaptureFixture[str]) -> None:
    assert check(WORKFLOW, capsys) == (0, "ok -- validation done\n")


def test_the_linter_finds_a_fault(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    broken = tmp_path / "workflow.yml"
    broken.write_text(WORKFLOW.read_text().replace("timeout-minutes: 90", "timeout-minuets: 90"))
    code, out = check(broken, capsys)
    assert code == 1
    assert "timeout-minuets" in out


def test_commands_are_ones_that_dsabench_takes() -> None:
    lines = command_lines()
    assert [line[:2] for line in lines] == [["gate", "--static"], ["gate", "--baseline-ref"]]
    group: Any = typer.main.get_command(app)
    for name, *words in lines:
        command = group.commands[name]
        # Parsed, not run: an option that does not exist or lacks its value raises.
        values, _, _ = command.make_parser(command.make_context(name, [], resilient_parsing=True)).parse_args(words)
        assert values["out"].startswith("gate-")


@pytest.mark.parametrize("script", SCRIPTS)
def test_scripts_are_bash(script: str) -> None:
    done = subprocess.run(["bash", "-n"], input=script, text=True, capture_output=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("code", "exits", "says"), [(0, 0, ""), (1, 1, ""), (2, 2, ""), (3, 0, "::warning"), (4, 4, "::error")]
)
def test_exit_codes_become_what_the_readme_says(code: int, exits: int, says: str) -> None:
    gates = [script for script in SCRIPTS if "bin/dsabench gate" in script]
    assert len(gates) == 2
    for script in gates:
        fake = re.sub(r"^\S*dsabench .*\|\|", f"(exit {code}) ||", script, flags=re.MULTILINE)
        assert fake != script
        done = subprocess.run(["bash", "-e", "-c", fake], text=True, capture_output=True)
        assert (done.returncode, done.stdout.startswith(says), bool(done.stdout)) == (exits, True, bool(says)), done


@pytest.mark.parametrize("last", ["", "17"], ids=["first comment", "over the last one"])
@pytest.mark.parametrize("found", ["## PASS\n", None], ids=["a result", "no result"])
def test_comment(last: str, found: str | None, tmp_path: Path) -> None:
    gh = tmp_path / "gh"
    gh.write_text(f'#!/bin/sh\ncase "$*" in *--jq*) echo "{last}" ;; *) echo "$@" > called ;; esac\n')
    gh.chmod(0o755)
    if found:
        (tmp_path / "gate-trees").mkdir()
        (tmp_path / "gate-trees" / "gate-comment.md").write_text(found)
    environment = {
        "PATH": f"{tmp_path}:/usr/bin:/bin",
        "GITHUB_REPOSITORY": "o/r",
        "NUMBER": "5",
        "RUN": "https://ci.example/1",
    }
    subprocess.run(["bash", "-e", "-c", SCRIPTS[-1]], cwd=tmp_path, env=environment, check=True, capture_output=True)
    place = f"PATCH repos/o/r/issues/comments/{last}" if last else "POST repos/o/r/issues/5/comments"
    assert (tmp_path / "called").read_text() == f"api --silent -X {place} -F body=@comment.md\n"
    assert (tmp_path / "comment.md").read_text() == (
        f"<!-- dsabench gate -->\n{found or '## dsabench gate: INVALID, no result' + chr(10)}"
        "[Log, picture, JUnit and JSON](https://ci.example/1)\n"
    )


def test_actions_are_pinned_and_no_expression_stands_in_a_script() -> None:
    used = [step["uses"] for step in STEPS if "uses" in step]
    assert used
    assert all(re.fullmatch(r"actions/[\w-]+@[0-9a-f]{40}", action) for action in used)
    assert not any("${{" in script for script in SCRIPTS), "what a pull request names would be run as code"


def test_only_the_comment_may_write() -> None:
    assert PARSED["permissions"] == {"contents": "read"}
    assert {name: job["permissions"] for name, job in PARSED["jobs"].items() if "permissions" in job} == {
        "comment": {"pull-requests": "write"}
    }
