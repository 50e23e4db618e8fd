"""The check of commit messages that the hook runs."""

import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).with_name("commit_message.py")


@pytest.mark.parametrize(
    ("message", "sentence"),
    [
        ("Fold once\n\nThe second pass found nothing.\n", ""),
        ("Fold once\n\nWhy.\n# Please enter the commit message\n", ""),
        ("Fold once\n", "A body says why."),
        ("Fold once.\n\nWhy.", "without a full stop"),
        ("x" * 72 + "\n\nWhy.", "72 characters"),
        ("Fold once\nWhy.", "An empty line"),
        ("# only comments\n", "line of its own"),
    ],
)
def test_a_message_passes_or_is_told(message, sentence, tmp_path):
    (tmp_path / "m").write_text(message)
    done = subprocess.run(
        [sys.executable, str(SCRIPT), str(tmp_path / "m")], capture_output=True, text=True
    )
    assert done.returncode == bool(sentence)
    assert sentence in done.stderr
