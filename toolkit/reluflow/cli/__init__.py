"""The command line: wiring only, imported by nothing."""

from reluflow.cli._main import main

__all__ = ["main"]
