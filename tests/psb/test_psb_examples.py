import doctest
import importlib
import pkgutil

import pytest

import reluflow.psb

NAMES = sorted(
    module.name
    for module in pkgutil.walk_packages(reluflow.psb.__path__, "reluflow.psb.")
    if not module.ispkg
)
WITHOUT = {"reluflow.psb._check", "reluflow.psb._window"}


@pytest.mark.parametrize("name", NAMES)
def test_the_examples_in_the_docstrings_run(name: str) -> None:
    result = doctest.testmod(importlib.import_module(name))
    assert result.failed == 0
    assert bool(result.attempted) == (name not in WITHOUT)
