"""The table of commands; each is imported only when it is run or explained."""

from __future__ import annotations

from importlib import import_module
from typing import Any

import typer
from typer.core import TyperGroup

from reluflow.cli._start import leaving_at_once

COMMANDS = {
    "inspect": "reluflow.cli.commands.inspect:inspect",
    "analyze": "reluflow.cli.commands.analyze:analyze",
    "compare": "reluflow.cli.commands.compare:compare",
    "sensitivity": "reluflow.cli.commands.sensitivity:sensitivity",
    "attend": "reluflow.cli.commands.attend:attend",
    "cells": "reluflow.cli.commands.cells:cells",
    "psb": "reluflow.cli.commands.psb:app",
    "edge": "reluflow.cli.commands.edge:edge",
    "slim": "reluflow.cli.commands.slim:slim",
    "drift": "reluflow.cli.commands.drift:app",
    "recording": "reluflow.cli.commands.recording:recording",
    "view": "reluflow.cli.commands.view:view",
    "demo": "reluflow.cli.commands.demo:demo",
    "doctor": "reluflow.cli.commands.doctor:doctor",
}


class LazyCommands(TyperGroup):
    """A group whose commands are imported on demand: `--version` needs none of them."""

    def list_commands(self, ctx: Any) -> list[str]:
        """Return the names of all commands, in the order of the help."""
        return list(COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """Return a command, None where there is none of this name."""
        if cmd_name in COMMANDS and cmd_name not in self.commands:
            self.add_command(_load(cmd_name), cmd_name)
        return super().get_command(ctx, cmd_name)


def _load(name: str) -> Any:
    """Import a function or a group of commands and make a command of it."""
    module, attribute = COMMANDS[name].split(":")
    with leaving_at_once():
        found = getattr(import_module(module), attribute)
    wrapper = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
    wrapper.callback()(_nothing)
    if isinstance(found, typer.Typer):
        wrapper.add_typer(found, name=name)
    else:
        wrapper.command(name)(found)
    group: Any = typer.main.get_command(wrapper)
    return group.commands[name]


def _nothing() -> None:
    """Keep a single command from becoming the wrapper itself."""
