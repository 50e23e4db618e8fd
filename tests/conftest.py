"""No test is timed, and random numbers of a test depend on no other test.

Machines are noisy, and the first call of a kernel compiles it: hypothesis has no deadline. Test
modules share generators of random numbers; each test finds them as they were after import, in
whatever order tests run and however they are spread over processes.
"""

from __future__ import annotations

import copy
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import settings

settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")

TESTS = str(Path(__file__).parent)
_fresh: list[tuple[np.random.Generator, Any]] = []


def pytest_collection_finish() -> None:
    """Remember the state of every generator that a test module or its support holds."""
    for module in list(sys.modules.values()):
        if not (getattr(module, "__file__", None) or "").startswith(TESTS):
            continue
        for value in vars(module).values():
            if isinstance(value, np.random.Generator):
                _fresh.append((value, copy.deepcopy(value.bit_generator.state)))


@pytest.fixture(autouse=True)
def same_random_numbers() -> None:
    """Set all shared generators back."""
    for generator, state in _fresh:
        generator.bit_generator.state = state
