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
def test_a_message_passes_or_is_told(message: str, sentence: str, tmp_path: Path) -> None:
    (tmp_path / "m").write_text(message)
    done = subprocess.run(
        [sys.executable, str(SCRIPT), str(tmp_path / "m")], capture_output=True, text=True
    )
    assert done.returncode == bool(sentence)
    assert sentence in done.stderr


def git(folder: Path, *words: str) -> str:
    names = ("-c", "user.name=a", "-c", "user.email=a@b")
    done = subprocess.run(
        ["git", *names, *words], cwd=folder, capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


def test_messages_since_a_commit_are_checked(tmp_path: Path) -> None:
    git(tmp_path, "init", "-q")
    hashes = []
    for message in (
        "Old",
        "Fold once\n\nWhy.",
        "No body",
        "Ends so.\n\nWhy.",
        "x" * 72 + "\n\nWhy.",
    ):
        git(tmp_path, "commit", "-q", "--allow-empty", "-m", message)
        hashes.append(git(tmp_path, "rev-parse", "--short", "HEAD"))
    command = [sys.executable, str(SCRIPT), "--since"]
    done = subprocess.run([*command, hashes[0]], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 1
    told = done.stderr.splitlines()
    assert [line.split()[2] for line in told] == [f"{name}:" for name in hashes[:1:-1]]
    assert "72 characters" in told[0] and "full stop" in told[1] and "A body says why" in told[2]
    assert subprocess.run([*command, hashes[-1]], cwd=tmp_path, check=False).returncode == 0
