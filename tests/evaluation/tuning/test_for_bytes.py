"""Tuning for chains: formats, ranges and codes of the grid together beat tuning without them."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import pytest
from rewriting import N, build, weights

from reluflow.data import DataSource, open_data
from reluflow.evaluation import (
    TunedForBytes,
    TuningOptions,
    fill_bytes,
    find_formats,
    tune,
    tune_for_bytes,
)
from reluflow.evaluation.run import Runner
from reluflow.graph import (
    Model,
    PsbOptions,
    chain_psb,
    plan_psb,
    read_layers,
    to_psb,
)
from reluflow.psb import encode
from reluflow.psb.fixed import grid_means
from reluflow.sessions import open_session

ONE = 2**24  # of a mean on the grid
SHAPE = (4, 12, 12)
RNG = np.random.default_rng(8)
DATA = RNG.normal(0, 1, (120, *SHAPE)).astype(np.float32)
LOUD = np.exp2(RNG.uniform(-4, 4, 8)).astype(np.float32)


@cache
def network(bound: float | None) -> Model:
    """Depthwise and pointwise layers with a skip connection; channels are of unequal loudness."""
    clip = [N("Clip", ["h", "low", "high"], ["r"])] if bound else [N("Relu", ["h"], ["r"])]
    nodes = [
        N("Conv", ["x", "w1"], ["h"], name="first", pads=[1, 1, 1, 1]),
        *clip,
        N("Conv", ["r", "w2"], ["d"], name="depthwise", group=8, pads=[1, 1, 1, 1]),
        N("Conv", ["d", "w3"], ["c"], name="pointwise"),
        N("Add", ["c", "r"], ["s"]),
        N("Relu", ["s"], ["t"]),
        N("Conv", ["t", "w4"], ["q"], name="middle", strides=[2, 2]),
        N("Relu", ["q"], ["u"]),
        N("Conv", ["u", "w5", "b5"], ["y"], name="last"),
    ]
    tensors = {
        "w1": weights(8, 4, 3, 3),
        "w2": weights(8, 1, 3, 3) * LOUD.reshape(8, 1, 1, 1),
        "w3": weights(8, 8, 1, 1) / LOUD.reshape(1, 8, 1, 1),
        "w4": weights(16, 8, 3, 3),
        "w5": weights(5, 16, 1, 1),
        "b5": weights(5),
    }
    if bound:
        tensors |= {"low": np.array(0, np.float32), "high": np.array(bound, np.float32)}
    return build(nodes, tensors, ("N", *SHAPE), 4)


@cache
def tuned(bound: float | None) -> TunedForBytes:
    """Return what tuning for bytes finds by itself."""
    return tune_for_bytes(network(bound), source(network(bound)))


@cache
def untuned_bytes() -> Model:
    """Return the network in bytes without any tuning."""
    plain = to_psb(network(None)).model
    return chain_psb(plain, find_formats(plain, source(network(None)))).model


def source(model: Model) -> DataSource:
    return open_data(DATA[:24], model.inputs)


def error(exact: Model, found: Model, x: np.ndarray, samples: int = 0) -> float:
    session, extra = Runner(found, 1, None).at(samples, 3)
    wanted = open_session(exact, threads=1).run({"x": x})[0]
    noise = np.square(session.run({"x": x, **extra})[0] - wanted).sum()
    return float(noise / np.square(wanted).sum())


@pytest.mark.parametrize("bound", [None, 2.0, 0.7])
def test_it_is_nearer_to_the_float_model_than_tuning_without_formats(bound: float | None) -> None:
    model = network(bound)
    data = source(model)
    plain = to_psb(tune(model, data).model).model
    unaware = chain_psb(plain, find_formats(plain, data)).model
    found = tuned(bound)
    aware = chain_psb(to_psb(found.tuned.model).model, found.formats).model
    for x in (DATA[:24], DATA[24:]):
        assert error(model, aware, x) < error(model, unaware, x)


@pytest.mark.parametrize("tuning", [{"equalise": True}, {"follow": False}, {"feedback": False}])
@pytest.mark.parametrize("sees_rounding", [False, True])
def test_other_steps_beat_no_tuning(tuning: dict[str, Any], sees_rounding: bool) -> None:
    model = network(None)
    data = source(model)
    found = tune_for_bytes(model, data, tuning=TuningOptions(**tuning), sees_rounding=sees_rounding)
    made = chain_psb(to_psb(found.tuned.model).model, found.formats).model
    assert error(model, made, DATA[24:]) < error(model, untuned_bytes(), DATA[24:])


@pytest.mark.parametrize(("p_bits", "samples"), [(2, 4), (4, 16), (6, 64)])
def test_what_was_chosen_is_what_samples_draw(p_bits: int, samples: int) -> None:
    model = network(None)
    options = PsbOptions(p_bits=p_bits)
    found = tune_for_bytes(model, source(model), options=options)
    for layer in read_layers(found.tuned.model)[0]:
        if layer.name in found.rounding.on_grid:
            code = encode(layer.weights, p_bits=p_bits)
            assert not (grid_means(code) % ONE).any()
    made = chain_psb(to_psb(found.tuned.model, options).model, found.formats).model
    session, extra = Runner(made, 1, None).at(samples, 1)
    other, more = Runner(made, 1, None).at(samples, 2)
    one = session.run({"x": DATA[:8], **extra})[0]
    assert error(model, made, DATA[:24], samples) < 2 * error(model, made, DATA[:24])
    np.testing.assert_allclose(one, other.run({"x": DATA[:8], **more})[0], atol=0.05 * np.ptp(one))


@pytest.mark.parametrize("bound", [None, 0.7])
def test_channels_that_fill_their_bytes_have_more_signal(bound: float | None) -> None:
    model = plan_psb(network(bound)).model
    data = source(model)
    made = fill_bytes(model, data, ["r", "d", "t", "u"])
    x = DATA[24:]
    before, after = (open_session(m, threads=1).run({"x": x})[0] for m in (model, made.model))
    np.testing.assert_allclose(after, before, rtol=1e-3, atol=1e-4)
    old, new = (read_layers(m)[0][1].weights for m in (model, made.model))
    spread = [np.ptp(np.log2(np.abs(w).max(axis=(1, 2, 3)))) for w in (old, new)]
    assert spread[1] < 0.6 * spread[0]


def test_a_strength_of_0_scales_whole_tensors_only() -> None:
    model = plan_psb(network(None)).model
    made = fill_bytes(model, source(model), ["r", "d", "t", "u"], strength=0).model
    for old, new in zip(read_layers(model)[0], read_layers(made)[0], strict=True):
        ratio = new.weights / old.weights
        np.testing.assert_allclose(ratio, ratio.flat[0], rtol=1e-5)


def test_the_same_seed_gives_the_same_numbers() -> None:
    model = network(None)
    one, two = tuned(None), tune_for_bytes(model, source(model))
    for a, b in zip(*(read_layers(each.tuned.model)[0] for each in (one, two)), strict=True):
        np.testing.assert_array_equal(a.weights, b.weights)
    assert one.formats == two.formats
