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
    """Return the lowest version that pyproject.toml declares of each package.

    Extras that `dev` does not take are left out: nothing here installs them.
    """
    extras = PROJECT["optional-dependencies"]
    taken = re.search(r"reluflow\[([\w,]+)\]", " ".join(extras["dev"]))
    assert taken
    names = ["dev", *taken[1].split(",")]
    lines = PROJECT["dependencies"] + [line for name in names for line in extras[name]]
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


def release(version: str) -> tuple[int, ...]:
    """Return a version to compare: 1.0 is 1.0.0."""
    numbers = [int(number) for number in version.split(".")]
    return (*numbers, *[0] * (4 - len(numbers)))


def test_the_oldest_run_takes_the_lowest_versions_that_are_declared() -> None:
    lowest = declared()
    oldest = pinned("constraints-oldest.txt")
    lines = PROJECT["dependencies"] + PROJECT["optional-dependencies"]["test"]
    names = [normal(re.split(r"\W*>=", line)[0]) for line in lines]
    assert len(names) >= 15
    for name in names:
        assert release(oldest[name]) == release(lowest[name]), name


def test_what_the_oldest_run_leaves_out_is_oldest_in_the_other() -> None:
    """Versions of torch between the declared and the pinned one are held by tests of their own."""
    torch = pinned("constraints.txt")["torch"]
    assert release(torch) >= release(declared()["torch"])
    versions = ROOT / "tests" / "exporters" / "torch" / "ecosystem" / "test_torch_versions.py"
    assert f'"torch>={declared()["torch"]}"' in versions.read_text(encoding="utf-8")
    assert "torch" not in pinned("constraints-oldest.txt")


def test_ci_runs_the_newest_and_the_oldest_versions() -> None:
    script = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    assert "\nmake test test-oldest\n" in script
    used = "\n".join(recipe("test-oldest"))
    assert "constraints-oldest.txt" in used and "$(OLDEST)" in used
    listed = re.search(r"^OLDEST := ((?:.*\\\n)*.*)$", MAKEFILE, re.M)
    assert listed
    folders = listed[1].replace("\\\n", " ").split()
    assert folders and all((ROOT / folder).is_dir() for folder in folders)


def test_commit_messages_are_checked_at_the_commit() -> None:
    hook = HOOKS.split("- id: subject", 1)[1]
    assert "entry: python3 tests/commit_message.py" in hook
    assert "stages: [commit-msg]" in hook
    assert "default_install_hook_types: [pre-commit, commit-msg]" in HOOKS
