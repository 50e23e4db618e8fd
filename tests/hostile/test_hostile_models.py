"""A model, however damaged, causes only one sentence."""

from __future__ import annotations

import re

import hostile_external  # noqa: F401  (adds its cases to the table)
import hostile_graphs  # noqa: F401
import hostile_models
import hostile_strict  # noqa: F401
import pytest


@pytest.mark.parametrize("name", hostile_models.REFUSED)
def test_analyze_refuses(name, refused, worker, tmp_path):
    build, pattern = hostile_models.REFUSED[name]
    model = build(tmp_path)
    sentence = refused(
        "analyze", model, "--random", 3, "--dim", "A=3", "--out", tmp_path / "report"
    )
    assert re.search(pattern, sentence), sentence


@pytest.mark.parametrize("name", hostile_models.REFUSED)
def test_inspect_never_breaks(name, worker, tmp_path):
    model = hostile_models.REFUSED[name][0](tmp_path)
    outcome = worker.run("inspect", model)
    assert outcome.code in (0, 2), outcome
    assert len(outcome.stderr.splitlines()) == (outcome.code == 2), outcome.stderr


def test_there_are_enough():
    assert len(hostile_models.REFUSED) >= 60
