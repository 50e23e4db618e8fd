"""What torch computes for each operator of ONNX; one function per operator."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from reluflow.graph import Operation

Inputs = Any  # a list of tensors, None for an optional input that is left out
Rule = Callable[[Operation, Any, int], Any]


_SOFTMAX_OF_ONE_AXIS = 13
"""Opset from which on Softmax goes over one axis; before, over all from `axis` on."""
_SLICE_AXES, _SLICE_STEPS = 3, 4
"""Places of inputs of Slice: data, starts, ends, axes, steps."""
_PAD_AXES = 3
"""The same of Pad: data, pads, constant_value, axes."""


def _optional(x: Inputs, place: int) -> Any:
    """Return an input, None where it is left out."""
    return x[place] if len(x) > place else None


def _attribute(step: Operation, name: str, default: Any) -> Any:
    return step.attributes.get(name, default)


def _given(step: Operation, name: str) -> Any:
    return step.attributes[name]


def _whole(tensor: Tensor) -> list[int]:
    return [int(v) for v in tensor.reshape(-1).tolist()]


def _axes(step: Operation, x: Inputs, default: Any = None) -> Any:
    """Axes from the second input (newer opsets) or from the attribute (older ones)."""
    if len(x) > 1 and x[1] is not None:
        return _whole(x[1])
    return list(_given(step, "axes")) if "axes" in step.attributes else default


def _symmetric_pads(step: Operation, rank: int) -> list[int] | None:
    pads = list(_attribute(step, "pads", (0,) * (2 * rank)))
    return pads[:rank] if pads[:rank] == pads[rank:] else None


def _padded(
    step: Operation, x: Tensor, kernel: list[int], value: float = 0.0
) -> tuple[Tensor, list[int]]:
    """Apply the padding that torch's symmetric argument cannot express; return what it can."""
    rank = len(kernel)
    auto = _attribute(step, "auto_pad", "NOTSET")
    if auto in ("NOTSET", "VALID"):
        own = _symmetric_pads(step, rank) if auto == "NOTSET" else [0] * rank
        if own is not None:
            return x, own
        pads = list(_given(step, "pads"))
    else:
        pads = _same_pads(step, x, kernel, auto == "SAME_UPPER")
    order = [p for axis in reversed(range(rank)) for p in (pads[axis], pads[rank + axis])]
    return F.pad(x, order, value=value), [0] * rank


def _same_pads(step: Operation, x: Tensor, kernel: list[int], upper: bool) -> list[int]:
    rank = len(kernel)
    strides = list(_attribute(step, "strides", (1,) * rank))
    dilations = list(_attribute(step, "dilations", (1,) * rank))
    begin, end = [], []
    for axis in range(rank):
        size = x.shape[2 + axis]
        reach = dilations[axis] * (kernel[axis] - 1) + 1
        total = max(0, (math.ceil(size / strides[axis]) - 1) * strides[axis] + reach - size)
        small, large = total // 2, total - total // 2
        begin.append(small if upper else large)
        end.append(large if upper else small)
    return begin + end


def _conv(step: Operation, x: Any, opset: int) -> Tensor:
    weight = x[1]
    rank = weight.dim() - 2
    data, pads = _padded(step, x[0], list(weight.shape[2:]))
    run = (F.conv1d, F.conv2d, F.conv3d)[rank - 1]
    return run(
        data,
        weight,
        x[2] if len(x) > 2 else None,
        stride=list(_attribute(step, "strides", (1,) * rank)),
        padding=pads,
        dilation=list(_attribute(step, "dilations", (1,) * rank)),
        groups=_attribute(step, "group", 1),
    )


def _conv_transpose(step: Operation, x: Any, opset: int) -> Tensor:
    rank = x[1].dim() - 2
    pads = _symmetric_pads(step, rank)
    if (
        pads is None
        or "output_shape" in step.attributes
        or _attribute(step, "auto_pad", "NOTSET") not in ("NOTSET", "VALID")
    ):
        raise NotImplementedError("asymmetric or automatic padding")
    run = (F.conv_transpose1d, F.conv_transpose2d, F.conv_transpose3d)[rank - 1]
    return run(
        x[0],
        x[1],
        x[2] if len(x) > 2 else None,
        stride=list(_attribute(step, "strides", (1,) * rank)),
        padding=pads,
        output_padding=list(_attribute(step, "output_padding", (0,) * rank)),
        groups=_attribute(step, "group", 1),
        dilation=list(_attribute(step, "dilations", (1,) * rank)),
    )


def _gemm(step: Operation, x: Any, opset: int) -> Tensor:
    a = x[0].t() if _attribute(step, "transA", 0) else x[0]
    b = x[1].t() if _attribute(step, "transB", 0) else x[1]
    alpha = float(_attribute(step, "alpha", 1.0))
    y: Tensor = a @ b if alpha == 1.0 else alpha * (a @ b)
    bias = _optional(x, 2)
    if bias is None:
        return y
    beta = float(_attribute(step, "beta", 1.0))
    y = y + (bias if beta == 1.0 else beta * bias)
    return y


def _max_pool(step: Operation, x: Any, opset: int) -> Tensor:
    if len(step.outputs) > 1 and step.outputs[1]:
        raise NotImplementedError("the indices of the maxima")
    kernel = list(_given(step, "kernel_shape"))
    rank = len(kernel)
    strides = list(_attribute(step, "strides", (1,) * rank))
    dilations = list(_attribute(step, "dilations", (1,) * rank))
    ceil = bool(_attribute(step, "ceil_mode", 0))
    data, pads = _padded(step, x[0], kernel, -math.inf)
    if any(2 * p > k for p, k in zip(pads, kernel, strict=True)):
        order = [p for p in reversed(pads) for _ in range(2)]
        data, pads = F.pad(data, order, value=-math.inf), [0] * rank
    run = (F.max_pool1d, F.max_pool2d, F.max_pool3d)[rank - 1]
    pooled: Tensor = run(data, kernel, strides, pads, dilations, ceil)
    return pooled


def _average_pool(step: Operation, x: Any, opset: int) -> Tensor:
    kernel = list(_given(step, "kernel_shape"))
    rank = len(kernel)
    strides = list(_attribute(step, "strides", (1,) * rank))
    counts_pads = bool(_attribute(step, "count_include_pad", 0))
    ceil = bool(_attribute(step, "ceil_mode", 0))
    run = (F.avg_pool1d, F.avg_pool2d, F.avg_pool3d)[rank - 1]
    data, pads = _padded(step, x[0], kernel)
    if data is x[0]:
        average: Tensor = run(data, kernel, strides, pads, ceil, counts_pads)
        return average
    total: Tensor = run(data, kernel, strides, pads, ceil, True)
    if counts_pads:
        return total
    ones, _ = _padded(step, torch.ones_like(x[0]), kernel)
    return total / run(ones, kernel, strides, pads, ceil, True)


def _lrn(step: Operation, x: Any, opset: int) -> Tensor:
    return F.local_response_norm(
        x[0],
        int(_given(step, "size")),
        float(_attribute(step, "alpha", 1e-4)),
        float(_attribute(step, "beta", 0.75)),
        float(_attribute(step, "bias", 1.0)),
    )


def _clip(step: Operation, x: Any, opset: int) -> Tensor:
    bounds = [float(v) if v is not None else None for v in (*x[1:], None, None)[:2]]
    low = bounds[0] if bounds[0] is not None else _attribute(step, "min", None)
    high = bounds[1] if bounds[1] is not None else _attribute(step, "max", None)
    if low == 0 and high is None:
        return F.relu(x[0])
    if low == 0 and high is not None:
        return F.hardtanh(x[0], 0.0, float(high))
    return torch.clamp(x[0], low, high)


def _softmax(step: Operation, x: Any, opset: int) -> Tensor:
    run = F.log_softmax if step.op == "LogSoftmax" else F.softmax
    if opset >= _SOFTMAX_OF_ONE_AXIS:
        return run(x[0], dim=int(_attribute(step, "axis", -1)))
    axis = int(_attribute(step, "axis", 1)) % max(x[0].dim(), 1)
    flat = x[0].reshape(math.prod(x[0].shape[:axis]), -1)
    return run(flat, dim=1).reshape(x[0].shape)


def _flatten(step: Operation, x: Any, opset: int) -> Tensor:
    axis = int(_attribute(step, "axis", 1))
    axis += x[0].dim() if axis < 0 else 0
    flat: Tensor = x[0].reshape(math.prod(x[0].shape[:axis]), -1)
    return flat


def _reshape(step: Operation, x: Any, opset: int) -> Tensor:
    wanted = _whole(x[1]) if len(x) > 1 else list(_given(step, "shape"))
    if not _attribute(step, "allowzero", 0):
        wanted = [size or x[0].shape[i] for i, size in enumerate(wanted)]
    shaped: Tensor = x[0].reshape(wanted)
    return shaped


def _transpose(step: Operation, x: Any, opset: int) -> Tensor:
    order = _attribute(step, "perm", tuple(reversed(range(x[0].dim()))))
    moved: Tensor = x[0].permute(*order)
    return moved


def _squeeze(step: Operation, x: Any, opset: int) -> Tensor:
    axes = _axes(step, x)
    squeezed: Tensor = x[0].squeeze() if axes is None else x[0].squeeze(tuple(axes))
    return squeezed


def _unsqueeze(step: Operation, x: Any, opset: int) -> Tensor:
    axes = _axes(step, x)
    y: Tensor = x[0]
    rank = y.dim() + len(axes)
    for axis in sorted(a % rank for a in axes):
        y = y.unsqueeze(axis)
    return y


def _split(step: Operation, x: Any, opset: int) -> tuple[Tensor, ...]:
    axis = int(_attribute(step, "axis", 0))
    sizes = _whole(x[1]) if len(x) > 1 and x[1] is not None else list(_attribute(step, "split", ()))
    if not sizes:
        each = math.ceil(x[0].shape[axis] / len(step.outputs))
        return tuple(x[0].split(each, axis))
    return tuple(x[0].split(sizes, axis))


def _slice(step: Operation, x: Any, opset: int) -> Tensor:
    if len(x) > 1:
        starts, ends = _whole(x[1]), _whole(x[2])
        given, steps = _optional(x, _SLICE_AXES), _optional(x, _SLICE_STEPS)
        axes = list(range(len(starts))) if given is None else _whole(given)
        strides = [1] * len(starts) if steps is None else _whole(steps)
    else:
        starts, ends = list(_given(step, "starts")), list(_given(step, "ends"))
        axes, strides = list(_attribute(step, "axes", range(len(starts)))), [1] * len(starts)
    y: Tensor = x[0]
    for start, end, axis, stride in zip(starts, ends, axes, strides, strict=True):
        chosen = range(*slice(start, end, stride).indices(y.shape[axis]))
        y = y.index_select(axis, torch.tensor(list(chosen), device=y.device, dtype=torch.long))
    return y


def _gather(step: Operation, x: Any, opset: int) -> Tensor:
    axis = int(_attribute(step, "axis", 0)) % x[0].dim()
    index = x[1].to(torch.long)
    index = torch.where(index < 0, index + x[0].shape[axis], index)
    taken = x[0].index_select(axis, index.reshape(-1))
    shape = (*x[0].shape[:axis], *index.shape, *x[0].shape[axis + 1 :])
    gathered: Tensor = taken.reshape(shape)
    return gathered


def _pad(step: Operation, x: Any, opset: int) -> Tensor:
    pads = _whole(x[1]) if len(x) > 1 else list(_given(step, "pads"))
    if _optional(x, _PAD_AXES) is not None:
        raise NotImplementedError("padding of chosen axes")
    fill = float(x[2]) if len(x) > 2 and x[2] is not None else _attribute(step, "value", 0.0)
    rank = x[0].dim()
    order = [p for axis in reversed(range(rank)) for p in (pads[axis], pads[rank + axis])]
    mode = {"constant": "constant", "reflect": "reflect", "edge": "replicate"}[
        _attribute(step, "mode", "constant")
    ]
    if mode == "constant":
        return F.pad(x[0], order, value=float(fill))
    while len(order) > 2 and order[-2:] == [0, 0]:  # torch pads only the last axes
        order = order[:-2]
    return F.pad(x[0], order, mode=mode)


def _reduce(step: Operation, x: Any, opset: int) -> Tensor:
    axes = _axes(step, x, list(range(x[0].dim())))
    if not axes:
        whole: Tensor = x[0]
        return whole
    keep = bool(_attribute(step, "keepdims", 1))
    if step.op == "ReduceProd":
        y: Tensor = x[0]
        for axis in sorted((a % y.dim() for a in axes), reverse=True):
            y = torch.prod(y, dim=axis, keepdim=keep)
        return y
    run = {
        "ReduceMean": torch.mean,
        "ReduceSum": torch.sum,
        "ReduceMax": torch.amax,
        "ReduceMin": torch.amin,
        "ReduceL2": torch.linalg.vector_norm,
    }[step.op]
    reduced: Tensor = run(x[0], dim=axes, keepdim=keep)
    return reduced


def _expand(step: Operation, x: Any, opset: int) -> Tensor:
    shape = np.broadcast_shapes(tuple(x[0].shape), tuple(_whole(x[1])))
    expanded: Tensor = x[0].expand(shape)
    return expanded


def _constant_of_shape(step: Operation, x: Any, opset: int) -> Tensor:
    value = _attribute(step, "value", None)
    fill = torch.zeros(1) if value is None else torch.from_numpy(value.copy())
    return fill.reshape(()).expand(_whole(x[0])).clone()


def _shape(step: Operation, x: Any, opset: int) -> Tensor:
    sizes = list(x[0].shape)
    return torch.tensor(sizes[_attribute(step, "start", 0) : _attribute(step, "end", None)])


def _cast(step: Operation, x: Any, opset: int) -> Tensor:
    cast: Tensor = x[0].to(getattr(torch, str(step.attributes["to"])))
    return cast


def _layer_norm(step: Operation, x: Any, opset: int) -> Tensor:
    axis = int(_attribute(step, "axis", -1)) % x[0].dim()
    shape = list(x[0].shape[axis:])
    bias = x[2].reshape(shape) if len(x) > 2 and x[2] is not None else None
    epsilon = float(_attribute(step, "epsilon", 1e-5))
    return F.layer_norm(x[0], shape, x[1].reshape(shape), bias, epsilon)


def _instance_norm(step: Operation, x: Any, opset: int) -> Tensor:
    epsilon = float(_attribute(step, "epsilon", 1e-5))
    return F.instance_norm(x[0], weight=x[1], bias=x[2], eps=epsilon)


def _p_relu(step: Operation, x: Any, opset: int) -> Tensor:
    if x[1].numel() == 1 or (x[1].shape[0] == x[1].numel() == x[0].shape[1]):
        return F.prelu(x[0], x[1].reshape(-1))
    return torch.where(x[0] > 0, x[0], x[1] * x[0])


def _div(step: Operation, x: Any, opset: int) -> Tensor:
    whole = not (x[0].is_floating_point() or x[1].is_floating_point())
    return torch.div(x[0], x[1], rounding_mode="trunc" if whole else None)


def _hard_sigmoid(step: Operation, x: Any, opset: int) -> Tensor:
    alpha, beta = float(_attribute(step, "alpha", 0.2)), float(_attribute(step, "beta", 0.5))
    return torch.clamp(alpha * x[0] + beta, 0.0, 1.0)


def _gelu(step: Operation, x: Any, opset: int) -> Tensor:
    return F.gelu(x[0], approximate=str(_attribute(step, "approximate", "none")))


def _global(run: Callable[..., Tensor]) -> Rule:
    return lambda step, x, opset: run(x[0], dim=tuple(range(2, x[0].dim())), keepdim=True)


def _plain(run: Callable[..., Tensor]) -> Rule:
    return lambda step, x, opset: run(*x)


def _folded(run: Callable[[Tensor, Tensor], Tensor]) -> Rule:
    def rule(step: Operation, x: Any, opset: int) -> Tensor:
        total: Tensor = x[0]
        for other in x[1:]:
            total = run(total, other)
        return total / len(x) if step.op == "Mean" else total

    return rule


def _with_slope(run: Callable[..., Tensor], name: str, default: float) -> Rule:
    return lambda step, x, opset: run(x[0], float(_attribute(step, name, default)))


RULES: dict[str, Rule] = {
    "Conv": _conv,
    "ConvTranspose": _conv_transpose,
    "Gemm": _gemm,
    "MatMul": _plain(torch.matmul),
    "MaxPool": _max_pool,
    "AveragePool": _average_pool,
    "GlobalAveragePool": _global(torch.mean),
    "GlobalMaxPool": _global(torch.amax),
    "LRN": _lrn,
    "LayerNormalization": _layer_norm,
    "InstanceNormalization": _instance_norm,
    "Dropout": lambda step, x, opset: x[0],
    "Identity": lambda step, x, opset: x[0],
    "Relu": _plain(F.relu),
    "Clip": _clip,
    "LeakyRelu": _with_slope(F.leaky_relu, "alpha", 0.01),
    "PRelu": _p_relu,
    "ThresholdedRelu": lambda step, x, opset: F.threshold(
        x[0], float(_attribute(step, "alpha", 1.0)), 0.0
    ),
    "Elu": _with_slope(F.elu, "alpha", 1.0),
    "Celu": _with_slope(F.celu, "alpha", 1.0),
    "Selu": _plain(F.selu),
    "Gelu": _gelu,
    "Mish": _plain(F.mish),
    "Softplus": _plain(F.softplus),
    "Sigmoid": _plain(torch.sigmoid),
    "HardSigmoid": _hard_sigmoid,
    "HardSwish": _plain(F.hardswish),
    "Tanh": _plain(torch.tanh),
    "Erf": _plain(torch.erf),
    "Softmax": _softmax,
    "LogSoftmax": _softmax,
    "Abs": _plain(torch.abs),
    "Neg": _plain(torch.neg),
    "Exp": _plain(torch.exp),
    "Log": _plain(torch.log),
    "Sqrt": _plain(torch.sqrt),
    "Reciprocal": _plain(torch.reciprocal),
    "Pow": _plain(torch.pow),
    "Add": _plain(torch.add),
    "Sub": _plain(torch.sub),
    "Mul": _plain(torch.mul),
    "Div": _div,
    "Sum": _folded(torch.add),
    "Mean": _folded(torch.add),
    "Max": _folded(torch.maximum),
    "Min": _folded(torch.minimum),
    "Greater": _plain(torch.gt),
    "GreaterOrEqual": _plain(torch.ge),
    "Less": _plain(torch.lt),
    "LessOrEqual": _plain(torch.le),
    "Equal": _plain(torch.eq),
    "Not": _plain(torch.logical_not),
    "And": _plain(torch.logical_and),
    "Or": _plain(torch.logical_or),
    "Where": _plain(torch.where),
    "Cast": _cast,
    "CastLike": lambda step, x, opset: x[0].to(x[1].dtype),
    "Shape": _shape,
    "ConstantOfShape": _constant_of_shape,
    "Expand": _expand,
    "Flatten": _flatten,
    "Reshape": _reshape,
    "Transpose": _transpose,
    "Squeeze": _squeeze,
    "Unsqueeze": _unsqueeze,
    "Concat": lambda step, x, opset: torch.cat(x, dim=int(_given(step, "axis"))),
    "Split": _split,
    "Slice": _slice,
    "Gather": _gather,
    "Pad": _pad,
    "ReduceMean": _reduce,
    "ReduceSum": _reduce,
    "ReduceMax": _reduce,
    "ReduceMin": _reduce,
    "ReduceProd": _reduce,
    "ReduceL2": _reduce,
}
