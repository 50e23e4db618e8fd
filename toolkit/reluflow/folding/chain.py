"""Chains of affine layers and ReLUs in ONNX files, and what each makes of the space of inputs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reluflow.errors import ModelError
from reluflow.folding.layers import AffineLayer, Values, project_back
from reluflow.graph import Model, Operation, expose, fold_batchnorm, read_program
from reluflow.sessions import open_session

_PASSED = ("Flatten", "Reshape", "Identity", "Dropout", "Squeeze", "Unsqueeze")
"""What keeps the values of each sample in their order."""
_CONV_AXES = 4


@dataclass(frozen=True, slots=True, eq=False)
class Projection:
    """The inputs as a layer leaves them, as returned by `extrinsic_projections`.

    Attributes:
        layer: name of the node that multiplies.
        site: name of the Relu behind it, "" where there is none.
        points: `(n, ...)` in the shape of the inputs.
    """

    layer: str
    site: str
    points: Values


@dataclass(slots=True, eq=False)
class _Link:
    """One affine layer of a chain, and where it reads and is read."""

    name: str
    x: str
    output: str
    weight: Values
    bias: Values
    site: str = ""
    window: Mapping[str, Any] = field(default_factory=dict)


def extrinsic_projections(model: Model, inputs: NDArray[Any]) -> tuple[Projection, ...]:
    """Return the extrinsic projection of the inputs behind each layer of a chain.

    The chain consists of Gemm, MatMul, Conv, constants added to them, Relu, and what only reshapes;
    batch normalisation is folded first. An addition of a layer's own input to its output
    adds the identity to its weights.

    Args:
        model: with one input, not changed.
        inputs: `(n, ...)`, as the model takes them.

    Returns:
        One per affine layer, from the input on; with the last one also where no Relu follows it.

    Raises:
        ModelError: the model is no such chain; the sentence names the first node that is not.

    Example:
        >>> import onnx.parser
        >>> from reluflow.graph import load
        >>> proto = onnx.parser.parse_model('''<ir_version: 8, opset_import: ["" : 17]>
        ...     g (float[N,2] x) => (float[N,2] y) <float[2,2] w = {1,0,1,1}>
        ...     { h = MatMul(x, w) y = Relu(h) }''')
        >>> [found] = extrinsic_projections(load(proto), np.array([[1, 1], [-3, 1]], np.float32))
        >>> found.site, found.points.round(6).tolist()
        ('y', [[1.0, 1.0], [-1.0, 1.0]])

    Reference: thesis A.2, Definition 9.
    """
    model = fold_batchnorm(model).model
    program = read_program(model)
    if len(program.inputs) != 1:
        raise ModelError(
            f"the model has {len(program.inputs)} inputs; a projection back needs exactly one."
        )
    [x] = program.inputs
    links = _read(program.operations, program.constants, x)
    wanted = list(dict.fromkeys(name for link in links for name in (link.x, link.output)))
    exposed = [name for name in wanted if name != x]
    session = open_session(expose(model, exposed).model)
    values = dict(zip(session.outputs, session.run({x: inputs}), strict=True)) | {x: inputs}
    layers: list[AffineLayer] = []
    found = []
    for link in links:
        layers.append(_layer(link, values))
        points = project_back(values[link.output], layers)
        found.append(Projection(link.name, link.site, points))
    return tuple(found)


def _read(
    operations: tuple[Operation, ...], constants: Mapping[str, NDArray[Any]], x: str
) -> list[_Link]:
    links: list[_Link] = []
    at = x
    for step in operations:
        reads = [name for name in step.inputs if name and name not in constants]
        given = [constants[name].astype(np.float64) for name in step.inputs if name in constants]
        if at not in reads or not _takes(step, reads, given, links):
            raise ModelError(
                f"node {step.name!r} ({step.op}) is no link of a chain of Gemm, MatMul, Conv and "
                "Relu; give a model that is such a chain, or the part of it that is one."
            )
        if step.op in ("Gemm", "MatMul", "Conv"):
            links.append(_linear(step, at, given))
        elif step.op == "Add" and given:
            links[-1].bias = links[-1].bias + given[0].reshape(-1)
        elif step.op == "Add":
            links[-1].weight = _with_identity(links[-1], step)
        if step.op not in _PASSED:
            links[-1].output = step.outputs[0]
        if step.op == "Relu":
            links[-1].site = step.name
        at = step.outputs[0]
    if not links:
        raise ModelError(
            "the model has no Gemm, MatMul or Conv, so nothing to project back; give one that has."
        )
    return links


def _takes(
    step: Operation, reads: list[str], given: list[NDArray[Any]], links: list[_Link]
) -> bool:
    """Tell whether a node continues the chain."""
    is_open = bool(links) and not links[-1].site and links[-1].output in reads
    if step.op == "Add":
        alone = len(reads) == 1 and len(given) == 1 and is_open
        if alone:
            return given[0].size == links[-1].bias.size
        return is_open and sorted(reads) == sorted([links[-1].x, links[-1].output])
    if step.op == "Relu":
        return is_open
    if step.op == "Gemm":
        return reads == [step.inputs[0]] and not step.attributes.get("transA", 0)
    if step.op == "MatMul":
        return reads == [step.inputs[0]] and len(given) == 1 and given[0].ndim == len("kn")
    if step.op == "Conv":
        return reads == [step.inputs[0]] and _plain_window(step, given[0])
    return step.op in _PASSED and len(reads) == 1


def _plain_window(step: Operation, kernel: NDArray[Any]) -> bool:
    """Tell whether a convolution is 2-D, of one group, without dilation and computed pads."""
    dilations: Any = step.attributes.get("dilations", (1, 1))
    return (
        kernel.ndim == _CONV_AXES
        and step.attributes.get("group", 1) == 1
        and set(dilations) == {1}
        and step.attributes.get("auto_pad", "NOTSET") in ("NOTSET", "VALID")
    )


def _linear(step: Operation, x: str, given: list[Values]) -> _Link:
    weight, *rest = given
    window: Mapping[str, Any] = {}
    if step.op == "Gemm":
        weight = weight.T if step.attributes.get("transB", 0) else weight
        weight = float(step.attributes.get("alpha", 1.0)) * weight  # type: ignore[arg-type]
        rest = [float(step.attributes.get("beta", 1.0)) * c for c in rest]  # type: ignore[arg-type]
    elif step.op == "Conv":
        window = step.attributes
    size = weight.shape[0] if step.op == "Conv" else weight.shape[1]
    bias = np.zeros(size) + (rest[0].reshape(-1) if rest else 0.0)
    return _Link(step.name, x, step.outputs[0], weight, bias, window=window)


def _with_identity(link: _Link, step: Operation) -> Values:
    """Return the weights of a layer to whose output its input is added."""
    weight = link.weight.copy()
    if weight.ndim != _CONV_AXES:
        if weight.shape[0] == weight.shape[1]:
            return weight + np.eye(len(weight))
    elif weight.shape[0] == weight.shape[1] and all(size % 2 for size in weight.shape[2:]):
        middle = tuple(size // 2 for size in weight.shape[2:])
        weight[:, :, middle[0], middle[1]] += np.eye(len(weight))
        return weight
    raise ModelError(
        f"node {step.name!r} adds the input of {link.name!r} to its output, but its weights "
        f"{list(weight.shape)} have no identity; give a chain without this addition."
    )


def _layer(link: _Link, values: Mapping[str, NDArray[Any]]) -> AffineLayer:
    shapes = values[link.x].shape[1:], values[link.output].shape[1:]
    if link.weight.ndim != _CONV_AXES:
        return AffineLayer(link.weight, link.bias, *shapes)
    strides, pads = link.window.get("strides", (1, 1)), link.window.get("pads", (0, 0, 0, 0))
    return AffineLayer(link.weight, link.bias, *shapes, tuple(strides), tuple(pads))
