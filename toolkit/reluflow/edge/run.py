"""The integer program in numpy: what every kernel in C must equal, whole number by whole number."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reluflow.edge.ends import aligned, end_scales, sigmoid, softmax
from reluflow.edge.maps import moved
from reluflow.edge.program import (
    AddStep,
    ArgMaxStep,
    ConcatStep,
    ConvStep,
    EdgeProgram,
    EdgeStep,
    EdgeTensor,
    MoveStep,
    MulStep,
    PixelStep,
    PoolStep,
    ResizeStep,
    SigmoidStep,
    SoftmaxStep,
    TableStep,
    ViewStep,
    WindowSpec,
)
from reluflow.graph import own_samples
from reluflow.psb._window import Window, take_patches
from reluflow.psb.fixed import (
    fixed_add,
    fixed_average_pool,
    fixed_conv,
    fixed_max_pool,
    fixed_mul,
    fixed_resize,
    fixed_table,
    grid_weights,
    to_fixed,
)

Array = NDArray[Any]
Values = dict[str, Array]


def run(
    program: EdgeProgram, feeds: Mapping[str, Array], samples: int = 0, seed: int = 0
) -> dict[str, Array]:
    """Return the outputs of one inference.

    Args:
        program: of `lower`.
        feeds: input of the model -> its bytes, channels last; or its float32 values, of any shape
            that the model takes for one input.
        samples: n, one of 1, 2, 4, ..., 64; 0 is nearest mode.
        seed: of the draws, any int64.

    Returns:
        Output -> bytes (uint8), or whole numbers (int32), in the shape of one input.

    Example:
        >>> import reluflow
        >>> made = reluflow.convert(
        ...     "models/fashion_convnet8.onnx", check=False, x_bits=8, limit=8,
        ...     calibration="models/fashion_mnist_test_2000.npz")
        >>> from reluflow.edge import lower
        >>> image = np.load("models/fashion_mnist_test_2000.npz")["image"][:1]
        >>> logits = run(lower(made.model), {"image": image})["logits"]
        >>> logits.dtype.name, logits.shape
        ('int32', (1, 10))

    Reference: docs/edge.md.
    """
    values: Values = {
        name: tensor.value for name, tensor in program.tensors.items() if tensor.value is not None
    }
    fed = input_bytes(program, feeds)
    values |= {given.tensor: fed[given.name] for given in program.inputs}
    how = _How(program, samples, seed)
    for step in program.steps:
        made = _RUN[type(step)](how, step, [values[name] for name in step.reads])
        values[step.makes] = made.reshape(program.tensors[step.makes].shape)
    return {name: values[name] for name in program.outputs}


def input_bytes(program: EdgeProgram, feeds: Mapping[str, Array]) -> dict[str, Array]:
    """Return the bytes of one input, channels last.

    Args:
        program: of `lower`.
        feeds: input of the model -> float32 values, or bytes already.
    """
    found = {}
    for given in program.inputs:
        shape = program.tensors[given.tensor].shape
        x = feeds[given.name]
        if x.dtype != np.uint8:
            floats = x.astype(np.float32).reshape(1, shape[-1], *shape[1:-1])
            if given.divisor is not None:
                floats = floats * np.float32(given.divisor)
            x = to_fixed(floats, given.form)
        found[given.name] = x.reshape(shape)
    return found


class _How:
    """A program and the numbers of a run."""

    def __init__(self, program: EdgeProgram, samples: int, seed: int) -> None:
        self.tensors: Mapping[str, EdgeTensor] = program.tensors
        self.samples = samples
        self.seed = seed


def _window(window: WindowSpec) -> dict[str, Any]:
    """Return the arguments of a window without pixels left out."""
    return {
        "strides": window.strides,
        "dilations": window.dilations,
        "pads": (*window.begin, *window.end),
    }


def _cut(x: Array, window: WindowSpec) -> tuple[Array, WindowSpec]:
    """Leave out the pixels that negative pads do, and return the window without them."""
    cuts = [
        slice(max(0, -b), n + min(0, e))
        for n, b, e in zip(x.shape[1:-1], window.begin, window.end, strict=True)
    ]
    begin, end = (tuple(max(0, p) for p in pads) for pads in (window.begin, window.end))
    left = WindowSpec(window.kernel, window.strides, window.dilations, begin, end, window.output)
    return x[(slice(None), *cuts)], left


def _conv(how: _How, step: EdgeStep, x: list[Array]) -> Array:
    assert isinstance(step, ConvStep)
    weights = step.weights
    draws: dict[str, Any] = {
        "samples": own_samples(how.samples, weights.factor),
        "seed": how.seed,
        "stream": weights.stream,
        "sampler": weights.sampler,
    }
    if not how.tensors[step.makes].is_bytes:
        return _sums(how, step, x[0], draws)
    pixels, window = _cut(x[0], step.window)
    x_form, y_form = step.forms[0], step.forms[-1]
    return fixed_conv(
        pixels,
        weights.code,
        weights.bias,
        x[1] if step.adds else None,
        x_form=x_form,
        y_form=y_form,
        z_form=step.forms[1] if step.adds else None,
        group=step.group,
        y_min=step.low,
        y_max=step.high,
        table=step.table,
        **draws,
        **_window(window),
    )


def _sums(how: _How, step: ConvStep, x: Array, draws: dict[str, Any]) -> Array:
    """Return the sums of an end, aligned to one exponent."""
    weights, form = step.weights, step.forms[0]
    w = grid_weights(weights.code, **draws).astype(np.int64)
    window = step.window
    if step.rows:
        x, w = x.reshape(1, -1, x.shape[-1]), w[..., None]
    inputs = w.shape[1] * step.group
    values = np.moveaxis(x[..., :inputs], -1, 1).astype(np.int16) - np.int16(form.zero)
    placed = Window(
        window.kernel,
        window.strides,
        window.dilations,
        window.begin,
        window.end,
        window.output,
    )
    patches = take_patches(values, placed).astype(np.int64)
    grouped = patches.reshape(step.group, -1, math.prod(window.output))
    rows = w.reshape(step.group, w.shape[0] // step.group, -1)
    total = np.matmul(rows, grouped).reshape(w.shape[0], -1)
    exponent = how.tensors[step.makes].exponent
    up, bias = end_scales(weights.code, weights.bias, form, exponent)
    found = np.clip(aligned(total, up, bias), step.low, step.high).astype(np.int32)
    return np.ascontiguousarray(found.T) if step.rows else found


def _add(how: _How, step: EdgeStep, x: list[Array]) -> Array:
    assert isinstance(step, AddStep)
    a, b, y = step.forms
    return fixed_add(
        x[0],
        x[1],
        a_form=a,
        b_form=b,
        y_form=y,
        y_min=step.low,
        y_max=step.high,
        table=step.table,
    )


def _mul(how: _How, step: EdgeStep, x: list[Array]) -> Array:
    assert isinstance(step, MulStep)
    x_form, s, y = step.forms
    return fixed_mul(x[0], x[1], x_form=x_form, s_form=s, y_form=y, y_min=step.low, y_max=step.high)


def _table(how: _How, step: EdgeStep, x: list[Array]) -> Array:
    assert isinstance(step, TableStep)
    return fixed_table(x[0], step.table)


def _pixels(how: _How, step: EdgeStep, x: list[Array]) -> Array:
    assert isinstance(step, PixelStep)
    return np.asarray(step.tables[np.arange(len(step.tables)), x[0]])


def _pool(how: _How, step: EdgeStep, x: list[Array]) -> Array:
    assert isinstance(step, PoolStep)
    given = x[0].reshape(1, *_sizes(x[0], step.window), x[0].shape[-1])
    if step.kind == "sum":
        total = given.astype(np.int64) - step.forms[0].zero
        return np.asarray(total.sum(axis=tuple(range(1, given.ndim - 1))), np.int32)
    pixels, window = _cut(given, step.window)
    if step.kind == "max":
        return fixed_max_pool(pixels, window.kernel, **_window(window))
    x_form, y_form = step.forms
    return fixed_average_pool(
        pixels,
        window.kernel,
        x_form=x_form,
        y_form=y_form,
        count_include_pad=step.counts_pads,
        y_min=step.low,
        y_max=step.high,
        **_window(window),
    )


def _sizes(x: Array, window: WindowSpec) -> tuple[int, ...]:
    """Return the pixels of x on as many axes as a window has."""
    sizes = x.shape[1:-1]
    return sizes if len(sizes) == len(window.kernel) else (math.prod(sizes),)


def _resize(how: _How, step: EdgeStep, x: list[Array]) -> Array:
    assert isinstance(step, ResizeStep)
    made = how.tensors[step.makes].shape
    sizes = (made[0], made[-1], *made[1:-1])
    return fixed_resize(x[0], sizes, coordinates=step.coordinates)


def _move(how: _How, step: EdgeStep, x: list[Array]) -> Array:
    assert isinstance(step, MoveStep)
    return moved(x[0], step.offsets, step.fill)


def _concat(how: _How, step: EdgeStep, x: list[Array]) -> Array:
    assert isinstance(step, ConcatStep)
    return np.concatenate(x, axis=step.axis)


def _view(how: _How, step: EdgeStep, x: list[Array]) -> Array:
    return x[0]


def _arg_max(how: _How, step: EdgeStep, x: list[Array]) -> Array:
    assert isinstance(step, ArgMaxStep)
    if not step.last:
        return np.asarray(x[0].argmax(axis=step.axis), np.int32)
    turned = np.flip(x[0], axis=step.axis).argmax(axis=step.axis)
    return np.asarray(x[0].shape[step.axis] - 1 - turned, np.int32)


def _softmax(how: _How, step: EdgeStep, x: list[Array]) -> Array:
    assert isinstance(step, SoftmaxStep)
    logits = np.moveaxis(x[0].astype(np.int64), step.axis, -1)
    found = softmax(logits, how.tensors[step.reads[0]].exponent)
    return np.moveaxis(found, -1, step.axis).astype(np.int32)


def _sigmoid(how: _How, step: EdgeStep, x: list[Array]) -> Array:
    found = sigmoid(x[0].astype(np.int64), how.tensors[step.reads[0]].exponent)
    return found.astype(np.int32)


_RUN: dict[type[EdgeStep], Callable[[_How, EdgeStep, list[Array]], Array]] = {
    ConvStep: _conv,
    AddStep: _add,
    MulStep: _mul,
    TableStep: _table,
    PixelStep: _pixels,
    PoolStep: _pool,
    ResizeStep: _resize,
    MoveStep: _move,
    ConcatStep: _concat,
    ViewStep: _view,
    ArgMaxStep: _arg_max,
    SoftmaxStep: _softmax,
    SigmoidStep: _sigmoid,
}
