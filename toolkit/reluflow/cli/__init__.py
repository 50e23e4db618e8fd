"""The command line: wiring only, imported by nothing."""

from reluflow.cli._start import main

__all__ = ["main"]
