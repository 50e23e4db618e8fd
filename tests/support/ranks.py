"""A script on two processes that find each other on this machine."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from typing import Any

LEAVE = """
import os, sys
sys.stdout.flush()
sys.stderr.flush()
os._exit(0)
"""
"""Leaves at once: threads of torch that still wait for the other rank can abort a process that is
taken down in order ("terminate called without an active exception")."""


def run_on_two_ranks(script: str, *argv: str) -> list[dict[str, Any]]:
    """Run a Python script as rank 0 and 1; return the JSON of each one's last line.

    The script finds RANK, WORLD_SIZE, MASTER_ADDR and MASTER_PORT set, as launchers set them,
    and may import the helpers beside this file.
    """
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = found.getsockname()[1]
    common = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(sys.path),
        "GLOO_SOCKET_IFNAME": "lo",
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
        "WORLD_SIZE": "2",
        "LOCAL_WORLD_SIZE": "2",
    }
    ranks = [
        subprocess.Popen(
            [sys.executable, "-W", "ignore", "-c", script + LEAVE, *argv],
            env={**common, "RANK": str(rank), "LOCAL_RANK": str(rank)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(2)
    ]
    try:
        outputs = [process.communicate(timeout=200) for process in ranks]
    finally:
        for process in ranks:
            process.kill()
    for process, (_, errors) in zip(ranks, outputs, strict=True):
        assert process.returncode == 0, errors
    return [json.loads(text.strip().splitlines()[-1]) for text, _ in outputs]
