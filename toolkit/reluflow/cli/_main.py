"""Runs a command and turns every error into one sentence and an exit code."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

import typer

from reluflow.cli._commands import LazyCommands
from reluflow.cli._failure import explain, trace, wants_traceback
from reluflow.errors import INTERRUPTED

app = typer.Typer(
    name="reluflow",
    help="Open the box of ReLU networks: activation patterns of any ONNX model.",
    cls=LazyCommands,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _print_version(wanted: bool) -> None:
    if wanted:
        from reluflow import __version__

        typer.echo(f"reluflow {__version__}")
        raise typer.Exit()


@app.callback()
def _root(
    version: bool = typer.Option(
        False,
        "--version",
        "-V",
        is_eager=True,
        callback=_print_version,
        help="Print the version and exit.",
    ),
    debug: bool = typer.Option(
        False, "--debug", help="Show the traceback of an error; accepted anywhere."
    ),
) -> None:
    pass


def run(argv: Sequence[str]) -> int:
    """Run a command; return its exit code. Any error becomes one sentence on stderr.

    Args:
        argv: arguments without the program's name; --debug may stand anywhere among them.
    """
    arguments = list(argv)
    debug = wants_traceback(arguments)
    try:
        result = app(args=arguments, prog_name="reluflow", standalone_mode=False)
        code = result if isinstance(result, int) else 0
        return _fail("interrupted.", code) if code == INTERRUPTED else code
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except (Exception, KeyboardInterrupt) as error:
        if debug:
            print(trace(error), end="", file=sys.stderr)
        return _fail(*explain(error))


def _fail(sentence: str, code: int) -> int:
    if sentence:
        print(f"reluflow: {' '.join(sentence.split()).rstrip('.')}.", file=sys.stderr)
    return code
