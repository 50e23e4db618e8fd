"""A float model with rounding reads what the chain of bytes passes."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from rewriting import N, build, weights

from reluflow.data import open_data
from reluflow.errors import OptionError
from reluflow.evaluation import find_formats
from reluflow.evaluation.run import Runner
from reluflow.graph import (
    Model,
    Numbers,
    byte_rounding,
    chain_psb,
    expose,
    plan_psb,
    read_layers,
    to_psb,
    with_byte_rounding,
    with_numbers,
)
from reluflow.psb.feedback import round_with_feedback
from reluflow.psb.fixed import FixedFormat, from_fixed, to_fixed
from reluflow.sessions import open_session

X = np.random.default_rng(3).normal(0, 1, (6, 4, 9, 9)).astype(np.float32)


def skips() -> Model:
    nodes = [
        N("Conv", ["x", "w1"], ["h"], name="first", pads=[1, 1, 1, 1]),
        N("Relu", ["h"], ["r"]),
        N("Conv", ["r", "w2"], ["c"], name="second", pads=[1, 1, 1, 1]),
        N("Add", ["c", "r"], ["s"]),
        N("LeakyRelu", ["s"], ["t"], alpha=0.3),
        N("MaxPool", ["t"], ["m"], kernel_shape=[2, 2]),
        N("Concat", ["m", "m"], ["j"], axis=1),
        N("Conv", ["j", "w3"], ["y"], name="third"),
    ]
    tensors = {"w1": weights(8, 4, 3, 3), "w2": weights(8, 8, 3, 3), "w3": weights(3, 16, 1, 1)}
    return build(nodes, tensors, ("N", 4, 9, 9), 4)


def means() -> Model:
    nodes = [
        N("Conv", ["x", "w1"], ["h"], name="first"),
        N("GlobalAveragePool", ["h"], ["g"]),
        N("Conv", ["g", "w2"], ["q"], name="gate"),
        N("Sigmoid", ["q"], ["z"]),
        N("Mul", ["h", "z"], ["e"]),
        N("Conv", ["e", "w3"], ["y"], name="third"),
    ]
    tensors = {"w1": weights(8, 4, 1, 1), "w2": weights(8, 8, 1, 1), "w3": weights(3, 8, 1, 1)}
    return build(nodes, tensors, ("N", 4, 9, 9), 4)


def ends_in_means() -> Model:
    nodes = [
        N("Conv", ["x", "w1"], ["h"], name="first"),
        N("GlobalAveragePool", ["h"], ["g"]),
        N("Flatten", ["g"], ["f"]),
        N("Gemm", ["f", "w2"], ["y"], name="last", transB=1),
    ]
    return build(nodes, {"w1": weights(8, 4, 1, 1), "w2": weights(3, 8)}, ("N", 4, 9, 9), 2)


def on_grid(model: Model) -> Model:
    """Return a model whose weights a chain multiplies by as they are."""
    numbers = {}
    for layer in read_layers(model)[0]:
        k = layer.weights[0].size
        v = round_with_feedback(layer.weights, np.eye(k)[None], p_bits=4, grid=True)
        numbers[layer.output] = Numbers(v, layer.bias)
    return with_numbers(model, numbers).model


@pytest.mark.parametrize("network", [skips, means, ends_in_means])
def test_the_model_with_rounding_gives_what_the_chain_gives(network: Callable[[], Model]) -> None:
    model = on_grid(plan_psb(network()).model)
    made = to_psb(model).model
    formats = find_formats(made, open_data(X, made.inputs))
    chained = chain_psb(made, formats)
    rounding = byte_rounding(chained, formats)
    session, extra = Runner(chained.model, 1, None).at(0, 0)
    found = session.run({"x": X, **extra})[0]
    rounded = with_byte_rounding(model, rounding.formats)
    tensor = rounded.done.get("y", "y")
    shown = expose(rounded.model, [tensor]).model
    simulated = open_session(shown, outputs=[tensor], threads=1).run({"x": X})[0]
    plain = open_session(model, threads=1).run({"x": X})[0]
    # Biases are rounded too there, and halves in tables to even: few bytes are one step off.
    assert np.square(found - simulated).sum() < 0.1 * np.square(found - plain).sum()
    assert rounding.on_grid == {layer.name for layer in read_layers(model)[0]}


@pytest.mark.parametrize("tensor", ["x", "r", "s"])
@pytest.mark.parametrize("form", [FixedFormat(3, 128), FixedFormat(6, 0), FixedFormat(-1, 128)])
def test_a_rounded_tensor_is_what_the_oracle_makes_of_it(form: FixedFormat, tensor: str) -> None:
    made = with_byte_rounding(plan_psb(skips()).model, {tensor: form})
    rounded = made.done[tensor]
    shown = expose(made.model, [tensor, rounded]).model
    before, after = open_session(shown, outputs=[tensor, rounded]).run({"x": X})
    np.testing.assert_array_equal(after, from_fixed(to_fixed(before, form), form))


def test_a_name_that_the_graph_does_not_make_is_refused() -> None:
    with pytest.raises(OptionError, match="formats name 'nowhere', which the main graph does not"):
        with_byte_rounding(skips(), {"nowhere": FixedFormat(3, 0)})
