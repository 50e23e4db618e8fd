"""Taps on files of real exporters: the original outputs stay bit for bit."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from reluflow.graph import find_sites, load, tap

FOLDER = Path(__file__).parents[2] / "conformance" / "files"
FILES = sorted(path.name for path in FOLDER.glob("*.onnx"))


def feed(spec, rng):
    shape = [size if isinstance(size, int) else 2 for size in spec.shape or ()]
    if spec.dtype.kind == "f":
        return (2 * rng.standard_normal(shape)).astype(spec.dtype)
    return np.full(shape, 3, spec.dtype)


@pytest.mark.parametrize("name", FILES)
def test_tap(check_tap, name):
    model = load(FOLDER / name)
    result = tap(model, find_sites(model, smooth=True))
    rng = np.random.default_rng(4)
    feeds = {spec.name: feed(spec, rng) for spec in model.inputs}
    out = check_tap(model, result, feeds)
    for one in result.done:
        value = out[one.output]
        if value.size and one.site.units is not None:
            assert value.shape[one.unit_axis] == one.site.units
