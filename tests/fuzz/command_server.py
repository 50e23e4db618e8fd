"""Runs command lines one after the other in one process, and says how each ended.

One line of JSON in: {"argv": [...], "stdout": path, "stderr": path}; one out: the exit code.
It says "up" first; RELUFLOW_WORKER_BYTES limits its memory. With RELUFLOW_WORKER_KEEPS a line of
arguments is read once and run again as it was: most of a small command's time is their reading,
and a grid is small where none is asked for.
Both streams are redirected as file descriptors, so that native code is heard too.
"""

from __future__ import annotations

import json
import os
import resource
import sys
import traceback
from collections.abc import Sequence
from typing import Any

PIXELS = 16
"""Side of a grid."""
MEMORY_BYTES = int(os.environ["RELUFLOW_WORKER_BYTES"])


def redirect(descriptor: int, path: str) -> None:
    opened = os.open(path, os.O_CREAT | os.O_TRUNC | os.O_WRONLY, 0o600)
    os.dup2(opened, descriptor)
    os.close(opened)


class KeptLines:
    """Is called as the application in `reluflow.cli._main` is, and keeps what it has read."""

    def __init__(self, app: Any) -> None:
        from typer.main import get_command

        self._root = get_command(app)
        self._read: dict[tuple[str, ...], Any] = {}

    def __call__(self, args: Sequence[str], prog_name: str, standalone_mode: bool) -> Any:
        key = tuple(args)
        if key not in self._read:
            context = self._root.make_context(prog_name, list(args))
            while hasattr(context.command, "resolve_command"):
                rest = [*context._protected_args, *context.args]
                name, command, rest = context.command.resolve_command(context, rest)
                context = command.make_context(name, rest, parent=context)
            self._read[key] = context
        with self._read[key] as context:
            return context.command.invoke(context)


def serve() -> None:
    import reluflow._api.inspect as planes
    import reluflow.cli._main as module
    from reluflow.cli import main

    if os.environ.get("RELUFLOW_WORKER_KEEPS") == "1":
        kept: Any = KeptLines(module.app)
        module.app = kept
        planes.PIXELS = PIXELS
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    answers = os.fdopen(os.dup(1), "w")
    print("up", file=answers, flush=True)
    for line in sys.stdin:
        task = json.loads(line)
        redirect(1, task["stdout"])
        redirect(2, task["stderr"])
        code: str | int | None
        try:
            code = main(task["argv"])
        except SystemExit as error:
            code = error.code
        except BaseException:
            traceback.print_exc()
            code = 1
        sys.stdout.flush()
        sys.stderr.flush()
        print(json.dumps(code), file=answers, flush=True)


if __name__ == "__main__":
    serve()
