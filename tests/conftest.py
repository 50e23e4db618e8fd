"""No test is timed, and random numbers of a test depend on no other test.

Machines are noisy, and the first call of a kernel compiles it: hypothesis has no deadline. Test
modules share generators of random numbers. A module that draws from one of tests/support while it
is imported finds it fresh; each test finds it one jump further, and the module's own generators as
they were after import: in whatever order tests run, whichever are selected, and however they are
spread over processes.

torch's threads sleep while they wait: beside other test processes, spinning costs more than it
saves.
"""

from __future__ import annotations

import copy
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import settings

os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # read when torch is imported
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")

TESTS = Path(__file__).parent
SUPPORT = TESTS / "support"
_fresh: list[tuple[np.random.Generator, Any]] = []


def pytest_collectstart(collector: pytest.Collector) -> None:
    """Let a test module that is about to be imported find the shared generators fresh."""
    if isinstance(collector, pytest.Module):
        for generator in _generators(SUPPORT):
            generator.bit_generator.state = _start(generator).state


def pytest_collection_finish() -> None:
    """Choose what each test finds: its module's own as after import, the shared one jumped."""
    for generator in _generators(TESTS):
        _fresh.append((generator, copy.deepcopy(generator.bit_generator.state)))
    for generator in _generators(SUPPORT):
        _fresh.append((generator, _start(generator).jumped().state))


@pytest.fixture(autouse=True)
def same_random_numbers() -> None:
    """Set all shared generators back."""
    for generator, state in _fresh:
        generator.bit_generator.state = state


@pytest.fixture
def injected(record_property: Callable[[str, object], None]) -> Callable[..., None]:
    """Tell which fault a test has made, and how often; tests/fuzz/fault_tally.py adds them up."""

    def tell(fault: str, times: int = 1) -> None:
        record_property(f"fault: {fault}", times)

    return tell


def _generators(folder: Path) -> list[np.random.Generator]:
    """Return the generators that the imported modules of one folder hold."""
    modules = [
        module
        for module in list(sys.modules.values())
        if folder in Path(getattr(module, "__file__", None) or "/").parents
    ]
    values = [value for module in modules for value in vars(module).values()]
    return [value for value in values if isinstance(value, np.random.Generator)]


def _start(generator: np.random.Generator) -> np.random.PCG64:
    """Return the bit generator as its seed made it."""
    seed = generator.bit_generator.seed_seq
    assert isinstance(seed, np.random.SeedSequence)
    return np.random.PCG64(seed)
