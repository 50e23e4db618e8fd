"""Checks a commit message: a subject under 72 characters, an empty line, a body that says why."""

from __future__ import annotations

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


if __name__ == "__main__":
    found = fault(Path(sys.argv[1]).read_text(encoding="utf-8"))
    sys.exit(f"commit message: {found}" if found else 0)
