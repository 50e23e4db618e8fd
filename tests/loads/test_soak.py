"""Divided analyses on loopback again and again, one worker killed: a short soak, and a long one."""

from __future__ import annotations

import os
from typing import Any

import numpy as np
import pytest

pytest.importorskip("distributed")

from loads import soak

LONG = os.environ.get("RELUFLOW_LONG_TESTS") == "1"
LONG_SECONDS = 900


def check(found: dict[str, Any]) -> None:
    assert found["analyses"] >= 3  # it ends at a report that differs
    assert found["workers_killed"] == found["analyses_with_a_kill"] >= 1
    assert found["spilled_mib"] > 0
    assert found["left_in_folder"] == []
    names = [process["name"] for process in found["processes"]]
    assert names[:2] == ["analysis", "scheduler"]
    assert set(names[2:]) == {"worker"}


def test_reports_are_equal_and_a_killed_worker_loses_nothing() -> None:
    check(soak.soak(0, workers=2, kill_every=1000, inputs=64, parts=[3]))


@pytest.mark.slow
@pytest.mark.timeout(LONG_SECONDS + 300)
@pytest.mark.skipif(not LONG, reason="RELUFLOW_LONG_TESTS=1 runs it")
def test_nothing_grows() -> None:
    found = soak.soak(LONG_SECONDS, workers=2, kill_every=200, inputs=96)
    check(found)
    lived = [each for each in found["processes"] if each["lived_seconds"] > LONG_SECONDS / 2]
    assert [each["name"] for each in lived] == ["analysis", "scheduler", "worker"]
    for each in lived:
        memory = each["memory_mib"]
        assert memory["last"] < 1.25 * memory["first"], each
        assert each["files"]["last"] <= each["files"]["first"] + 8, each
        assert each["threads"]["last"] <= each["threads"]["first"] + 4, each


def test_a_slope_is_found_within_its_error() -> None:
    rng = np.random.default_rng(0)
    x = np.arange(400.0)
    slope, error = soak.slope_of(x, 5 + 0.25 * x + rng.normal(0, 1, 400))
    assert abs(slope - 0.25) < 2 * error < 0.01
    flat, error = soak.slope_of(x, rng.normal(0, 1, 400))
    assert abs(flat) < 2 * error
