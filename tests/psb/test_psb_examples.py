import doctest
import importlib
import pkgutil

import pytest

import reluflow.psb

NAMES = sorted(m.name for m in pkgutil.iter_modules(reluflow.psb.__path__))
WITHOUT = {"_check", "_window"}


@pytest.mark.parametrize("name", NAMES)
def test_the_examples_in_the_docstrings_run(name: str) -> None:
    result = doctest.testmod(importlib.import_module(f"reluflow.psb.{name}"))
    assert result.failed == 0
    assert bool(result.attempted) == (name not in WITHOUT)
