"""What the help says: whole sentences in British English, with units and defaults."""

from __future__ import annotations

import re
from typing import Any

import click
import pytest
import typer

from reluflow.cli._main import app


def commands(command: Any, path: str) -> list[tuple[str, Any]]:
    found = [(path, command)]
    if hasattr(command, "list_commands"):
        for name in command.list_commands(click.Context(command)):
            found += commands(
                command.get_command(click.Context(command), name), f"{path} {name}".strip()
            )
    return found


COMMANDS = commands(typer.main.get_command(app), "reluflow")
OPTIONS = [
    (f"{path} {param.opts[0]}", param)
    for path, command in COMMANDS
    for param in command.params
    if "completion" not in param.opts[0]  # of the library that makes them
]
NEEDED = {"--data", "--image", "--random", "--dim", "--exclude"}
"""They have no default: without them there is no input, or nothing is set."""
AMERICAN = r"\b(color|optimizer|behavior|normali[z]\w+|neighbor|analy[z]\w+|quanti[z]\w+|center)\b"
A_FOR_PER = (
    r"\b(inputs|draws?|numbers?|bits|seconds|one|once) an? (run|weight|input|channel|site)\b"
)


@pytest.mark.parametrize(("path", "command"), COMMANDS, ids=[path for path, _ in COMMANDS])
def test_a_command_says_what_it_does(path: str, command: Any) -> None:
    said = command.help.strip()
    assert re.match(r"[A-Z]", said) and said.endswith(".")
    assert not re.search(AMERICAN, said.lower())
    if not hasattr(command, "list_commands"):
        verb = said.split()[0]
        assert verb in {"List", "Count", "Measure", "Convert", "Show", "Write", "Analyse"}, verb


@pytest.mark.parametrize(("path", "param"), OPTIONS, ids=[path for path, _ in OPTIONS])
def test_an_option_is_a_sentence_with_its_default(path: str, param: Any) -> None:
    said = param.help
    assert said and re.match(r"[A-Z]", said) and said.endswith("."), said
    assert not re.search(AMERICAN, said.lower()) and not re.search(A_FOR_PER, said), said
    is_value = param.param_type_name == "option" and not param.is_flag and not param.required
    if is_value and param.opts[0] not in NEEDED:
        shown = param.default is not None and getattr(param, "show_default", True)
        assert shown or "default" in said, said


def test_what_the_words_find() -> None:
    for text in ("inputs a run.", "one draw a weight.", "bits a channel."):
        assert re.search(A_FOR_PER, text), text
    assert not re.search(A_FOR_PER, "inputs per run, a run of one, a number of seeds")
    assert re.search(AMERICAN, "the optimizer") and not re.search(AMERICAN, "the optimiser")


def test_units_are_said() -> None:
    said = {path: param.help for path, param in OPTIONS}
    for path, unit in (
        ("reluflow analyze --memory", "MiB"),
        ("reluflow analyze --checkpoint-every", "Seconds"),
        ("reluflow analyze --size", "pixels"),
        ("reluflow psb convert --prune", "Share"),
        ("reluflow psb convert --x-bits", "Bits"),
    ):
        assert unit in said[path], path
