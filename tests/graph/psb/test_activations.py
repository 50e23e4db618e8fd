"""Which tensors of a model bytes could stand for, and which its operators keep from being < 0."""

import onnx.parser
import pytest

from reluflow.graph import Activation, find_activations, find_psb, load, to_psb

HEAD = '<ir_version: 8, opset_import: ["" : 17]>'


def never_negative(body: str, constants: str = "") -> bool:
    """Tell what is said of y, made of x (any sign) and p, which is never negative."""
    nodes = f"p = Relu(x) {body} z = Identity(y)"
    text = f"{HEAD} g (float[N,4,6,6] x) => (float[] z) {constants} {{ {nodes} }}"
    found = {each.tensor: each for each in find_activations(load(onnx.parser.parse_model(text)))}
    assert found["x"] == Activation("x", False)
    assert found["p"] == Activation("p", True)
    return found["y"].never_negative


NEVER = {
    "relu": ("y = Relu(x)", ""),
    "sigmoid": ("y = Sigmoid(x)", ""),
    "hard sigmoid": ("y = HardSigmoid(x)", ""),
    "softmax": ("y = Softmax(x)", ""),
    "abs": ("y = Abs(x)", ""),
    "clip": ("y = Clip(x, low, high)", "<float low = {0.0}, float high = {6.0}>"),
    "clip of p": ("y = Clip(p, low, high)", "<float low = {-1.0}, float high = {6.0}>"),
    "max with 0": ("y = Max(x, low)", "<float low = {0.0}>"),
    "square": ("y = Mul(x, x)", ""),
    "pool": ("y = MaxPool<kernel_shape=[2,2]>(p)", ""),
    "mean": ("a = AveragePool<kernel_shape=[2,2]>(p) y = GlobalAveragePool(a)", ""),
    "sum": ("a = Sigmoid(x) y = Add(p, a)", ""),
    "scaled": ("y = Mul(p, s)", "<float[1] s = {2.0}>"),
    "concat": ("a = Abs(x) y = Concat<axis=1>(p, a)", ""),
    "pad": ("y = Pad(p, pads)", "<int64[8] pads = {0,0,1,1,0,0,1,1}>"),
    "edge": ('y = Pad<mode="edge">(p, pads)', "<int64[8] pads = {0,0,1,1,0,0,1,1}>"),
    "resize": ('y = Resize<mode="linear">(p, , s)', "<float[4] s = {1.0,1.0,2.0,2.0}>"),
    "leaky": ("y = LeakyRelu(p)", ""),
    "swish": ("y = HardSwish(p)", ""),
    "moved": ("a = Transpose(p) y = Flatten(a)", ""),
    "thresholded": ("y = ThresholdedRelu<alpha=0.5>(x)", ""),
}
MAYBE = {
    "negated": ("y = Neg(p)", ""),
    "leaky": ("y = LeakyRelu(x)", ""),
    "swish": ("y = HardSwish(x)", ""),
    "clip": ("y = Clip(x, low, high)", "<float low = {-1.0}, float high = {1.0}>"),
    "min": ("y = Min(p, low)", "<float low = {-1.0}>"),
    "sum": ("y = Add(p, x)", ""),
    "scaled": ("y = Mul(p, s)", "<float[1] s = {-2.0}>"),
    "concat": ("y = Concat<axis=1>(p, x)", ""),
    "pad": ("y = Pad(p, pads, v)", "<int64[8] pads = {0,0,1,1,0,0,1,1}, float v = {-1.0}>"),
    "cubic": ("y = Resize<mode=\"cubic\">(p, , s)", "<float[4] s = {1.0,1.0,2.0,2.0}>"),
    "difference": ("y = Sub(p, p)", ""),
    "thresholded": ("y = ThresholdedRelu<alpha=-0.5>(x)", ""),
}  # fmt: skip


@pytest.mark.parametrize("case", NEVER)
def test_what_the_operators_keep_from_being_negative(case: str) -> None:
    assert never_negative(*NEVER[case])


@pytest.mark.parametrize("case", MAYBE)
def test_what_may_be_negative(case: str) -> None:
    assert not never_negative(*MAYBE[case])


def test_constants_numbers_of_other_types_and_vectors_are_left_out() -> None:
    text = f"""{HEAD} g (float[N,4] x) => (float[N,4] y)
        <float[4] w = {{1,2,3,4}}> {{ c = Neg(w) i = Cast<to=7>(x) f = Cast<to=1>(i)
        s = ReduceSum<keepdims=0>(f) y = Add(f, c) }}"""
    found = find_activations(load(onnx.parser.parse_model(text)))
    assert [each.tensor for each in found] == ["x", "f", "y"]


@pytest.mark.parametrize("bounds", [(0.0, 6.0), (-1.0, 1.0)])
def test_a_psb_operator_tells_by_its_activation(bounds: tuple[float, float]) -> None:
    low, high = bounds
    text = f"""{HEAD} g (float[N,2] x) => (float[N,2] y)
        <float[2,2] w = {{1,2,3,4}}, float low = {{{low}}}, float high = {{{high}}}>
        {{ a = MatMul(x, w) r = Relu(a) b = MatMul(r, w) c = Clip(b, low, high) y = MatMul(c, w) }}
        """
    model = to_psb(load(onnx.parser.parse_model(text))).model
    assert len(find_psb(model)) == 3
    found = {each.tensor: each.never_negative for each in find_activations(model)}
    assert found == {"x": False, "r": True, "c": low >= 0, "y": False}
