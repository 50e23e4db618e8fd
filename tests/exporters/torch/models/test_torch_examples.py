"""Every example in a docstring of the bridge runs and shows what it says."""

import doctest
import importlib
import pkgutil

import numpy as np
import pytest
import torch
from torch import nn

import reluflow_torch

MODULES = sorted(
    module.name for module in pkgutil.walk_packages(reluflow_torch.__path__, "reluflow_torch.")
)


@pytest.mark.parametrize("name", MODULES)
def test_examples(name: str) -> None:
    module = importlib.import_module(name)
    names = {"np": np, "torch": torch, "nn": nn}
    failed, _ = doctest.testmod(module, extraglobs=names, optionflags=doctest.ELLIPSIS)
    assert failed == 0
