"""Commands that start quickly, and completion in the shell."""

import os
import subprocess
import sys

import pytest

from reluflow.cli import main
from reluflow.cli._commands import COMMANDS

HEAVY = ("scipy", "numba", "matplotlib", "onnxruntime", "onnx", "pyarrow", "torch")


def loaded_after(argv: list[str]) -> set[str]:
    """Return which heavy libraries a command has imported, in a process of its own."""
    code = (
        "import sys; from reluflow.cli import main; code = main(sys.argv[1:]); "
        f"print(*[name for name in {HEAVY!r} if name in sys.modules], file=sys.stderr); "
        "sys.exit(code)"
    )
    run = subprocess.run(
        [sys.executable, "-c", code, *argv], capture_output=True, text=True, check=True
    )
    return set(run.stderr.split())


@pytest.mark.parametrize("flag", ["--version", "-V"])
def test_the_version_imports_nothing_heavy(flag: str) -> None:
    assert loaded_after([flag]) == set()


def test_inspect_needs_neither_statistics_nor_pictures(tmp_path: object) -> None:
    assert not loaded_after(["inspect", "--help"]) & {"matplotlib", "torch", "onnxruntime.training"}


@pytest.mark.parametrize("command", [[], *([name] for name in COMMANDS), ["psb", "convert"]])
def test_the_short_help_is_the_long_one(
    command: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*command, "-h"]) == 0
    short = capsys.readouterr().out
    assert main([*command, "--help"]) == 0
    assert capsys.readouterr().out == short
    assert "Usage: reluflow" in short


def test_every_command_is_in_the_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["-h"]) == 0
    shown = capsys.readouterr().out
    assert all(f"│ {name} " in shown for name in COMMANDS)


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("reluflow ins", "inspect"),
        ("reluflow psb ", "convert"),
        ("reluflow analyze --li", "--limit"),
    ],
)
def test_the_shell_completes(words: str, expected: str) -> None:
    environment = os.environ | {
        "_RELUFLOW_COMPLETE": "complete_bash",
        "COMP_WORDS": words,
        "COMP_CWORD": str(words.count(" ")),
    }
    code = "from reluflow.cli import main; main()"
    run = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True
    )
    assert expected in run.stdout.split()
