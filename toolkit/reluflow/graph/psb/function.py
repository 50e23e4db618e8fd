"""The PSB operators as model-local functions: standard operators only, nearest mode.

The body does what docs/psb-ops.md says, but for the sum: a float32 Conv or MatMul of the same
whole numbers, rounded in the order that the runtime adds in. |error| of one output is at most
gamma = (k + 4) 2^-24 / (1 - (k + 4) 2^-24) times sum |x_int w'| in units of the last scale, k
products in the sum; bias, Z and activation come on top as in the contract.
"""

from __future__ import annotations

import math
import string
from collections.abc import Collection
from itertools import product

from onnx import FunctionProto, helper, parser

from reluflow.graph.proto.own_domain import (
    FROM_THE_RUN,
    OWN_DOMAIN,
    PSB_CONV,
    PSB_PARTS,
)

MIN_OPSET = 13
MIN_IR = 8
_LOW = -128


def psb_functions(
    ops: Collection[str], opset: int, adding: Collection[str] = (), rounding: str = "carried"
) -> list[FunctionProto]:
    """Return the functions of some operators, behind the one that they share and call.

    The writer gives every call all attributes that a body reads, as ONNX's own inliner forgets
    the defaults of functions.

    Args:
        ops: "PsbConv", "PsbMatMul" or both.
        opset: the model's version of ONNX's own operators, from 13 on.
        adding: those of them that have the input Z; every call must then give it, an empty
            one where there is nothing to add.
        rounding: of bits that are shifted out, "carried" or "half".
    """
    texts = [_shared_text(opset, rounding)]
    texts += [_text(op, opset, op in adding) for op in sorted(ops)]
    functions = [parser.parse_function(text) for text in texts]
    for function in functions:
        _shorten(function)
        for name, value in (("clip_min", -math.inf), ("clip_max", math.inf)):
            if function.name != PSB_PARTS:  # the text form has no infinities
                function.attribute_proto.append(helper.make_attribute(name, value))
    return functions


def _shorten(function: FunctionProto) -> None:
    """Give inner tensors names of one or two letters: the body is part of every file."""
    outer = {*function.input, *function.output}
    letters = string.ascii_letters
    free = (name for name in [*letters, *map("".join, product(letters, letters))])
    fresh = (name for name in free if name not in outer)
    short: dict[str, str] = {}
    for node in function.node:
        for names in (node.input, node.output):
            for position, name in enumerate(names):
                if name and name not in outer:
                    if name not in short:
                        short[name] = next(fresh)
                    names[position] = short[name]


def _text(op: str, opset: int, adds: bool) -> str:
    region = ", region" if op == PSB_CONV else ""
    own = ", strides, dilations, pads, group, auto_pad" if op == PSB_CONV else ""
    return f"""
<domain: "{OWN_DOMAIN}", opset_import: ["" : {opset}, "{OWN_DOMAIN}" : 1]>
{op}
<weight_shape{own},
 x_bits: int = 12, x_exponent: int = {FROM_THE_RUN}>
(X, W, emax, B, samples, seed{f"{region}, Z" if adds else ""}) => (Y)
{{
    x_int, w, scale_first, scale_second = {OWN_DOMAIN}.{PSB_PARTS} <
        weight_shape: ints = @weight_shape,
        x_bits: int = @x_bits, x_exponent: int = @x_exponent> (X, W, emax, samples)
{_CONV if op == PSB_CONV else _MATMUL}
    low = Constant <value_float: float = @clip_min> ()
    high = Constant <value_float: float = @clip_max> ()
    biased = Add(scaled, bias)
{_ADDITION if adds else ""}
    Y = Clip({"summed" if adds else "biased"}, low, high)
}}"""


def _shared_text(opset: int, rounding: str) -> str:
    return f"""
<domain: "{OWN_DOMAIN}", opset_import: ["" : {opset}]>
{PSB_PARTS}
<weight_shape, x_bits, x_exponent>
(X, W, emax, samples) => (x_int, w, scale_first, scale_second)
{{
{_CONSTANTS}{_ACTIVATIONS}{_WEIGHTS}{_CARRIED if rounding == "carried" else _HALF}{_SCALE}
}}"""


def _floats(values: list[float]) -> str:
    return "[" + ", ".join(repr(value) for value in values) + "]"


_FAR = ", ".join(repr(2.0**k) for k in range(_LOW, 128, 16))
_NEAR = ", ".join(repr(2.0**k) for k in range(16))
_SHIFTS = _floats([0.0, *(2.0 ** (v - 15) for v in range(1, 16))])
_SMALL = _floats([0.0, *(2.0**v for v in range(7)), *[0.0] * 8])
"""Of s x in units of 2^-17, by nibble: weights with j from 8 on are small."""
_COEFFICIENTS = ", ".join(
    str(1 << (row - first) if first <= row < first + size else 0)
    for first, size in ((0, 8), (8, 8), (16, 4), (20, 1))
    for row in range(21)
)
"""What bit plane i of 21 adds to the low and the high byte of p16, to the nibble, to the sign."""

_CONSTANTS = f"""
    zero = Constant <value_float: float = 0.0> ()
    zeros = Constant <value_floats: floats = [0.0]> ()
    half = Constant <value_float: float = 0.5> ()
    one = Constant <value_float: float = 1.0> ()
    i0 = Constant <value_int: int = 0> ()
    i1 = Constant <value_int: int = 1> ()
    i2 = Constant <value_int: int = 2> ()
    v0 = Constant <value_ints: ints = [0]> ()
    v1 = Constant <value_ints: ints = [1]> ()
    far = Constant <value = float[16, 1] {{{_FAR}}}> ()
    near = Constant <value = float[1, 16] {{{_NEAR}}}> ()
    all_powers = Mul(far, near)
    all_of_it = Constant <value_ints: ints = [-1]> ()
    powers = Reshape(all_powers, all_of_it)
    first = Constant <value_int: int = {-_LOW}> ()
"""

_ACTIVATIONS = f"""
    bits = Constant <value_int: int = @x_bits> ()
    bits_first = Add(bits, first)
    limit_place = Sub(bits_first, i1)
    limit_next = Gather(powers, limit_place)
    limit = Sub(limit_next, one)
    no_limit = Neg(limit)
    x_nan = IsNaN(X)
    x_inf = IsInf(X)
    x_bad = Or(x_nan, x_inf)
    x_finite = Where(x_bad, zero, X)
    x_abs = Abs(x_finite)
    x_flat = Reshape(x_abs, all_of_it)
    x_some = Concat <axis: int = 0> (x_flat, zeros)
    x_max = ReduceMax <keepdims: int = 0> (x_some)
    x_scaled = Mul(x_max, powers)
    x_over = Greater(x_scaled, limit)
    x_fits = Not(x_over)
    x_fits_i = Cast <to: int = 7> (x_fits)
    n_fitting = ReduceSum <keepdims: int = 0> (x_fits_i)
    behind = Constant <value_int: int = {1 - _LOW}> ()
    f_any = Sub(n_fitting, behind)
    f_lowest = Constant <value_int: int = -100> ()
    f_highest = Constant <value_int: int = 100> ()
    f_low = Max(f_any, f_lowest)
    f_high = Min(f_low, f_highest)
    x_empty = Equal(x_max, zero)
    f_run = Where(x_empty, i0, f_high)
    f_given = Constant <value_int: int = @x_exponent> ()
    f_absent = Less(f_given, f_lowest)
    f = Where(f_absent, f_run, f_given)
    f_place = Add(f, first)
    x_factor = Gather(powers, f_place)
    x_number = Where(x_nan, zero, X)
    x_up = Mul(x_number, x_factor)
    x_round = Round(x_up)
    x_int = Clip(x_round, no_limit, limit)
"""

_WEIGHTS = f"""
    columns = Constant <value_ints: ints = [21]> ()
    planes_shape = Shape(W)
    rows = Slice(planes_shape, v0, v1)
    start = Sub(columns, rows)
    table = Constant <value = uint8[4, 21] {{{_COEFFICIENTS}}}> ()
    words = Slice(table, start, columns, v1)
    bytes_shape = Constant <value_ints: ints = [0, -1, 1]> ()
    bytes = Reshape(W, bytes_shape)
    shifts = Constant <value = uint8[1, 1, 8] {{0, 1, 2, 3, 4, 5, 6, 7}}> ()
    two_u8 = Constant <value = uint8 {{2}}> ()
    shifted = BitShift <direction: string = "RIGHT"> (bytes, shifts)
    bit = Mod(shifted, two_u8)
    bit_shape = Constant <value_ints: ints = [0, -1]> ()
    bit_rows = Reshape(bit, bit_shape)
    parts = MatMulInteger(words, bit_rows)
    w_shape = Constant <value_ints: ints = @weight_shape> ()
    n_weights = ReduceProd <keepdims: int = 1> (w_shape)
    fields = Slice(parts, v0, n_weights, v1)
    numbers = Cast <to: int = 1> (fields)
    p_low = Gather <axis: int = 0> (numbers, i0)
    p_high = Gather <axis: int = 0> (numbers, i1)
    byte = Constant <value_float: float = 256.0> ()
    p_high_up = Mul(p_high, byte)
    p16 = Add(p_low, p_high_up)
    nibble = Gather <axis: int = 0> (numbers, i2)
    i3 = Add (i1, i2)
    negative = Gather <axis: int = 0> (numbers, i3)
    most = Constant <value_int: int = 64> ()
    nearest = Equal(samples, i0)
    n_int = Where(nearest, most, samples)
    n = Cast <to: int = 1> (n_int)
    p_n = Mul(n, p16)
    p_half = Constant <value_float: float = 32768.0> ()
    p_full = Constant <value_float: float = 65536.0> ()
    p_up = Add(p_n, p_half)
    p_share = Div(p_up, p_full)
    k = Floor(p_share)
    count = Add(n, k)
    scale_n = Constant <value_float: float = 8192.0> ()
    unit = Div(scale_n, n)
    magnitude = Mul(count, unit)
    shift_table = Constant <value_floats: floats = {_SHIFTS}> ()
    nibble_int = Cast <to: int = 7> (nibble)
    shift = Gather(shift_table, nibble_int)
    shifted_down = Mul(magnitude, shift)
    with_half = Add(shifted_down, half)
    whole = Floor(with_half)
    minus_two = Constant <value_float: float = -2.0> ()
    sign_part = Mul(negative, minus_two)
    sign = Add(sign_part, one)
    signed = Mul(whole, sign)
"""

_HALF = """
    w = Reshape(signed, w_shape)
"""

_CARRIED = f"""
    small_table = Constant <value_floats: floats = {_SMALL}> ()
    small_scale = Gather(small_table, nibble_int)
    p_whole = Add(p16, p_full)
    small_size = Mul(p_whole, small_scale)
    small_value = Mul(small_size, sign)
    emax_shape = Shape(emax)
    row_shape = Concat <axis: int = 0> (emax_shape, all_of_it)
    small_rows = Reshape(small_value, row_shape)
    small_int = Cast <to: int = 7> (small_rows)
    before = CumSum <exclusive: int = 1> (small_int, i1)
    small_half = Constant <value_int: int = 65536> ()
    before_half = Add(before, small_half)
    small_one = Add (small_half, small_half)
    left = Mod(before_half, small_one)
    left_over = Cast <to: int = 1> (left)
    small_sum = Add(small_rows, left_over)
    small_full = Add (p_full, p_full)
    small_share = Div(small_sum, small_full)
    small_whole = Floor(small_share)
    small_flat = Reshape(small_whole, all_of_it)
    step = Mul(shift, unit)
    is_small = Less(step, one)
    drawn = Where(is_small, small_flat, signed)
    w = Reshape(drawn, w_shape)
"""
"""Where n steps of a weight are finer than w', its mean is rounded after what is left over."""

_SCALE = """
    emax_int = Cast <to: int = 7> (emax)
    d = Constant <value_int: int = 13> ()
    e_minus_d = Sub(emax_int, d)
    e = Sub(e_minus_d, f)
    e_first = Div(e, i2)
    e_second = Sub(e, e_first)
    first_place = Add(e_first, first)
    second_place = Add(e_second, first)
    scale_first = Gather(powers, first_place)
    scale_second = Gather(powers, second_place)
"""

_CONV = """
    v2 = Constant <value_ints: ints = [2]> ()
    x_shape = Shape(X)
    x_rank = Shape(x_shape)
    n_spatial = Sub(x_rank, v2)
    ones = ConstantOfShape <value = int64[1] {1}> (n_spatial)
    channel_axis = Constant <value_ints: ints = [1, -1]> ()
    channel_shape = Concat <axis: int = 0> (channel_axis, ones)
    scale_one = Reshape(scale_first, channel_shape)
    scale_two = Reshape(scale_second, channel_shape)
    bias = Reshape(B, channel_shape)
    sum = Conv <strides: ints = @strides, dilations: ints = @dilations, pads: ints = @pads,
        group: int = @group, auto_pad: string = @auto_pad> (x_int, w)
    half_scaled = Mul(sum, scale_one)
    scaled = Mul(half_scaled, scale_two)
"""

_MATMUL = """
    w_columns = Transpose <perm: ints = [1, 0]> (w)
    sum = MatMul(x_int, w_columns)
    half_scaled = Mul(sum, scale_first)
    scaled = Mul(half_scaled, scale_second)
    bias = Identity(B)
"""

_ADDITION = """
    z_dims = Shape(Z)
    z_size = ReduceProd <keepdims: int = 1> (z_dims)
    z_some = Cast <to: int = 9> (z_size)
    z_one = Constant <value_ints: ints = [1]> ()
    z_shape = Where(z_some, z_dims, z_one)
    z_count = ReduceProd <keepdims: int = 1> (z_shape)
    z_row = Constant <value_ints: ints = [-1]> ()
    z_flat = Reshape(Z, z_row)
    nothing = Constant <value_floats: floats = [-0.0]> ()
    z_all = Concat <axis: int = 0> (z_flat, nothing)
    z_start = Constant <value_ints: ints = [0]> ()
    z_part = Slice(z_all, z_start, z_count)
    z = Reshape(z_part, z_shape)
    summed = Add(biased, z)
"""
"""An empty Z becomes -0, which added to any number leaves its bits alone."""
