"""Each step as a descriptor and a call of its kernel."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reluflow.edge.emit.emission import Emission
from reluflow.edge.emit.scales import channel_scales
from reluflow.edge.ends import end_scales
from reluflow.edge.plan import is_depthwise
from reluflow.edge.program import (
    AddStep,
    ArgMaxStep,
    ConcatStep,
    ConvStep,
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
    taken,
)
from reluflow.psb import pack
from reluflow.psb.fixed.elementwise import (
    FINER,
    MOST_ADD_SHIFT,
    MOST_DOWN,
    MOST_MUL_SHIFT,
)
from reluflow.psb.fixed.resize import WEIGHT_BITS, neighbours

_LEAST_OCTAVES, _MOST_OCTAVES = -9, 20
_AXES = 6
_LEAST_WORD = -(1 << 31)
_SIZES = {"conv": 116, "add": 12, "mul": 16, "pool": 56, "resize": 16, "move": 40, "classes": 20}
"""Bytes of the descriptors on a machine of 32 bits."""


def emit_step(emission: Emission, k: int) -> list[str]:
    """Write the constants of a step; return its calls, none for a view.

    Args:
        emission: of the program.
        k: place of the step.
    """
    step = emission.program.steps[k]
    return _EMIT[type(step)](emission, k, step)


def window_fields(
    x: EdgeTensor, window: WindowSpec, pixel: int, upright: bool = False
) -> tuple[dict[str, Any], tuple[int, int]]:
    """Return the fields of a window, and the pixels of its input.

    Args:
        x: its input.
        window: of one or two axes.
        pixel: bytes from one pixel to the next.
        upright: whether a single axis is that of rows, as for steps that make a few at a time.
    """
    rank = len(window.kernel)
    sizes = x.shape[1:-1] if len(x.shape) == rank + 2 else (math.prod(x.shape[1:-1]),)
    rows, columns = taken(sizes, 1, upright)
    row = columns * pixel
    begin, stride = taken(window.begin, 0, upright), taken(window.strides, 1, upright)
    gap, kernel = taken(window.dilations, 1, upright), taken(window.kernel, 1, upright)
    output = taken(window.output, 1, upright)
    fields = {
        "rows": rows,
        "columns": columns,
        "out_rows": output[0],
        "out_columns": output[1],
        "first_row": -begin[0],
        "first_column": -begin[1],
        "row_stride": stride[0],
        "column_stride": stride[1],
        "kernel_rows": kernel[0],
        "kernel_columns": kernel[1],
        "row_gap": gap[0],
        "column_gap": gap[1],
        "first": -begin[0] * row - begin[1] * pixel,
        "row_step": stride[0] * row,
        "column_step": stride[1] * pixel,
        "tap_row_step": gap[0] * row,
        "tap_column_step": gap[1] * pixel,
    }
    return fields, (rows, columns)


def _braced(fields: Mapping[str, object]) -> str:
    return "{" + ", ".join(f".{name} = {value}" for name, value in fields.items()) + "}"


def _weights(emission: Emission, k: int, step: ConvStep) -> str:
    """Write the weights of a step; return them as C has them."""
    weights = step.weights
    planes = pack(weights.code)
    count = math.prod(weights.code.shape[1:])
    inputs = weights.code.shape[1]
    fields = {
        "planes": emission.writer.bytes(f"planes{k}", "weights", planes),
        "plane_bytes": planes.shape[1],
        "stream": f"UINT32_C({weights.stream})",
        "inputs": inputs,
        "taps": count // inputs,
        "count": count,
        "p_bits": weights.code.p_bits,
        "nearest": int(weights.sampler == "nearest"),
        "log2_factor": round(math.log2(weights.factor)),
    }
    return _braced(fields)


def _conv(emission: Emission, k: int, step: EdgeStep) -> list[str]:
    assert isinstance(step, ConvStep)
    x, y = (emission.program.tensors[name] for name in (step.reads[0], step.makes))
    over = k in emission.plan.in_place and is_depthwise(step)
    stored = x.shape[-1]
    banded = emission.banded(k)
    window, (rows, columns) = window_fields(x, step.window, 1 if over else stored, banded)
    code = step.weights.code
    inputs = code.shape[1]
    fields: dict[str, object] = {
        "weights": _weights(emission, k, step),
        "window": _braced(window),
        "channels": _channels(emission, k, step, y),
        "outputs": code.shape[0],
        "group_outputs": code.shape[0] // step.group,
        "row_weights": window["kernel_columns"] * inputs,
        "x_zero": step.forms[0].zero,
    }
    if not y.is_bytes:
        pixels = math.prod(step.window.output)
        fields |= {
            "least": _whole(step.low),
            "largest": _whole(step.high),
            "y_pixel": code.shape[0] if step.rows else 1,
            "y_channel": 1 if step.rows else pixels,
        }
        return _call(emission, "conv", "conv_sums", k, fields, (step.reads[0], step.makes), True)
    table = _table_of(emission, k, step.table)
    fields |= {
        "table": table,
        "plane": rows * columns if over else 0,
        "stored": stored,
        "y_zero": step.forms[-1].zero,
        "z_zero": step.forms[1].zero if step.adds else 0,
        "low": step.low,
        "high": step.high,
    }
    kept = emission.plan.kept.get(k)
    fields["kept"] = int(kept is not None)
    pointer = emission.writer.struct("reluflow_conv", f"conv{k}", fields, _SIZES["conv"])
    band = "&band" if banded else "0"
    z = _added(emission, k, step.reads[1]) if step.adds else "0"
    copy = "memory->copy" if over else "0"
    drawn = "memory->drawn" if kept is None else kept_weights(kept)
    x_at, y_at = emission.at(step.reads[0]), _made(emission, k)
    return [f"reluflow_conv_bytes({pointer}, draws, {band}, {x_at}, {z}, {y_at}, {drawn}, {copy});"]


def kept_weights(offset: int) -> str:
    """Return where drawn weights stay in the arena, as C has it."""
    return f"(int8_t *)(memory->arena + {offset})"


def _made(emission: Emission, k: int) -> str:
    """Return where a step writes, as C has it: in a group behind the rows that are there."""
    at = emission.at(emission.program.steps[k].makes)
    return f"{at} + band.y_at" if emission.banded(k) else at


def _added(emission: Emission, k: int, name: str) -> str:
    at = emission.at(name)
    return f"{at} + band.z_at" if emission.banded(k) else at


def _table_of(emission: Emission, k: int, table: NDArray[np.uint8] | None) -> str:
    return "0" if table is None else emission.writer.bytes(f"table{k}", "tables", table)


def _whole(value: int) -> str:
    """Return a whole number of 32 bits as C has it."""
    return "INT32_MIN" if value == _LEAST_WORD else f"INT32_C({value})"


def _channels(emission: Emission, k: int, step: ConvStep, y: EdgeTensor) -> str:
    """Write what turns the sums of a step into its outputs."""
    code, bias = step.weights.code, step.weights.bias
    if y.is_bytes:
        rows = channel_scales(step)
    else:
        up, whole = end_scales(code, bias, step.forms[0], y.exponent)
        rows = [(b, u, 0, 0) for b, u in zip(whole.tolist(), up.tolist(), strict=True)]
    texts = [f"{{{_whole(b)}, {u}, {z}, {down}}}" for b, u, z, down in rows]
    return emission.writer.array("reluflow_channel", f"channels{k}", "weights", texts)


def _call(
    emission: Emission,
    kind: str,
    function: str,
    k: int,
    fields: Mapping[str, object],
    tensors: Sequence[str],
    draws: bool = False,
) -> list[str]:
    """Write a descriptor; return the call of a kernel with it."""
    pointer = emission.writer.struct(f"reluflow_{kind}", f"{kind}{k}", fields, _SIZES[kind])
    given = ", ".join(emission.at(name) for name in tensors)
    if draws:
        return [f"reluflow_{function}({pointer}, draws, {given}, memory->drawn);"]
    return [f"reluflow_{function}({pointer}, {given});"]


def _add(emission: Emission, k: int, step: EdgeStep) -> list[str]:
    assert isinstance(step, AddStep)
    a, b, y = step.forms
    unit = min(max(a.exponent, b.exponent, y.exponent), y.exponent + FINER)
    ups = [max(-MOST_DOWN, min(MOST_ADD_SHIFT, unit - form.exponent)) for form in (a, b)]
    table = _table_of(emission, k, step.table)
    fields = {
        "a_up": ups[0],
        "b_up": ups[1],
        "down": unit - y.exponent,
        "a_zero": a.zero,
        "b_zero": b.zero,
        "y_zero": y.zero,
        "low": step.low,
        "high": step.high,
        "table": table,
    }
    pointer = emission.writer.struct("reluflow_add", f"add{k}", fields, _SIZES["add"])
    count, x = _elements(emission, k)
    z = _added(emission, k, step.reads[1])
    return [f"reluflow_add_bytes({pointer}, {count}, {x}, {z}, {_made(emission, k)});"]


def _elements(emission: Emission, k: int) -> tuple[str, str]:
    """Return how many elements a step takes one by one, and where they begin."""
    step = emission.program.steps[k]
    x = emission.at(step.reads[0])
    if emission.banded(k):
        return "band.count", f"{x} + band.at"
    return str(emission.program.tensors[step.makes].count), x


def _mul(emission: Emission, k: int, step: EdgeStep) -> list[str]:
    assert isinstance(step, MulStep)
    x, s, y = step.forms
    made = emission.program.tensors[step.makes]
    factors = emission.program.tensors[step.reads[1]]
    fields = {
        "pixels": made.count // made.shape[-1],
        "channels": made.shape[-1],
        "per_channel": int(factors.shape != made.shape),
        "up": max(-MOST_DOWN, min(MOST_MUL_SHIFT, y.exponent - x.exponent - s.exponent)),
        "x_zero": x.zero,
        "s_zero": s.zero,
        "y_zero": y.zero,
        "low": step.low,
        "high": step.high,
    }
    return _call(emission, "mul", "mul_bytes", k, fields, (*step.reads, step.makes))


def _table(emission: Emission, k: int, step: EdgeStep) -> list[str]:
    assert isinstance(step, TableStep)
    table = emission.writer.bytes(f"table{k}", "tables", step.table)
    count, x = _elements(emission, k)
    return [f"reluflow_table_bytes({count}, {table}, {x}, {_made(emission, k)});"]


def _pixels(emission: Emission, k: int, step: EdgeStep) -> list[str]:
    assert isinstance(step, PixelStep)
    tables = emission.writer.bytes(f"pixels{k}", "tables", step.tables)
    count, x = _elements(emission, k)
    channels, y = len(step.tables), _made(emission, k)
    return [f"reluflow_pixel_bytes({count}, {channels}, {tables}, {x}, {y});"]


def _pool(emission: Emission, k: int, step: EdgeStep) -> list[str]:
    assert isinstance(step, PoolStep)
    x = emission.program.tensors[step.reads[0]]
    channels = x.shape[-1]
    banded = emission.banded(k)
    window, _ = window_fields(x, step.window, channels, banded)
    fields: dict[str, object] = {"window": _braced(window), "channels": channels}
    if step.forms:
        fields["x_zero"] = step.forms[0].zero
    if step.kind == "mean":
        x_form, y_form = step.forms
        octaves = y_form.exponent - x_form.exponent
        fields |= {
            "all_taps": math.prod(step.window.kernel) if step.counts_pads else 0,
            "octaves": max(_LEAST_OCTAVES, min(_MOST_OCTAVES, octaves)),
            "y_zero": y_form.zero,
            "low": step.low,
            "high": step.high,
        }
    if step.kind == "sum":
        return _call(emission, "pool", "sum_pool", k, fields, (step.reads[0], step.makes))
    pointer = emission.writer.struct("reluflow_pool", f"pool{k}", fields, _SIZES["pool"])
    band, x_at = "&band" if banded else "0", emission.at(step.reads[0])
    return [f"reluflow_{step.kind}_pool({pointer}, {band}, {x_at}, {_made(emission, k)});"]


def _resize(emission: Emission, k: int, step: EdgeStep) -> list[str]:
    assert isinstance(step, ResizeStep)
    x, y = (emission.program.tensors[name] for name in (step.reads[0], step.makes))
    channels = x.shape[-1]
    rows, columns = taken(x.shape[1:-1], 1)
    out_rows, out_columns = taken(y.shape[1:-1], 1)
    lines = []
    for stem, n, m, unit in (
        ("rows", rows, out_rows, columns * channels),
        ("columns", columns, out_columns, channels),
    ):
        near, far, weight = (each.tolist() for each in neighbours(n, m, step.coordinates))
        texts = [
            f"{{{a * unit}, {b * unit}, {(1 << WEIGHT_BITS) - w}, {w}}}"
            for a, b, w in zip(near, far, weight, strict=True)
        ]
        lines.append(emission.writer.array("reluflow_between", f"{stem}{k}", "tables", texts))
    fields = {
        "out_rows": out_rows,
        "out_columns": out_columns,
        "channels": channels,
        "rows": lines[0],
        "columns": lines[1],
    }
    return _call(emission, "resize", "resize_bytes", k, fields, (step.reads[0], step.makes))


def _move(emission: Emission, k: int, step: EdgeStep) -> list[str]:
    assert isinstance(step, MoveStep)
    short = _AXES - len(step.offsets)
    axes = [np.zeros(1, np.int64)] * short + list(step.offsets)
    names = [
        emission.writer.array("int32_t", f"offsets{k}_{axis}", "tables", each.tolist())
        for axis, each in enumerate(axes)
    ]
    fields = {
        "offsets": "{" + ", ".join(names) + "}",
        "sizes": "{" + ", ".join(str(len(each)) for each in axes) + "}",
        "fill": step.fill,
    }
    kind = "bytes" if emission.program.tensors[step.makes].is_bytes else "words"
    return _call(emission, "move", f"move_{kind}", k, fields, (step.reads[0], step.makes))


def _concat(emission: Emission, k: int, step: EdgeStep) -> list[str]:
    assert isinstance(step, ConcatStep)
    made = emission.program.tensors[step.makes]
    blocks = math.prod(made.shape[: step.axis])
    whole = math.prod(made.shape[step.axis :])
    calls, begin = [], 0
    for name in step.reads:
        length = math.prod(emission.program.tensors[name].shape[step.axis :])
        x, y = emission.at(name), f"{emission.at(step.makes)} + {begin}"
        calls.append(f"reluflow_copy_blocks({blocks}, {length}, {whole}, {x}, {y});")
        begin += length
    return calls


def _view(emission: Emission, k: int, step: EdgeStep) -> list[str]:
    return []


def _classes(emission: Emission, k: int, step: EdgeStep) -> list[str]:
    assert isinstance(step, ArgMaxStep | SoftmaxStep)
    x = emission.program.tensors[step.reads[0]]
    fields = {
        "outer": math.prod(x.shape[: step.axis]),
        "inner": math.prod(x.shape[step.axis + 1 :]),
        "size": x.shape[step.axis],
        "whole": math.prod(x.shape[step.axis :]),
        "last": int(isinstance(step, ArgMaxStep) and step.last),
        "exponent": x.exponent,
    }
    name = "softmax" if isinstance(step, SoftmaxStep) else "arg_max"
    function = f"{name}_{'bytes' if x.is_bytes else 'words'}"
    return _call(emission, "classes", function, k, fields, (step.reads[0], step.makes))


def _sigmoid(emission: Emission, k: int, step: EdgeStep) -> list[str]:
    x = emission.program.tensors[step.reads[0]]
    given, made = emission.at(step.reads[0]), emission.at(step.makes)
    return [f"reluflow_sigmoid_words({x.count}, {x.exponent}, {given}, {made});"]


_EMIT: dict[type[EdgeStep], Callable[[Emission, int, EdgeStep], list[str]]] = {
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
    ArgMaxStep: _classes,
    SoftmaxStep: _classes,
    SigmoidStep: _sigmoid,
}
