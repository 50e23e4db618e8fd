"""Attention with bytes first: all pixels give the dense pass, none gives pass 1."""

from __future__ import annotations

import numpy as np
import pytest
from scenes.data import compose_set, forms, halved
from scenes.runs import Attention

from reluflow.attention import RegionOptions, open_pass
from reluflow.graph import Model
from reluflow.sessions import has_library

PASS = "bytes at half the side"
SIZE = (96, 160)


@pytest.fixture(scope="module")
def made() -> dict[str, Model]:
    if not has_library():
        pytest.skip("regions need the native library")
    return forms(np.stack([scene.image for scene in compose_set(2, 9, SIZE)]))


@pytest.mark.parametrize("margin", [0, 1])
def test_all_is_the_dense_pass_and_none_is_pass_1(made: dict[str, Model], margin: int) -> None:
    attention = Attention(made, PASS)
    scene = compose_set(1, 11, SIZE)[0]
    everything = attention.run(scene.image, RegionOptions("absolute", -1.0, margin))
    assert everything.share == 1
    assert np.array_equal(everything.after, attention.dense(scene.image))
    nothing = attention.run(scene.image, RegionOptions("absolute", 99.0, margin))
    assert nothing.share == 0
    assert np.array_equal(nothing.after, nothing.before)
    some = attention.run(scene.image, RegionOptions("coverage", 0.3, margin))
    assert 0.2 < some.coverage < 0.8
    outside = ~some.computed
    assert np.array_equal(some.after[:, outside], some.before[:, outside])
    assert not np.array_equal(some.after[:, ~outside], some.before[:, ~outside])


def test_pass_1_is_the_file_of_bytes_on_the_half(made: dict[str, Model]) -> None:
    scene = compose_set(1, 12, SIZE)[0]
    small = halved(scene.image)
    assert small.shape == (1, SIZE[0] // 2, SIZE[1] // 2)
    alone = open_pass(made["bytes of halves"], 16, threads=1)
    [rough] = alone.run({"image": small[None]})[0][0]["logits"]
    assert rough.shape == (11, SIZE[0] // 8, SIZE[1] // 8)
    found = Attention(made, PASS).run(scene.image, RegionOptions("absolute", 99.0))
    np.testing.assert_array_equal(found.before, rough.repeat(2, axis=1).repeat(2, axis=2))
