"""What the operators of chains accept: attributes, inputs and outputs."""

from __future__ import annotations

from onnx import TensorProto

from reluflow.graph.proto.own_domain import (
    FIXED_ADD,
    FIXED_AVERAGE_POOL,
    FIXED_CONV,
    FIXED_GLOBAL_AVERAGE_POOL,
    FIXED_GLOBAL_POOL,
    FIXED_MAX_POOL,
    FIXED_MUL,
    FIXED_RESIZE,
    FIXED_RESIZE_16,
    FIXED_TABLE,
    FROM_FIXED,
    FROM_FIXED_CONV,
    FROM_FIXED_MATMUL,
    REGION_CONCAT,
    TO_FIXED,
)
from reluflow.graph.proto.psb_rules import (
    CONV_SHAPE,
    GROUP,
    MATMUL_SHAPE,
    REGION,
    WEIGHT_INPUTS,
    WEIGHTS,
    WINDOWS,
    X_BITS,
    Ports,
    Rule,
    number,
    one_of,
    shape_of,
)
from reluflow.psb.fixed.chain import MOST_EXPONENT, ZEROS
from reluflow.psb.fixed.resize import COORDINATES

_LAST_BYTE, _LAST_16 = 255, 2**15 - 1
_EXPONENT = number(-MOST_EXPONENT, MOST_EXPONENT)
_ZERO = Rule("INT", " or ".join(map(str, ZEROS)), lambda value: value in ZEROS)
_FLAG = number(0, 1)
_BOUNDS = {name: number(0, _LAST_BYTE) for name in ("y_min", "y_max")}
_BOUNDS_16 = {name: number(-_LAST_16, _LAST_16) for name in ("y_min", "y_max")}
_COORDINATES = {"coordinates": number(0, len(COORDINATES) - 1)}
_KERNEL = {"kernel_shape": shape_of("[k] or [kH, kW]", 1, 2, holds="taps")}


def _formats(*tensors: str) -> dict[str, Rule]:
    made = {f"{tensor}_exponent": _EXPONENT for tensor in tensors}
    return made | {f"{tensor}_zero": _ZERO for tensor in tensors}


_CONV = {"weight_shape": CONV_SHAPE, **WEIGHTS, "draws": one_of("run"), **WINDOWS, "group": GROUP}
_SAMPLERS = {"sampler": one_of("systematic", "nearest")}
CHAIN_RULES: dict[str, dict[str, Rule]] = {
    FIXED_CONV: {
        **_CONV,
        **_SAMPLERS,
        **_formats("x", "y", "z"),
        **_BOUNDS,
    },
    TO_FIXED: {**_formats("y"), "fills_quads": _FLAG},
    FROM_FIXED: _formats("x"),
    FROM_FIXED_CONV: {**_CONV, **_SAMPLERS, **_formats("x")},
    FROM_FIXED_MATMUL: {
        "weight_shape": MATMUL_SHAPE,
        **WEIGHTS,
        "draws": one_of("run"),
        **_SAMPLERS,
        **_formats("x"),
    },
    FIXED_MAX_POOL: {**_KERNEL, **WINDOWS},
    FIXED_GLOBAL_POOL: _formats("x"),
    FIXED_AVERAGE_POOL: {
        **_KERNEL,
        **WINDOWS,
        "count_include_pad": _FLAG,
        **_formats("x", "y"),
        **_BOUNDS,
    },
    FIXED_GLOBAL_AVERAGE_POOL: {**_formats("x", "y"), **_BOUNDS},
    FIXED_ADD: {**_formats("a", "b", "y"), **_BOUNDS},
    FIXED_MUL: {**_formats("x", "s", "y"), **_BOUNDS},
    FIXED_TABLE: {},
    FIXED_RESIZE: _COORDINATES,
    FIXED_RESIZE_16: _COORDINATES,
    "FixedConv16": {
        **_CONV,
        "x_bits": X_BITS,
        **{f"{tensor}_exponent": _EXPONENT for tensor in "xyz"},
        **_BOUNDS_16,
    },
    "ToFixed16": {"y_exponent": _EXPONENT, "y_bits": X_BITS},
    "FromFixed16": {"x_exponent": _EXPONENT},
    "FixedMaxPool16": {**_KERNEL, **WINDOWS},
    "FixedGlobalPool16": {"x_exponent": _EXPONENT},
    REGION_CONCAT: {},
}
"""Operator -> attribute -> rule; docs/psb-ops.md, chains."""
_BYTE, _SHORT, _FLOAT = (TensorProto.UINT8,), (TensorProto.INT16,), (TensorProto.FLOAT,)
_Y = ("Y",)
_N_NEEDED = 1 + len(WEIGHT_INPUTS)


def _in_regions(ports: Ports, y: tuple[int, ...]) -> Ports:
    """Return ports with the optional inputs of an operator that can compute a region of Y alone."""
    return Ports(
        {**ports.inputs, "region": REGION, "base": y},
        ports.outputs,
        ports.needed,
        (*ports.optional, "region", "base"),
    )


CHAIN_PORTS: dict[str, Ports] = {
    FIXED_CONV: _in_regions(
        Ports(
            {"X": _BYTE, **WEIGHT_INPUTS, "Z": _BYTE, "table": _BYTE},
            _Y,
            _N_NEEDED,
            ("B", "Z", "table"),
        ),
        _BYTE,
    ),
    TO_FIXED: _in_regions(Ports({"X": _FLOAT}, _Y, 1), _BYTE),
    FROM_FIXED: _in_regions(Ports({"X": _BYTE}, _Y, 1), _FLOAT),
    FROM_FIXED_CONV: _in_regions(
        Ports({"X": _BYTE, **WEIGHT_INPUTS}, _Y, _N_NEEDED, ("B",)), _FLOAT
    ),
    FROM_FIXED_MATMUL: Ports({"X": _BYTE, **WEIGHT_INPUTS}, _Y, _N_NEEDED, ("B",)),
    FIXED_MAX_POOL: _in_regions(Ports({"X": _BYTE}, _Y, 1), _BYTE),
    FIXED_GLOBAL_POOL: Ports({"X": _BYTE}, _Y, 1),
    FIXED_AVERAGE_POOL: _in_regions(Ports({"X": _BYTE}, _Y, 1), _BYTE),
    FIXED_GLOBAL_AVERAGE_POOL: Ports({"X": _BYTE}, _Y, 1),
    FIXED_ADD: _in_regions(
        Ports({"A": _BYTE, "B": _BYTE, "table": _BYTE}, _Y, 2, ("table",)), _BYTE
    ),
    FIXED_MUL: _in_regions(Ports({"X": _BYTE, "S": _BYTE}, _Y, 2), _BYTE),
    FIXED_TABLE: _in_regions(Ports({"X": _BYTE, "table": _BYTE}, _Y, 2), _BYTE),
    FIXED_RESIZE: _in_regions(Ports({"X": _BYTE, "sizes": (TensorProto.INT64,)}, _Y, 2), _BYTE),
    "FixedConv16": _in_regions(
        Ports({"X": _SHORT, **WEIGHT_INPUTS, "Z": _SHORT}, _Y, _N_NEEDED, ("B", "Z")), _SHORT
    ),
    "ToFixed16": _in_regions(Ports({"X": _FLOAT}, _Y, 1), _SHORT),
    "FromFixed16": _in_regions(Ports({"X": _SHORT}, _Y, 1), _FLOAT),
    "FixedMaxPool16": _in_regions(Ports({"X": _SHORT}, _Y, 1), _SHORT),
    "FixedGlobalPool16": Ports({"X": _SHORT}, _Y, 1),
    FIXED_RESIZE_16: _in_regions(
        Ports({"X": _SHORT, "sizes": (TensorProto.INT64,)}, _Y, 2), _SHORT
    ),
    REGION_CONCAT: Ports(
        {
            "region": REGION,
            "base": (*_BYTE, *_SHORT),
            **dict.fromkeys("ABCDEFGH", (*_BYTE, *_SHORT)),
        },
        _Y,
        3,
        ("region", "base", *"BCDEFGH"),
    ),
}
