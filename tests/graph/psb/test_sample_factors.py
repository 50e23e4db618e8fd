"""Operators with their own numbers of samples: one input scales them all."""

import numpy as np
import onnx
import pytest
import small_models

from reluflow.errors import DataError, OptionError
from reluflow.graph import (
    Model,
    bake_samples,
    find_psb,
    load,
    own_samples,
    plan_psb,
    psb_alone,
    psb_inputs,
    to_psb,
    with_input_defaults,
    with_own_samples,
    with_sample_factors,
    with_sampler,
    without_input_defaults,
)
from reluflow.sessions import has_library, open_session

NETS = {"gemm": small_models.dense(seed=3, units=9), "conv": small_models.convolutional(seed=2)}
INPUTS = {"gemm": (6, 4), "conv": (2, 2, 5, 5)}
FACTORS = (4.0, 0.25, 1.0, 0.5, 64.0)


def converted(net: str) -> Model:
    proto = onnx.ModelProto()
    proto.CopyFrom(NETS[net])
    for tensor in proto.graph.initializer:  # weights whose probabilities are not whole
        if tensor.name.startswith("w"):
            values = onnx.numpy_helper.to_array(tensor) * np.float32(1.37) + np.float32(0.11)
            tensor.CopyFrom(onnx.numpy_helper.from_array(values, tensor.name))
    return to_psb(load(proto)).model


def scaled(net: str, model: Model | None = None) -> Model:
    model = model or converted(net)
    names = [node.name for node in find_psb(model)]
    return with_sample_factors(model, dict(zip(names, FACTORS, strict=False))).model


def run(model: Model, net: str, library: bool | None = None, **feeds: int) -> np.ndarray:
    session = open_session(model, library=library)
    given = {name: np.array(value, np.int64) for name, value in feeds.items()}
    return session.run({"x": small_models.integers(INPUTS[net]), **given})[0]


@pytest.mark.parametrize(
    ("factor", "wanted"),
    [
        (1.0, [0, 1, 2, 4, 8, 16, 32, 64]),
        (2.0, [0, 2, 4, 8, 16, 32, 64, 64]),
        (64.0, [0, 64, 64, 64, 64, 64, 64, 64]),
        (0.25, [0, 1, 1, 1, 2, 4, 8, 16]),
        (1 / 64, [0, 1, 1, 1, 1, 1, 1, 1]),
    ],
)
def test_a_number_of_samples_stays_within_1_and_64(factor: float, wanted: list[int]) -> None:
    assert [own_samples(n, factor) for n in (0, 1, 2, 4, 8, 16, 32, 64)] == wanted


@pytest.mark.skipif(not has_library(), reason="the native library draws")
@pytest.mark.parametrize("net", NETS)
@pytest.mark.parametrize("samples", [0, 1, 2, 4, 16, 64])
def test_the_numbers_are_those_of_samples_set_by_hand(net: str, samples: int) -> None:
    model, own = scaled(net), with_own_samples(converted(net))
    nodes = find_psb(model)
    assert [node.factor for node in nodes] == list(FACTORS[: len(nodes)])
    by_hand = {own.done[node.name]: node.samples(samples) for node in nodes}
    found = run(model, net, True, samples=samples, seed=5)
    np.testing.assert_array_equal(found, run(own.model, net, True, seed=5, **by_hand))
    if samples in (1, 2):
        uniform = run(converted(net), net, True, samples=samples, seed=5)
        assert np.any(found != uniform)


@pytest.mark.parametrize("net", NETS)
@pytest.mark.parametrize("samples", [0, 1, 4])
def test_the_same_draws_can_be_baked(net: str, samples: int) -> None:
    model = scaled(net)
    nodes = {node.name: node.samples(samples) for node in find_psb(model)}
    baked = bake_samples(model, samples, 7).model
    one_by_one = bake_samples(converted(net), nodes, 7).model
    np.testing.assert_array_equal(run(baked, net, False), run(one_by_one, net, False))
    if has_library():
        drawn = run(model, net, True, samples=samples, seed=7)
        np.testing.assert_allclose(run(baked, net, False), drawn, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("net", NETS)
def test_nearest_mode_is_as_before_with_and_without_the_library(net: str) -> None:
    plain = converted(net)
    for library in (False, *([True] if has_library() else [])):
        np.testing.assert_array_equal(run(scaled(net), net, library), run(plain, net, library))


@pytest.mark.skipif(not has_library(), reason="the native library checks the number")
@pytest.mark.parametrize("samples", [-1, -4, 3, 6, 65, 128])
def test_a_number_that_no_run_takes_is_still_refused(samples: int) -> None:
    with pytest.raises(DataError, match="samples"):
        run(scaled("gemm"), "gemm", True, samples=samples, seed=0)


@pytest.mark.parametrize("net", NETS)
def test_factors_are_replaced_not_multiplied(net: str) -> None:
    model = scaled(net)
    names = [node.name for node in find_psb(model)]
    again = with_sample_factors(model, {names[-1]: 2}).model
    assert [node.factor for node in find_psb(again)] == [1.0] * (len(names) - 1) + [2.0]
    assert again.n_nodes == converted(net).n_nodes + 3
    none = with_sample_factors(model, {}).model
    assert none.n_nodes == converted(net).n_nodes
    assert psb_inputs(none) == psb_inputs(model) == ("samples", "seed")


def test_operators_of_one_factor_share_its_nodes() -> None:
    model = converted("gemm")
    factors = {node.name: 0.5 for node in find_psb(model)}
    assert with_sample_factors(model, factors).model.n_nodes == model.n_nodes + 3


def test_defaults_are_removed_and_given_again() -> None:
    model = scaled("gemm")
    bare = without_input_defaults(model).model
    assert [spec.name for spec in bare.inputs] == ["x", "samples", "seed"]
    back = with_input_defaults(bare).model
    np.testing.assert_array_equal(run(back, "gemm"), run(model, "gemm"))


def test_a_model_whose_input_has_another_name() -> None:
    proto = small_models.dense()
    proto.graph.input[0].name = "samples"
    proto.graph.node[0].input[0] = "samples"
    model = scaled("gemm", to_psb(load(proto)).model)
    assert psb_inputs(model) == ("samples_2", "seed")


def test_a_layer_alone_keeps_its_factor() -> None:
    float_model = load(NETS["gemm"])
    model = scaled("gemm", to_psb(float_model).model)
    for node in find_psb(model):
        (alone,) = find_psb(psb_alone(plan_psb(float_model), model, node.name).model)
        assert alone.factor == node.factor


def test_only_some_operators_get_another_sampler() -> None:
    model = converted("gemm")
    names = [node.name for node in find_psb(model)]
    changed = with_sampler(model, "nearest", names[1:2])
    assert changed.done == (names[1],)
    samplers = [node.sampler for node in find_psb(changed.model)]
    assert samplers == ["systematic", "nearest", "systematic"]


@pytest.mark.parametrize("factor", [0, -1, 3, 128, 1 / 128, 0.3, float("nan")])
def test_a_factor_that_is_no_power_of_two_is_refused(factor: float) -> None:
    model = converted("gemm")
    with pytest.raises(OptionError, match=r"give a power of two from 1/64 to 64"):
        with_sample_factors(model, {find_psb(model)[0].name: factor})


def test_an_unknown_operator_is_refused() -> None:
    with pytest.raises(OptionError, match="'none', which is no PSB operator"):
        with_sample_factors(converted("gemm"), {"none": 2})
