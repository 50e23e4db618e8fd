"""Runs command lines one after the other in one process, and says how each ended.

One line of JSON in: {"argv": [...], "stdout": path, "stderr": path}; one out: the exit code.
It says "up" first; RELUFLOW_WORKER_BYTES limits its memory.
Both streams are redirected as file descriptors, so that native code is heard too.
"""

from __future__ import annotations

import json
import os
import resource
import sys
import traceback

MEMORY_BYTES = int(os.environ["RELUFLOW_WORKER_BYTES"])


def redirect(descriptor: int, path: str) -> None:
    opened = os.open(path, os.O_CREAT | os.O_TRUNC | os.O_WRONLY, 0o600)
    os.dup2(opened, descriptor)
    os.close(opened)


def serve() -> None:
    from reluflow.cli import main

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
