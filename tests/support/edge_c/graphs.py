"""Random graphs of the operators of chains, with whatever attributes these may have."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from reluflow.graph import Model
from reluflow.graph.psb.chain_functions import add_chain_functions
from reluflow.graph.rewrite.edit import Editor
from reluflow.psb import encode, pack

OURS = "ai.reluflow"
Shape = tuple[int, ...]


class Graph:
    """A chain that grows node by node.

    Attributes:
        shapes: tensor of bytes -> `(1, spatial..., C)`.
        forms: tensor of bytes -> exponent and zero.
        ops: operators so far, those of ends too.
        input_type: ONNX's number of the input's type.
    """

    input_type: int = TensorProto.FLOAT

    def __init__(self, seed: int) -> None:
        self.rng = np.random.default_rng(seed)
        self.nodes: list[onnx.NodeProto] = []
        self.constants: dict[str, np.ndarray] = {}
        self.shapes: dict[str, Shape] = {}
        self.forms: dict[str, tuple[int, int]] = {}
        self.outputs: list[str] = []
        self.ops: set[str] = set()
        rank = int(self.rng.integers(1, 3))
        sizes = self.rng.integers(3, 8 if rank == 2 else 16, rank).tolist()
        channels = int(self.rng.integers(1, 7))
        self.input_shape = (channels, *sizes)
        self.forms["u"] = self.form()
        self.shapes["u"] = (1, *sizes, channels)
        attributes = self.attributes(y=self.forms["u"]) | {"fills_quads": 0}
        self.node("ToFixed", ["x"], "u", attributes)

    def form(self) -> tuple[int, int]:
        return int(self.rng.integers(-2, 7)), int(self.rng.choice([0, 128]))

    def attributes(self, **forms: tuple[int, int]) -> dict[str, int]:
        pairs = [(f"{n}_exponent", f[0]) for n, f in forms.items()]
        return dict(pairs + [(f"{n}_zero", f[1]) for n, f in forms.items()])

    def bounds(self) -> dict[str, int]:
        low, high = sorted(self.rng.integers(0, 256, 2).tolist())
        return {"y_min": low, "y_max": high} if self.rng.random() < 0.3 else {}

    def constant(self, value: np.ndarray) -> str:
        name = f"c{len(self.constants)}"
        self.constants[name] = value
        return name

    def table(self) -> str:
        return self.constant(self.rng.integers(0, 256, 256).astype(np.uint8))

    def node(
        self, op: str, inputs: list[str], output: str, attributes: dict[str, Any], own: bool = True
    ) -> None:
        domain = OURS if own else ""
        self.ops.add(op)
        self.nodes.append(
            helper.make_node(
                op, inputs, [output], f"n{len(self.nodes)}", domain=domain, **attributes
            )
        )

    def give(
        self, op: str, inputs: list[str], shape: Shape, form: tuple[int, int], **more: Any
    ) -> str:
        own = op.startswith(("Fixed", "From", "To"))
        name = f"t{len(self.nodes)}"
        self.node(op, inputs, name, more, own)
        self.shapes[name], self.forms[name] = shape, form
        return name

    def pick(self) -> str:
        names = list(self.shapes)
        return str(names[max(0, len(names) - 1 - int(self.rng.geometric(0.5)) + 1)])

    def window(self, sizes: Shape, kernel: list[int], dilate: bool = True) -> dict[str, Any]:
        """Return a window that fits, and where it lies."""
        rng, rank = self.rng, len(sizes)
        found: dict[str, Any] = {"strides": rng.integers(1, 3, rank).tolist()}
        if rng.random() < 0.3:
            found["auto_pad"] = str(rng.choice(["VALID", "SAME_UPPER", "SAME_LOWER"]))
            return found
        gaps = [
            2 if dilate and 2 * (k - 1) + 1 <= n and rng.random() < 0.5 else 1
            for k, n in zip(kernel, sizes, strict=True)
        ]
        found["dilations"] = gaps
        ends = [[int(rng.integers(0, k)) for k in kernel] for _ in range(2)]
        found["pads"] = ends[0] + ends[1]
        return found

    def kernel(self, sizes: Shape) -> list[int]:
        return [int(self.rng.integers(1, min(4, n) + 1)) for n in sizes]

    def weights(self, shape: Shape) -> dict[str, Any]:
        """Return weights as constants, and the attributes that belong to them."""
        w = self.rng.standard_t(2, shape).astype(np.float32)
        w[self.rng.random(shape) < 0.15] = 0
        code = encode(w, p_bits=int(self.rng.choice([1, 2, 3, 4, 6, 8, 16])))
        bias = (self.rng.normal(size=shape[0]) * 8).astype(np.float32)
        names = [self.constant(pack(code)), self.constant(code.emax), self.constant(bias)]
        sampler = "nearest" if self.rng.random() < 0.2 else "systematic"
        attributes = {"weight_shape": list(shape), "p_bits": code.p_bits, "sampler": sampler}
        return {
            "names": [*names, "samples", "seed"],
            "attributes": attributes | {"stream": len(self.nodes)},
        }

    def build(self) -> Model:
        """Return the model, its operators with their functions."""
        graph = helper.make_graph(
            self.nodes,
            "g",
            [
                helper.make_tensor_value_info("x", self.input_type, (1, *self.input_shape)),
                helper.make_tensor_value_info("samples", TensorProto.INT64, ()),
                helper.make_tensor_value_info("seed", TensorProto.INT64, ()),
            ],
            [helper.make_empty_tensor_value_info(name) for name in self.outputs],
            [numpy_helper.from_array(value, name) for name, value in self.constants.items()],
        )
        imports = [helper.make_opsetid("", 17), helper.make_opsetid(OURS, 1)]
        proto = helper.make_model(graph, opset_imports=imports, ir_version=8)
        del proto.graph.output[:]
        for name in self.outputs:
            kind = TensorProto.INT64 if name.startswith("best") else TensorProto.FLOAT
            proto.graph.output.append(helper.make_tensor_value_info(name, kind, None))
        editor = Editor(Model(proto))
        add_chain_functions(editor)
        return Model(onnx.ModelProto.FromString(editor.finish(()).model.serialize()))


def conv(g: Graph) -> None:
    x = g.pick()
    sizes, channels = g.shapes[x][1:-1], g.shapes[x][-1]
    if not 1 <= len(sizes) <= 2:
        return
    kernel = g.kernel(sizes)
    window = g.window(sizes, kernel)
    kind = g.rng.choice(["dense", "dense", "depthwise", "grouped"])
    group, outputs, inputs = 1, int(g.rng.integers(1, 8)), channels
    if kind == "depthwise":
        group, inputs = channels, 1
        outputs = channels * int(g.rng.choice([1, 1, 2]))
    elif kind == "grouped" and channels % 2 == 0:
        group, inputs, outputs = 2, channels // 2, 2 * int(g.rng.integers(1, 4))
    weights = g.weights((outputs, inputs, *kernel))
    output = _output(sizes, kernel, window)
    if output is None:
        return
    shape, form = (1, *output, outputs), g.form()
    same = [name for name in g.shapes if g.shapes[name] == shape]
    reads = [x, *weights["names"]]
    attributes = weights["attributes"] | window | g.bounds() | {"group": group}
    attributes |= g.attributes(x=g.forms[x], y=form)
    if same and g.rng.random() < 0.7:
        z = str(g.rng.choice(same))
        reads.append(z)
        attributes |= g.attributes(z=g.forms[z])
    if g.rng.random() < 0.3:
        reads += [""] * (7 - len(reads)) + [g.table()]
    g.give("FixedConv", reads, shape, form, **attributes)


def _output(sizes: Shape, kernel: list[int], window: dict[str, Any]) -> list[int] | None:
    from reluflow.errors import DataError
    from reluflow.psb._window import place_window

    try:
        found = place_window(
            sizes,
            kernel,
            window.get("strides"),
            window.get("dilations"),
            window.get("pads"),
            window.get("auto_pad", "NOTSET"),
        )
    except DataError:
        return None
    return list(found.output)


def add(g: Graph) -> None:
    a = g.pick()
    b = str(g.rng.choice([name for name in g.shapes if g.shapes[name] == g.shapes[a]]))
    form = g.form()
    attributes = g.attributes(a=g.forms[a], b=g.forms[b], y=form) | g.bounds()
    reads = [a, b, *([g.table()] if g.rng.random() < 0.3 else [])]
    g.give("FixedAdd", reads, g.shapes[a], form, **attributes)


def mul(g: Graph) -> None:
    x = g.pick()
    shape = g.shapes[x]
    ones = (1, *[1] * (len(shape) - 2), shape[-1])
    some = [name for name in g.shapes if g.shapes[name] in (shape, ones)]
    s, form = str(g.rng.choice(some)), g.form()
    attributes = g.attributes(x=g.forms[x], s=g.forms[s], y=form) | g.bounds()
    g.give("FixedMul", [x, s], shape, form, **attributes)


def table(g: Graph) -> None:
    x = g.pick()
    g.give("FixedTable", [x, g.table()], g.shapes[x], g.form())


def pool(g: Graph) -> None:
    x = g.pick()
    sizes = g.shapes[x][1:-1]
    if not 1 <= len(sizes) <= 2:
        return
    kernel = g.kernel(sizes)
    largest = bool(g.rng.random() < 0.5)
    window = g.window(sizes, kernel)
    output = _output(sizes, kernel, window)
    if output is None:
        return
    shape = (1, *output, g.shapes[x][-1])
    more: dict[str, Any] = {"kernel_shape": kernel, **window}
    if largest:
        g.give("FixedMaxPool", [x], shape, g.forms[x], **more)
        return
    form = g.form()
    more |= g.attributes(x=g.forms[x], y=form) | g.bounds()
    more["count_include_pad"] = int(g.rng.integers(0, 2))
    g.give("FixedAveragePool", [x], shape, form, **more)


def mean(g: Graph) -> None:
    x = g.pick()
    shape, form = g.shapes[x], g.form()
    made = (1, *[1] * (len(shape) - 2), shape[-1])
    attributes = g.attributes(x=g.forms[x], y=form) | g.bounds()
    if len(shape) > 2:
        g.give("FixedGlobalAveragePool", [x], made, form, **attributes)


def concat(g: Graph) -> None:
    a = g.pick()
    axis = int(g.rng.integers(1, len(g.shapes[a])))
    rest = [s for k, s in enumerate(g.shapes[a]) if k != axis]
    some = [
        name
        for name, shape in g.shapes.items()
        if len(shape) == len(g.shapes[a]) and [s for k, s in enumerate(shape) if k != axis] == rest
    ]
    names = [a, str(g.rng.choice(some)), str(g.rng.choice(some))][: int(g.rng.integers(2, 4))]
    shape = list(g.shapes[a])
    shape[axis] = sum(g.shapes[name][axis] for name in names)
    if shape[axis] < 20:
        g.give("Concat", names, tuple(shape), g.forms[a], axis=axis)


def pad(g: Graph) -> None:
    x = g.pick()
    shape = g.shapes[x]
    mode = str(g.rng.choice(["constant", "edge", "reflect"]))
    ends = [
        [int(g.rng.integers(0, min(3, n))) if 0 < k < len(shape) - 1 else 0
         for k, n in enumerate(shape)]
        for _ in range(2)
    ]  # fmt: skip
    inputs = [x, g.constant(np.array(ends[0] + ends[1], np.int64))]
    if mode == "constant":
        inputs.append(g.constant(np.array(g.rng.integers(0, 256), np.uint8)))
    made = tuple(b + n + e for b, n, e in zip(ends[0], shape, ends[1], strict=True))
    g.give("Pad", inputs, made, g.forms[x], mode=mode)


def resize(g: Graph) -> None:
    x = g.pick()
    shape = g.shapes[x]
    if not 3 <= len(shape) <= 4:
        return
    sizes = g.rng.integers(1, 10, len(shape) - 2).tolist()
    made = (1, *sizes, shape[-1])
    if g.rng.random() < 0.5:
        given = g.constant(np.array([1, shape[-1], *sizes], np.int64))
        g.give("FixedResize", [x, given], made, g.forms[x], coordinates=int(g.rng.integers(0, 4)))
        return
    how = ["half_pixel", "pytorch_half_pixel", "align_corners", "asymmetric"]
    rounding = ["round_prefer_floor", "round_prefer_ceil", "floor", "ceil"]
    more = {
        "mode": "nearest",
        "coordinate_transformation_mode": str(g.rng.choice(how)),
        "nearest_mode": str(g.rng.choice(rounding)),
    }
    given = g.constant(np.array(made, np.int64))
    g.give("Resize", [x, "", "", given], made, g.forms[x], **more)


def turn(g: Graph) -> None:
    x = g.pick()
    shape = g.shapes[x]
    order = [0, *(1 + g.rng.permutation(len(shape) - 1)).tolist()]
    g.give("Transpose", [x], tuple(shape[k] for k in order), g.forms[x], perm=order)


def cut(g: Graph) -> None:
    x = g.pick()
    shape = g.shapes[x]
    axis = int(g.rng.integers(1, len(shape)))
    start, step = int(g.rng.integers(0, shape[axis])), int(g.rng.choice([1, 2, -1]))
    end = shape[axis] if step > 0 else -shape[axis] - 1
    given = [g.constant(np.array([value], np.int64)) for value in (start, end, axis, step)]
    kept = len(range(shape[axis])[start : None if step < 0 else end : step])
    made = tuple(kept if k == axis else n for k, n in enumerate(shape))
    g.give("Slice", [x, *given], made, g.forms[x])


def flat(g: Graph) -> None:
    x = g.pick()
    shape = g.shapes[x]
    made = (1, shape[1], int(np.prod(shape[2:])))
    given = g.constant(np.array([0, shape[1], -1], np.int64))
    if len(shape) > 2:
        g.give("Reshape", [x, given], made, g.forms[x])


STEPS = (conv, conv, conv, add, mul, table, pool, pool, mean, concat, pad, resize, turn, cut, flat)


def end(g: Graph, x: str) -> None:
    """Let a tensor become an output, by one of the ends, and maybe what comes after it."""
    name, shape = f"out{len(g.outputs)}", g.shapes[x]
    kind = g.rng.choice(["conv", "matmul", "bytes", "mean"])
    rank = len(shape) - 2
    if kind == "conv" and 1 <= rank <= 2:
        kernel = g.kernel(shape[1:-1])
        window = g.window(shape[1:-1], kernel)
        weights = g.weights((int(g.rng.integers(1, 6)), shape[-1], *kernel))
        if _output(shape[1:-1], kernel, window) is not None:
            more = weights["attributes"] | window | g.attributes(x=g.forms[x]) | {"group": 1}
            g.node("FromFixedConv", [x, *weights["names"]], name, more)
            after(g, name, 1)
            return
    if kind == "mean" and 1 <= rank <= 2:
        g.node("FixedGlobalPool", [x], name, g.attributes(x=g.forms[x]))
        g.outputs.append(name)
        return
    if kind == "bytes":
        g.node("FromFixed", [x], name, g.attributes(x=g.forms[x]))
        g.outputs.append(name)
        return
    weights = g.weights((int(g.rng.integers(1, 12)), shape[-1]))
    more = weights["attributes"] | g.attributes(x=g.forms[x])
    g.node("FromFixedMatMul", [x, *weights["names"]], name, more)
    after(g, name, -1)


def after(g: Graph, name: str, axis: int) -> None:
    """Let exact sums be bounded, compared or turned into probabilities."""
    kind = g.rng.choice(["none", "relu", "clip", "best", "softmax", "sigmoid"])
    g.outputs.append(name)
    if kind == "relu":
        g.node("Relu", [name], f"{name}r", {}, own=False)
        g.outputs[-1] = f"{name}r"
    elif kind == "clip":
        bounds = [g.constant(np.array(value, np.float32)) for value in (-1.0, 2.5)]
        g.node("Clip", [name, *bounds], f"{name}c", {}, own=False)
        g.outputs[-1] = f"{name}c"
    elif kind == "best":
        more = {"axis": axis, "keepdims": int(g.rng.integers(0, 2))}
        g.node("ArgMax", [name], f"best{name}", more, own=False)
        g.outputs.append(f"best{name}")
    elif kind == "sigmoid":
        g.node("Sigmoid", [name], f"soft{name}", {}, own=False)
        g.outputs.append(f"soft{name}")
    elif kind == "softmax":
        g.node("Softmax", [name], f"soft{name}", {"axis": axis}, own=False)
        g.outputs.append(f"soft{name}")


def random_graph(seed: int, steps: int) -> Graph:
    """Return a random chain.

    Args:
        seed: of all that is drawn.
        steps: that are tried.
    """
    g = Graph(seed)
    conv(g)
    for _ in range(steps):
        STEPS[int(g.rng.integers(0, len(STEPS)))](g)
    names = list(g.shapes)
    end(g, names[-1])
    if g.rng.random() < 0.3:
        end(g, g.pick())
    if not {"FixedConv", "FromFixedConv", "FromFixedMatMul"} & g.ops:
        x = names[0]
        weights = g.weights((3, g.shapes[x][-1]))
        more = weights["attributes"] | g.attributes(x=g.forms[x])
        g.node("FromFixedMatMul", [x, *weights["names"]], "last", more)
        g.outputs.append("last")
    return g
