"""Every example in a docstring runs and shows what it says, and no public name goes without."""

import doctest
import importlib
import importlib.util
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from docstrings.examples import has_example
from docstrings.reading import Public
from docstrings.rule import lacks, public_names

from reluflow.errors import OptionError

ROOT = Path(__file__).resolve().parents[1]
NEEDS = {
    "reluflow._api.training": "torch",
    "reluflow_jax": "jax",
    "reluflow_keras": "keras",
    "reluflow_sklearn": "skl2onnx",
    "reluflow_torch": "torch",
    "reluflow_torch.hf": "transformers",
    "reluflow_torch.lightning": "lightning",
}


def modules_of(package: str) -> list[str]:
    """Return the modules of a package by their files; nothing is imported."""
    spec = importlib.util.find_spec(package)
    assert spec is not None and spec.submodule_search_locations
    root = Path(spec.submodule_search_locations[0])
    names = (".".join([package, *f.relative_to(root).parts]) for f in root.rglob("*.py"))
    short = (name.removesuffix(".py").removesuffix(".__init__") for name in names)
    return sorted(name for name in short if not name.endswith("__main__"))


PACKAGES = ("reluflow", "reluflow_jax", "reluflow_keras", "reluflow_sklearn", "reluflow_torch")
MODULES = [name for package in PACKAGES for name in modules_of(package)]


def load(name: str) -> ModuleType:
    """Import a module, or skip the test where its framework is not installed."""
    for module, framework in NEEDS.items():
        if f"{name}.".startswith(f"{module}."):
            pytest.importorskip(framework)
    return importlib.import_module(name)


@pytest.fixture(scope="module")
def public() -> Mapping[str, list[Public]]:
    """Return every public function and class by its name, those of the bridges where they load."""
    found: dict[str, list[Public]] = {}
    for name in MODULES:
        try:
            module = load(name)
        except pytest.skip.Exception:
            continue
        for short, value in public_names(module).items():
            found.setdefault(short, []).append(value)
    return found


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # Keras on torch
@pytest.mark.parametrize("name", MODULES)
def test_examples(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    failed, _ = doctest.testmod(load(name), extraglobs={"np": np}, optionflags=doctest.ELLIPSIS)
    assert failed == 0


@pytest.mark.parametrize("name", MODULES)
def test_a_public_name_is_described(name: str, public: Mapping[str, list[Public]]) -> None:
    found = {short: lacks(value, public) for short, value in public_names(load(name)).items()}
    assert {short: lack for short, lack in found.items() if lack} == {}


def test_there_are_examples(public: Mapping[str, list[Public]]) -> None:
    assert sum(has_example(value) for values in public.values() for value in values) > 150


class Given:
    """What `complete` gives."""


def complete(size: int) -> Given:
    """Return what was wanted.

    Args:
        size: number of units, at least 1.

    Raises:
        ValueError: it is below 1.

    Example:
        >>> complete(1) is None
        False
    """
    _check(size)
    return Given()


def _check(size: int) -> None:
    if size < 1:
        raise OptionError(f"size is {size}, but must be at least 1; give another.")


def without_sections(size: int) -> int:
    """Square it."""
    return size * size


def skipped() -> None:
    """Do nothing.

    Example:
        >>> skipped()  # doctest: +SKIP
    """


@dataclass
class Record:
    """Names one field of two; nobody gives it.

    Attributes:
        first: one.
    """

    first: int
    second: int


class Holder:
    """Holds nothing.

    Example:
        >>> Holder() is None
        False
    """

    def first(self, values: "np.ndarray") -> "np.ndarray":
        """Return the first value.

        Args:
            values: numbers.
        """
        return self._checked(values)[:1]

    def _checked(self, values: "np.ndarray") -> "np.ndarray":
        if not len(values):
            raise OptionError("values are empty; give one at least.")
        return values


@pytest.mark.parametrize(
    ("value", "lack"),
    [
        (Given, []),
        (complete, ["error OptionError"]),
        (without_sections, ["argument size", "what it returns", "an example"]),
        (skipped, ["an example"]),
        (Record, ["attribute second", "an example"]),
        (
            Holder,
            [
                "the shape of values",
                "the shape of return",
                "error OptionError",
                "a place in an example",
            ],
        ),
    ],
)
def test_the_rule_finds_what_lacks(value: Public, lack: list[str]) -> None:
    known: Any = {"complete": [complete], "Given": [Given]}
    found = lacks(value, known)
    assert [each.removeprefix("first: ") for each in found] == lack
