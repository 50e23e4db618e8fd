"""Weights made for a budget: it is never exceeded, and layers get what helps on other inputs."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from rewriting import SHAPE, N, build, every_layer, weights

import reluflow
from reluflow.data import open_data
from reluflow.errors import DataError, ModelError, OptionError
from reluflow.evaluation import TuningOptions, convert_for_budget, tune_for_budget
from reluflow.evaluation.tuning.for_budget import fit_to_budget
from reluflow.evaluation.tuning.tuned_errors import measure_tuned_errors
from reluflow.graph import Model, PsbOptions, find_psb, plan_psb, to_psb

NET = every_layer()
DATA = np.random.default_rng(11).gamma(1, 1, (40, *SHAPE)).astype(np.float32)


def thinned() -> Model:
    """Return the network with half of some weights 0, which are no multiplications."""
    nodes = [
        N("Conv", ["x", "w1"], ["h"], name="first", pads=[1, 1, 1, 1]),
        N("Relu", ["h"], ["r"]),
        N("Conv", ["r", "w2"], ["d"], name="second"),
        N("GlobalAveragePool", ["d"], ["g"]),
        N("Flatten", ["g"], ["f"]),
        N("MatMul", ["f", "w3"], ["y"], name="last"),
    ]
    tensors = {"w1": weights(8, 4, 3, 3), "w2": weights(16, 8, 1, 1), "w3": weights(16, 3)}
    tensors["w1"] = tensors["w1"] * (np.arange(8, dtype=np.float32).reshape(8, 1, 1, 1) % 2)
    tensors["w2"] = tensors["w2"] * (np.arange(8, dtype=np.float32).reshape(1, 8, 1, 1) % 2)
    return build(nodes, tensors, ("N", *SHAPE), 2)


@pytest.mark.parametrize("net", [NET, thinned()], ids=["every layer", "thinned"])
@pytest.mark.parametrize("budget", [2, 2.5, 4, 7.3, 16])
def test_the_budget_is_never_exceeded(net: Model, budget: float) -> None:
    found = convert_for_budget(net, open_data(DATA[:12], net.inputs), budget)
    nodes = find_psb(found.result.model)
    products = [node.products or 0 for node in nodes]
    drawn = [node.samples(found.allocation.samples) for node in nodes]
    assert np.dot(products, drawn) <= budget * sum(products)
    assert found.allocation.mean <= budget
    assert drawn == [node.samples for node in found.allocation.nodes]
    assert found.allocation.samples <= budget


@pytest.mark.parametrize("p_bits", [1, 2, 4])
def test_codes_are_drawn_exactly_within_the_stored_bits(p_bits: int) -> None:
    options = PsbOptions(p_bits=p_bits)
    found = convert_for_budget(NET, open_data(DATA[:12], NET.inputs), 2, options=options)
    assert max(node.samples for node in found.allocation.nodes) <= 1 << p_bits
    stored = find_psb(to_psb(found.tuned.model, options).model)
    assert [node.name for node in stored] == [node.name for node in found.allocation.nodes]


def test_tune_for_budget_returns_the_division_and_its_model() -> None:
    source = open_data(DATA[:12], NET.inputs)
    short, long = tune_for_budget(NET, source, 4), convert_for_budget(NET, source, 4)
    assert short.to_dict() == long.allocation.to_dict()
    assert short.model.serialize() == long.result.model.serialize()


@pytest.mark.parametrize(
    ("samples", "products", "budget", "found"),
    [
        ({"a": 8, "b": 2}, {"a": 10, "b": 30}, 4, {"a": 8, "b": 2}),
        ({"a": 8, "b": 2}, {"a": 20, "b": 30}, 4, {"a": 4, "b": 2}),
        ({"a": 16, "b": 16, "c": 2}, {"a": 50, "b": 20, "c": 10}, 8, {"a": 8, "b": 8, "c": 2}),
        ({"a": 4, "b": 4}, {"a": 5, "b": 5}, 2, {"a": 2, "b": 2}),
    ],
)
def test_too_many_samples_are_halved(
    samples: dict[str, int], products: dict[str, int], budget: float, found: dict[str, int]
) -> None:
    assert fit_to_budget(samples, products, budget) == found


@pytest.mark.parametrize("bits", [(1, 2), (2, 4), (1, 3, 6)])
def test_fewer_bits_cost_more_in_every_layer(bits: tuple[int, ...]) -> None:
    plan = plan_psb(NET)
    found = measure_tuned_errors(plan, open_data(DATA[:24], plan.model.inputs), bits)
    assert (np.diff(found.errors, axis=1) < 0).all()


@pytest.mark.parametrize("budget", [1, 1.99, 65, float("nan")])
def test_a_budget_out_of_range_is_refused(budget: float) -> None:
    with pytest.raises(OptionError, match=r"budget is .*; give a number from 2 to 64"):
        convert_for_budget(NET, open_data(DATA[:3], NET.inputs), budget)


def test_a_model_without_layers_is_refused() -> None:
    net = build([N("Relu", ["x"], ["y"])], {}, ("N", *SHAPE), 4)
    with pytest.raises(ModelError, match="has no layers to tune"):
        convert_for_budget(net, open_data(DATA[:3], net.inputs), 4)


def test_data_that_are_read_once_are_refused() -> None:
    once = open_data(({"x": x[None]} for x in DATA), NET.inputs)
    with pytest.raises(DataError, match="can be read once only"):
        convert_for_budget(NET, once, 4)


@pytest.mark.parametrize(
    ("x_bits", "chains"),
    [(None, False), (None, True), (8, True), (16, False), (16, True), ("auto", True)],
)
def test_convert_divides_a_budget(x_bits: Any, chains: bool) -> None:
    given: dict[str, Any] = {"calibration": DATA[:12], "tune": ["usual"], "budget": 4}
    made = reluflow.convert(NET, **given, x_bits=x_bits, chains=chains, check=False)
    assert made.allocation is not None and made.tuned is not None
    own = {node.name: node.samples for node in made.allocation.nodes}
    for model in (made.model, made.result.model):
        nodes = find_psb(model)
        assert {node.name: node.samples(4) for node in nodes} == own
        assert np.dot([own[n.name] for n in nodes], [n.products or 0 for n in nodes]) <= 4 * sum(
            n.products or 0 for n in nodes
        )
    assert "samples on average" in made.choices()[1]


def test_a_budget_without_tuning_is_refused() -> None:
    with pytest.raises(OptionError, match="budget is 4, but weights are chosen for it only where"):
        reluflow.convert(NET, calibration=DATA[:12], budget=4)


def test_other_steps_are_taken_as_given() -> None:
    source = open_data(DATA[:12], NET.inputs)
    tuning = TuningOptions(follow=False, correct_bias=False)
    found = convert_for_budget(NET, source, 4, tuning=tuning)
    assert (
        convert_for_budget(NET, source, 4).tuned.model.serialize() != found.tuned.model.serialize()
    )
    assert len(find_psb(found.result.model)) == len(find_psb(to_psb(NET).model))
