"""Taps on files of real exporters: the original outputs stay bit for bit."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from reluflow.graph import find_sites, load, tap

FOLDER = Path(__file__).parents[2] / "conformance" / "files"
FILES = sorted(path.name for path in FOLDER.glob("*.onnx"))


PICTURES = {"num_channels": 3, "height": 16, "width": 16}
"""What sizes of these names have to be; all others are 2."""


def feed(spec, rng):
    shape = [s if isinstance(s, int) else PICTURES.get(s, 2) for s in spec.shape or ()]
    if spec.dtype.kind == "f":
        return (2 * rng.standard_normal(shape)).astype(spec.dtype)
    return np.full(shape, 1, spec.dtype)  # a token, and one of two kinds of them


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
