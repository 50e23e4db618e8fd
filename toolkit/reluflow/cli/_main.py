"""Runs a command and turns every error into one sentence and an exit code."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

import typer

from reluflow.cli import analyze, compare, demo, inspect, psb, sensitivity
from reluflow.errors import ReluflowError

INTERRUPTED = 130
BAD_INPUT = 2

app = typer.Typer(
    name="reluflow",
    help="Open the box of ReLU networks: activation patterns of any ONNX model.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.command("inspect")(inspect.inspect)
app.command("analyze")(analyze.analyze)
app.command("compare")(compare.compare)
app.command("demo")(demo.demo)
app.command("sensitivity")(sensitivity.sensitivity)
app.add_typer(psb.app)


@app.callback(invoke_without_command=True)
def _root(
    version: bool = typer.Option(False, "--version", is_eager=True, help="Print the version."),
) -> None:
    if version:
        from reluflow import __version__

        typer.echo(f"reluflow {__version__}")
        raise typer.Exit()


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line.

    Args:
        argv: arguments without the program's name; the process' own by default.

    Returns:
        0 when all went well, 2 for bad usage or input (one sentence on stderr), 130 after an
        interrupt.
    """
    try:
        result = app(args=None if argv is None else list(argv), standalone_mode=False)
        return result if isinstance(result, int) else 0
    except ReluflowError as error:
        return _fail(str(error), getattr(error, "exit_code", BAD_INPUT))
    except KeyboardInterrupt:
        return _fail("interrupted.", INTERRUPTED)
    except MemoryError:
        return _fail("not enough memory; give a smaller --batch-size.", BAD_INPUT)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except Exception as error:
        return _usage(error)


def _usage(error: Exception) -> int:
    """Report the option parser's own errors; anything else is a defect and stays visible."""
    format_message = getattr(error, "format_message", None)
    if isinstance(error, typer.Exit):
        return int(error.exit_code)
    if isinstance(error, typer.Abort):
        return _fail("interrupted.", INTERRUPTED)
    if format_message is None:
        raise error
    if type(error).__name__ == "NoArgsIsHelpError":
        return BAD_INPUT
    return _fail(f"{format_message().rstrip('.')}; see reluflow --help.", BAD_INPUT)


def _fail(sentence: str, code: int) -> int:
    print(f"reluflow: {' '.join(sentence.split())}", file=sys.stderr)
    return code
