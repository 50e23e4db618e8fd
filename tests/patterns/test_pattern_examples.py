"""The examples in the docstrings of the room run and are right."""

from __future__ import annotations

import doctest
import importlib

import pytest

MODULES = "count_table counts global_pattern hashing measures recorder thesis words".split()


@pytest.mark.parametrize("name", MODULES)
def test_examples(name):
    found = doctest.testmod(importlib.import_module(f"reluflow.patterns.{name}"))
    assert found.attempted > 0
    assert found.failed == 0
