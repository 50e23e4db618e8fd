"""One list of tools: what `make lint` runs is what a commit runs, at one version."""

import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")
HOOKS = (ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def recipe(target: str) -> list[str]:
    """Return the lines that a target of the Makefile runs."""
    found = re.search(rf"^{target}:.*\n((?:\t.*\n)+)", MAKEFILE, re.M)
    assert found, target
    return [line.strip() for line in found[1].splitlines()]


def command(words: list[str]) -> str:
    """Return a tool and its subcommand: `ruff check`."""
    tool = words[0].rpartition("/")[2]
    return f"{tool} {words[1]}" if tool == "ruff" else tool


def pinned(name: str) -> dict[str, str]:
    lines = (ROOT / name).read_text(encoding="utf-8").splitlines()
    pairs = [line.split("==") for line in lines if line and not line.startswith("#")]
    return {normal(left): right for left, right in pairs}


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def declared() -> dict[str, str]:
    """Return the lowest version that pyproject.toml declares of each package."""
    extras = PROJECT["optional-dependencies"]
    lines = PROJECT["dependencies"] + [line for extra in extras.values() for line in extra]
    pairs = [re.fullmatch(r"([\w-]+)(?:\[\w+\])?>=([\d.]+)", line) for line in lines]
    return {normal(pair[1]): pair[2] for pair in pairs if pair}


ENTRIES = [entry.split() for entry in re.findall(r"entry: (.+)", HOOKS)]
LINTERS = [line.split() for line in recipe("lint")]


def test_a_commit_runs_the_tools_of_make_lint() -> None:
    hooks = [command(words) for words in ENTRIES if words[0] != "python3"]
    assert sorted(hooks) == sorted(command(words) for words in LINTERS)
    assert len(hooks) >= 4


@pytest.mark.parametrize("words", LINTERS, ids=command)
def test_a_tool_has_one_version_for_make_hooks_and_ci(words: list[str]) -> None:
    tool = command(words).split()[0]
    assert words[0] == f"$(BIN)/{tool}"
    (entry,) = [entry for entry in ENTRIES if command(entry) == command(words)]
    assert entry[0] == f".venv/bin/{tool}"
    assert tool in pinned("constraints.txt")
    assert tool in declared()


def test_the_newest_versions_are_pinned_for_all_that_is_declared() -> None:
    assert set(declared()) - set(pinned("constraints.txt")) == set()


def test_commit_messages_are_checked_at_the_commit() -> None:
    hook = HOOKS.split("- id: subject", 1)[1]
    assert "entry: python3 tests/commit_message.py" in hook
    assert "stages: [commit-msg]" in hook
    assert "default_install_hook_types: [pre-commit, commit-msg]" in HOOKS
