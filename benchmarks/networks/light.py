"""The nine small architectures that ship inside the onnx package, with weights to run them on.

The package's files have the real graphs and almost no weights: every large tensor is made by a
ConstantOfShape node that fills it with 0.02. Such a network gives a constant answer.
`with_random_weights` puts He-normal initializers in their place. Tests and benchmarks share this
file, so it knows neither pytest nor reluflow.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper

_PREFIX = "light_"
_BIAS_SCALE = 0.05
_PATCH = 32


def paths() -> dict[str, Path]:
    """Return the light models of the installed onnx package, name -> path, sorted by name."""
    folder = Path(onnx.__file__).parent / "backend" / "test" / "data" / "light"
    files = sorted(folder.glob(f"{_PREFIX}*.onnx"))
    return {file.stem.removeprefix(_PREFIX): file for file in files}


def with_random_weights(
    path: Path | str, seed: int = 0, batch: int | None = None
) -> onnx.ModelProto:
    """Load a light model and replace its constant weights by random initializers.

    Weights are He-normal; biases are small; BatchNormalization gets a scale near 1, a small
    shift, a small mean and a variance a little above 1. The few weights that the file does
    ship (biases, some BatchNormalization tensors) belong to weights that are not there, so they
    are replaced too. The last BatchNormalization of a residual branch is scaled down by the
    root of the number of branches: the sum then neither grows nor fades.

    Args:
        path: a file of `paths()`.
        seed: seed of the weights; the same seed gives the same bytes.
        batch: the new first dimension of the input and of all that follows from it; None
            keeps the file's own (1).

    Returns:
        A model of the same nodes without the ConstantOfShape ones; IR version and opset kept.
    """
    model = onnx.load(str(path))
    rng = np.random.default_rng(seed)
    shapes = _filled_shapes(model.graph)
    roles = _roles(model.graph)
    for name, array in _random_tensors(model.graph, shapes, roles, rng):
        _set_initializer(model, name, array)
    _drop_fill_nodes(model.graph, shapes)
    if batch is not None:
        _set_batch(model.graph, batch)
    return model


def random_input(model: onnx.ModelProto, seed: int = 0) -> dict[str, np.ndarray]:
    """Return random images of the model's own input shapes: input name -> float32 array.

    Each image is white noise plus as much noise in patches of 32 x 32 pixels: pure white noise
    looks the same to a network that averages over pixels, whatever the seed.
    """
    rng = np.random.default_rng(seed)
    feeds = {}
    for value in data_inputs(model):
        n, c, h, w = (dim.dim_value for dim in value.type.tensor_type.shape.dim)
        coarse = rng.standard_normal((n, c, h // _PATCH, w // _PATCH), dtype=np.float32)
        fine = rng.standard_normal((n, c, h, w), dtype=np.float32)
        feeds[value.name] = fine + coarse.repeat(_PATCH, axis=2).repeat(_PATCH, axis=3)
    return feeds


def data_inputs(model: onnx.ModelProto) -> list[onnx.ValueInfoProto]:
    """Return the graph inputs that no initializer fills (old IR lists weights as inputs too)."""
    weights = {tensor.name for tensor in model.graph.initializer}
    return [value for value in model.graph.input if value.name not in weights]


def _filled_shapes(graph: onnx.GraphProto) -> dict[str, tuple[int, ...]]:
    """Map each tensor that a ConstantOfShape makes to its shape."""
    initializers = {tensor.name: tensor for tensor in graph.initializer}
    shapes = {}
    for node in graph.node:
        if node.op_type == "ConstantOfShape":
            dims = numpy_helper.to_array(initializers[node.input[0]])
            shapes[node.output[0]] = tuple(int(dim) for dim in dims)
    return shapes


def _roles(graph: onnx.GraphProto) -> dict[str, str]:
    """Map each weight to what it is for: the k-th input of an op, e.g. "Conv.1"."""
    roles: dict[str, str] = {}
    aliases: dict[str, str] = {}
    for node in graph.node:
        for position, name in enumerate(node.input):
            source = aliases.get(name, name)
            roles.setdefault(source, f"{node.op_type}.{position}")
        if node.op_type in ("Unsqueeze", "Reshape"):
            # What a weight is for shows where its reshaped form is used.
            aliases[node.output[0]] = aliases.get(node.input[0], node.input[0])
            roles.pop(node.input[0], None)
    branches = [node for node in graph.node if node.op_type == "Sum"]
    last_norms = {name for node in branches for name in node.input[:1]}
    for node in graph.node:
        if node.op_type == "BatchNormalization" and node.output[0] in last_norms:
            roles[node.input[1]] = "branch scale"
    return roles


def _random_tensors(
    graph: onnx.GraphProto,
    shapes: dict[str, tuple[int, ...]],
    roles: dict[str, str],
    rng: np.random.Generator,
) -> Iterator[tuple[str, np.ndarray]]:
    """Yield (name, array) for every tensor to replace, in the order of the file."""
    shipped = {
        tensor.name: tuple(tensor.dims)
        for tensor in graph.initializer
        if tensor.data_type == onnx.TensorProto.FLOAT and tensor.name in roles
    }
    n_branches = sum(node.op_type == "Sum" for node in graph.node)
    for name, shape in (shapes | shipped).items():
        yield name, _draw(roles[name], shape, n_branches, rng)


def _draw(
    role: str, shape: tuple[int, ...], n_branches: int, rng: np.random.Generator
) -> np.ndarray:
    """Draw one float32 tensor for its role; a weight of rank >= 2 is He-normal."""
    noise = rng.standard_normal(shape, dtype=np.float32)
    if len(shape) > 1:
        fan_in = int(np.prod(shape[1:]))
        return noise * np.float32(np.sqrt(2.0 / fan_in))
    if role == "branch scale":
        return (1.0 + np.float32(0.1) * noise) / np.float32(np.sqrt(n_branches))
    if role in ("BatchNormalization.1", "Mul.1"):
        return np.float32(1.0) + np.float32(0.1) * noise
    if role == "BatchNormalization.4":
        return np.float32(1.0) + np.float32(0.1) * np.abs(noise)
    return np.float32(_BIAS_SCALE) * noise


def _set_initializer(model: onnx.ModelProto, name: str, array: np.ndarray) -> None:
    """Add or replace an initializer; before IR version 4 it must be a graph input as well."""
    graph = model.graph
    tensor = numpy_helper.from_array(np.ascontiguousarray(array, dtype=np.float32), name)
    for old in graph.initializer:
        if old.name == name:
            old.CopyFrom(tensor)
            return
    graph.initializer.append(tensor)
    if model.ir_version < 4:
        info = helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, array.shape)
        graph.input.append(info)


def _drop_fill_nodes(graph: onnx.GraphProto, shapes: dict[str, tuple[int, ...]]) -> None:
    """Remove the ConstantOfShape nodes and the shape tensors that only they read."""
    kept = [node for node in graph.node if node.op_type != "ConstantOfShape"]
    filled = [node for node in graph.node if node.op_type == "ConstantOfShape"]
    still_read = {name for node in kept for name in node.input}
    gone = {node.input[0] for node in filled} - still_read
    _keep(graph.node, kept)
    _keep(graph.initializer, [t for t in graph.initializer if t.name not in gone])
    _keep(graph.input, [v for v in graph.input if v.name not in gone])


def _keep(field: object, items: list[Any]) -> None:
    """Set a repeated protobuf field to a sublist of itself."""
    names = [id(item) for item in items]
    for index in reversed(range(len(field))):  # type: ignore[arg-type]
        if id(field[index]) not in names:  # type: ignore[index]
            del field[index]  # type: ignore[attr-defined]


def _set_batch(graph: onnx.GraphProto, batch: int) -> None:
    """Change the first dimension of inputs, outputs and of Reshape targets of activations."""
    weights = {tensor.name: tensor for tensor in graph.initializer}
    moving = {value.name for value in graph.input if value.name not in weights}
    for value in [*graph.input, *graph.output, *graph.value_info]:
        if value.name not in weights and value.type.tensor_type.shape.dim:
            value.type.tensor_type.shape.dim[0].dim_value = batch
    for node in graph.node:
        if not moving.intersection(node.input):
            continue
        moving.update(node.output)
        if node.op_type == "Reshape" and node.input[1] in weights:
            target = numpy_helper.to_array(weights[node.input[1]]).copy()
            target[0] = batch
            weights[node.input[1]].CopyFrom(numpy_helper.from_array(target, node.input[1]))
