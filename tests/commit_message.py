"""Checks commit messages: a subject under 72 characters, an empty line, a body that says why.

`commit_message.py FILE` checks the one that is being written, and with `--since COMMIT` instead all
that follow that commit.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

LONGEST = 71


def fault(message: str) -> str:
    """Return what is wrong with a message, a sentence; "" where nothing is.

    Example:
        >>> fault("Fold once\\n\\nThe second pass found nothing.")
        ''
    """
    lines = [line.rstrip() for line in message.splitlines() if not line.startswith("#")]
    while lines and not lines[-1]:
        lines.pop()
    subject = lines[0] if lines else ""
    if not subject or subject.endswith("."):
        return "The subject is a line of its own, without a full stop."
    if len(subject) > LONGEST:
        return f"The subject has {len(subject)} characters; at most {LONGEST} fit."
    if len(lines) > 1 and lines[1]:
        return "An empty line stands between the subject and the body."
    return "" if len(lines) > 2 else "A body says why."


def faults_since(commit: str) -> list[str]:
    """Return what is wrong with the messages after a commit, a line each with its name."""
    log = ["git", "log", "--no-merges", "--format=%h%n%B%x00", f"{commit}..HEAD"]
    told = subprocess.run(log, capture_output=True, text=True, check=True).stdout
    entries = [entry.strip("\n").partition("\n") for entry in told.split("\0") if entry.strip()]
    return [f"{name}: {found}" for name, _, text in entries if (found := fault(text))]


def main(arguments: list[str]) -> list[str]:
    """Return the faults of the file, or of the commits, that the arguments name."""
    if arguments[0] == "--since":
        return faults_since(arguments[1])
    found = fault(Path(arguments[0]).read_text(encoding="utf-8"))
    return [found] if found else []


if __name__ == "__main__":
    sys.exit("\n".join(f"commit message: {found}" for found in main(sys.argv[1:])) or 0)
