"""Bits of chosen inputs and inputs of chosen patterns, against a plain run of the model."""

from typing import Any

import numpy as np
import onnx
import pytest
import small_models
from onnx import helper
from onnx.reference import ReferenceEvaluator

import reluflow
from reluflow.errors import DataError, ModelError, OptionError


def with_outputs(proto: onnx.ModelProto, names: list[str]) -> onnx.ModelProto:
    """Return the model with tensors as outputs."""
    wider = onnx.ModelProto()
    wider.CopyFrom(proto)
    del wider.graph.output[:]
    wider.graph.output.extend(helper.make_tensor_value_info(n, 1, None) for n in names)
    return wider


def test_bits_of_a_dense_layer_are_the_signs_of_its_pre_activations() -> None:
    proto, x = small_models.dense(), small_models.integers((50, 4))
    pre = ReferenceEvaluator(with_outputs(proto, ["pre0", "pre1"])).run(None, {"x": x})
    wanted = [7, 3, 3, 49]
    bits = reluflow.activation_bits(proto, x, wanted)
    assert list(bits) == ["relu0", "relu1"]
    for found, values in zip(bits.values(), pre, strict=True):
        np.testing.assert_array_equal(found[:, 0], values[wanted] > 0)


def test_bits_of_a_convolution_have_a_row_for_each_pixel() -> None:
    proto = small_models.convolutional()
    x = small_models.integers((6, 2, 5, 5))
    site = reluflow.inspect(proto).sites[1]
    outputs: Any = ReferenceEvaluator(with_outputs(proto, [site.tensor])).run(None, {"x": x})
    [pre] = outputs
    [found] = reluflow.activation_bits(proto, x, [5, 0], [site.name]).values()
    pixels = pre[[5, 0]].transpose(0, 2, 3, 1).reshape(2, -1, site.units)
    np.testing.assert_array_equal(found, pixels > 0)


@pytest.mark.parametrize("fixed", [2, 5])
def test_a_fixed_batch_is_filled_up(fixed: int) -> None:
    proto, x = small_models.dense(), small_models.integers((50, 4))
    free = reluflow.activation_bits(proto, x, [1, 2, 3])
    for value in (*proto.graph.input, *proto.graph.output):
        value.type.tensor_type.shape.dim[0].Clear()
        value.type.tensor_type.shape.dim[0].dim_value = fixed
    bound = reluflow.activation_bits(proto, x, [1, 2, 3])
    for name in free:
        np.testing.assert_array_equal(free[name], bound[name])


@pytest.mark.parametrize("rank", [0, 1, 2])
def test_a_pattern_is_found_in_as_many_inputs_as_were_counted(rank: int) -> None:
    proto = small_models.convolutional()
    x = small_models.integers((20, 2, 5, 5))
    for site in reluflow.analyze(proto, x):
        top = site.top[rank]
        found = reluflow.find_pattern(proto, x, site.site.name, top)
        assert len(found) == top.count
        assert (found.inputs[0], found.positions[0]) == (top.first_sample, top.first_position)
        assert "".join("01"[int(bit)] for bit in found.bits) == top.bits
        bits = reluflow.activation_bits(proto, x, sorted(set(found.inputs)), [site.site.name])
        rows = bits[site.site.name]
        same = (rows == found.bits).all(axis=-1)
        assert same.sum() == top.count


def test_the_most_frequent_pattern_is_the_default_and_a_fingerprint_will_do() -> None:
    proto, x = small_models.dense(), small_models.integers((50, 4))
    top = reluflow.analyze(proto, x)["relu0"].top[0]
    most = reluflow.find_pattern(proto, x, "relu0")
    assert most.fingerprint == top.fingerprint and len(most) == top.count
    named = reluflow.find_pattern(proto, [x[:30], x[30:]], "relu0", top.fingerprint)
    np.testing.assert_array_equal(named.inputs, most.inputs)
    never = reluflow.find_pattern(proto, x, "relu0", "0" * 31 + "1")
    assert len(never) == 0 and never.bits.size == 0


def test_mistakes_are_one_sentence() -> None:
    proto, x = small_models.dense(), small_models.integers((50, 4))
    with pytest.raises(OptionError, match=r"samples are \[\]; give indices"):
        reluflow.activation_bits(proto, x, [])
    with pytest.raises(OptionError, match=r"samples are \[3, -1\]; give indices"):
        reluflow.activation_bits(proto, x, [3, -1])
    with pytest.raises(OptionError, match="site is 'relu7'; accepted are relu0, relu1"):
        reluflow.activation_bits(proto, x, [0], ["relu7"])
    with pytest.raises(OptionError, match="indices hold 50, but the data have 50"):
        reluflow.activation_bits(proto, x, [50])
    wrongs: tuple[Any, ...] = ("abc", 7, "g" * 32)
    for wrong in wrongs:
        with pytest.raises(OptionError, match=r"pattern is .*give a fingerprint of 32"):
            reluflow.find_pattern(proto, x, "relu0", wrong)
    with pytest.raises(DataError, match="iterator that can be read once"):
        reluflow.find_pattern(proto, iter([x]), "relu0")


def test_inputs_of_two_sizes_do_not_make_one_array() -> None:
    proto = small_models.convolutional(size="side")
    small, large = small_models.integers((2, 2, 4, 4)), small_models.integers((2, 2, 6, 6))
    options = reluflow.AnalysisOptions(batch_size=1)
    with pytest.raises(DataError, match="differ in size at site"):
        reluflow.activation_bits(proto, [small, large], [0, 3], options=options)


def test_a_site_that_mixes_inputs_is_refused() -> None:
    weights = {"w": np.ones((4, 3), "f4"), "shape": np.array([1, -1, 3])}
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["a"], name="fc"),
        helper.make_node("Reshape", ["a", "shape"], ["b"], name="join"),
        helper.make_node("Relu", ["b"], ["y"], name="relu"),
    ]
    proto = small_models.model(nodes, weights, {"x": ["N", 4]}, {"y": [1, "M", 3]})
    with pytest.raises(ModelError, match=r"site relu mixes .*set batch_size to 1"):
        reluflow.activation_bits(proto, np.ones((6, 4), "f4"), [0, 1])
