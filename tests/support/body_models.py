"""Models whose linear operators stand in the bodies of If, Loop and Scan."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import onnx.parser
from onnx import ModelProto, NodeProto, numpy_helper

from reluflow.graph import Model, load

_HEAD = '<ir_version: 8, opset_import: ["" : 17]>'


def _random(shape: tuple[int, ...], seed: int) -> np.ndarray:
    size = math.sqrt(math.prod(shape[1:]))
    return (np.random.default_rng(seed).normal(size=shape) / size).astype(np.float32)


def model_of(text: str, **constants: np.ndarray) -> Model:
    """Return a model in ONNX's text form with more constants in its main graph."""
    return load(proto_of(text, **constants))


def proto_of(text: str, **constants: np.ndarray) -> ModelProto:
    proto = onnx.parser.parse_model(_HEAD + text)
    proto.graph.initializer.extend(numpy_helper.from_array(a, n) for n, a in constants.items())
    return proto


def branches() -> Model:
    """An If on data: one branch multiplies twice, the other once by weights of the main graph."""
    proto = proto_of(
        """ g (float[N,6] x) => (float[N,5] y) <float zero = {0}> {
          mean = ReduceMean<keepdims = 0>(x) c = Greater(mean, zero)
          [first] h = MatMul(x, w) r = Relu(h)
          [choose] z = If (c) <
            then_branch = t () => (float[N,5] a) {
              [inner] p = Gemm<transB = 1>(r, own, b) q = Relu(p)
              [last] a = MatMul(q, v)
            },
            else_branch = e () => (float[N,5] a2) { [inner] a2 = MatMul(r, v) } >
          y = Identity(z) }""",
        w=_random((6, 8), 1),
        v=_random((8, 5), 2),
        b=_random((8,), 3),
    )
    then = proto.graph.node[4].attribute[0].g
    then.initializer.append(numpy_helper.from_array(_random((8, 8), 4), "own"))
    return load(proto)


def loop() -> Model:
    """A Loop that carries a picture through one convolution and an addition."""
    return model_of(
        """ g (float[N,4,6,6] x) => (float[N,4,6,6] y, float[3,N,4,6,6] all)
          <int64 n = {3}, bool go = {1}> {
          [repeat] y, all = Loop (n, go, x) <
            body = l (int64 i, bool c, float[N,4,6,6] s) =>
                     (bool c2, float[N,4,6,6] s2, float[N,4,6,6] out) {
              c2 = Identity(c)
              [conv] h = Conv<pads = [1,1,1,1]>(s, w, b)
              [add] m = Add(h, s) s2 = Relu(m) out = Identity(s2) }> }""",
        w=_random((4, 4, 3, 3), 5),
        b=_random((4,), 6),
    )


def scan() -> Model:
    """A recurrent layer written out as a Scan: two products, of the state and of the input."""
    return model_of(
        """ g (float[N,4,5] x) => (float[N,7] last, float[4,N,7] y) <int64 at = {0}> {
          turned = Transpose<perm = [1,0,2]>(x)
          one = Gather<axis = 1>(x, at)
          [start] s = MatMul(one, w)
          [walk] last, y = Scan<num_scan_inputs = 1,
            body = r (float[N,7] h, float[N,5] v) => (float[N,7] h2, float[N,7] o) {
              [from_input] a = MatMul(v, w)
              [from_state] d = MatMul(h, u)
              e = Add(a, d) h2 = Tanh(e) o = Identity(h2) }> (s, turned) }""",
        w=_random((5, 7), 7),
        u=_random((7, 7), 8),
    )


def nested() -> Model:
    """An If in a Loop; the convolution of the branch shares its weights with the main graph."""
    return model_of(
        """ g (float[N,3,5,5] x) => (float[N,3,5,5] y) <int64 n = {4}, bool go = {1}> {
          [outside] first = Conv<pads = [1,1,1,1]>(x, w)
          [repeat] y = Loop (n, go, first) <
            body = l (int64 i, bool c, float[N,3,5,5] s) => (bool c2, float[N,3,5,5] s2) {
              c2 = Identity(c)
              two = Constant<value_int = 2> ()
              part = Mod(i, two)
              odd = Cast<to = 9>(part)
              s2 = If (odd) <
                then_branch = t () => (float[N,3,5,5] a) {
                  [shared] k = Conv<pads = [1,1,1,1]>(s, w) a = Relu(k) },
                else_branch = e () => (float[N,3,5,5] d) { [point] d = Conv(s, v) } > }> }""",
        w=_random((3, 3, 3, 3), 9),
        v=_random((3, 3, 1, 1), 10),
    )


def walk_nodes(proto: ModelProto) -> Iterator[NodeProto]:
    """Yield the nodes of the main graph and of all subgraphs."""
    graphs = [proto.graph]
    for graph in graphs:
        for node in graph.node:
            yield node
            graphs += [entry.g for entry in node.attribute if entry.HasField("g")]


def feeds(model: Model, batch: int = 2, sign: int = 1, seed: int = 0) -> dict[str, np.ndarray]:
    """Return an input for one of the models above; `sign` chooses the branch of the If on data."""
    (spec,) = [spec for spec in model.inputs if spec.name == "x"]
    shape = [batch, *(size for size in (spec.shape or ()) if isinstance(size, int))]
    x = np.random.default_rng(seed).normal(size=shape).astype(np.float32)
    return {"x": x + np.float32(sign / 2)}


MODELS = {"If": branches, "Loop": loop, "Scan": scan, "If in a Loop": nested}
