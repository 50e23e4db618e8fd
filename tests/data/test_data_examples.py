"""The examples in the docstrings run."""

from __future__ import annotations

import doctest
import importlib
import pkgutil

import numpy as np
import pytest

import reluflow.data

MODULES = [module.name for module in pkgutil.iter_modules(reluflow.data.__path__)]


@pytest.mark.parametrize("name", MODULES)
def test_examples(name):
    module = importlib.import_module(f"reluflow.data.{name}")
    result = doctest.testmod(module, extraglobs={"np": np})
    assert result.failed == 0


def test_there_are_examples():
    modules = [importlib.import_module(f"reluflow.data.{name}") for name in MODULES]
    found = [test for m in modules for test in doctest.DocTestFinder().find(m) if test.examples]
    assert len(found) >= 9
