"""Random calls of the operators of chains, and models of one such call."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper
from onnx.reference import ReferenceEvaluator

from reluflow.graph import Model
from reluflow.graph.psb.chain.wide.functions16 import add_chain16_functions
from reluflow.graph.psb.chain_functions import add_chain_functions
from reluflow.graph.rewrite.edit import Editor
from reluflow.psb import PsbCode, encode, pack
from reluflow.psb.fixed import (
    COORDINATES,
    FixedFormat,
    fixed_add,
    fixed_average_pool,
    fixed_conv,
    fixed_global_average_pool,
    fixed_mul,
    fixed_resize,
    fixed_table,
    from_fixed_conv,
    from_fixed_matmul,
)
from reluflow.sessions import open_session

Arrays = dict[str, np.ndarray]
FLOATS = ("FromFixed", "FixedGlobalPool", "FromFixedConv", "FromFixedMatMul")
"""Operators that end a chain."""


def one_node(
    op: str,
    inputs: Arrays,
    constants: Mapping[str, np.ndarray | None],
    attributes: dict[str, Any],
    functions: Iterable[onnx.FunctionProto] = (),
    opset: int = 17,
) -> onnx.ModelProto:
    """Return a model of one node of our domain, its inputs first, then its constants.

    A constant that is None is left out.
    """
    names = ["" if array is None else name for name, array in [*inputs.items(), *constants.items()]]
    node = helper.make_node(op, names, ["y"], domain="ai.reluflow", **attributes)
    wide = op.endswith("16")
    integers = onnx.TensorProto.INT16 if wide else onnx.TensorProto.UINT8
    made = onnx.TensorProto.FLOAT if op.removesuffix("16") in FLOATS else integers
    graph = helper.make_graph(
        [node],
        "g",
        [
            helper.make_tensor_value_info(n, helper.np_dtype_to_tensor_dtype(a.dtype), a.shape)
            for n, a in inputs.items()
        ],
        [helper.make_tensor_value_info("y", made, [None] * next(iter(inputs.values())).ndim)],
        [numpy_helper.from_array(a, n) for n, a in constants.items() if a is not None],
    )
    imports = [helper.make_opsetid("", opset), helper.make_opsetid("ai.reluflow", 1)]
    return helper.make_model(graph, functions=list(functions), opset_imports=imports, ir_version=8)


def call_function(
    op: str,
    inputs: Arrays,
    constants: Arrays | None = None,
    *,
    reference: bool = False,
    opset: int = 17,
    **attributes: Any,
) -> np.ndarray:
    """Run one operator by the function that a file with it has, by onnx.reference on request."""
    editor = Editor(Model(one_node(op, inputs, constants or {}, attributes, opset=opset)))
    attach = add_chain16_functions if op.endswith("16") else add_chain_functions
    attach(editor)
    proto = onnx.ModelProto.FromString(editor.finish(()).model.serialize())
    onnx.checker.check_model(proto, full_check=True)
    if reference:
        (made,) = ReferenceEvaluator(proto).run(None, inputs)
        return np.asarray(made)
    session = open_session(Model(proto), threads=1, optimisation="none", library=False)
    return session.run(inputs)[0]


@dataclass(frozen=True)
class Case:
    """One call of an operator of chains and what its oracle gives."""

    op: str
    inputs: Arrays
    constants: Arrays
    attributes: dict[str, Any]
    expected: np.ndarray


def random_weights(
    rng: np.random.Generator, columns: int = 0
) -> tuple[np.ndarray, PsbCode, dict[str, Any]]:
    """Return bytes, weights and the window of a convolution, whatever a chain may hold.

    Rows are `columns` pixels longer than they would be.
    """
    rank = int(rng.integers(1, 3))
    depthwise = rng.random() < 0.3
    group = int(rng.integers(1, 80)) if depthwise else int(rng.integers(1, 3))
    per_group = 1 if depthwise else int(rng.integers(1, 12))
    outputs = group if depthwise else group * int(rng.integers(1, 70))
    kernel = rng.integers(1, 6, rank).tolist()
    options: dict[str, Any] = {
        "strides": rng.integers(1, 3, rank).tolist(),
        "dilations": rng.integers(1, 3, rank).tolist(),
        "pads": rng.integers(0, 3, 2 * rank).tolist(),
        "group": group,
    }
    sizes = [
        d * (k - 1) + 1 + int(rng.integers(0, 9))
        for d, k in zip(options["dilations"], kernel, strict=True)
    ]
    sizes[-1] += columns
    w = rng.standard_t(2, (outputs, per_group, *kernel)).astype(np.float32)
    w[rng.random(w.shape) < 0.1] = 0
    code = encode(w, p_bits=int(rng.choice([1, 2, 3, 4, 4, 6, 8, 16])))
    x = rng.integers(0, 256, (int(rng.integers(1, 3)), *sizes, group * per_group), np.uint8)
    return x, code, options


def random_conv(seed: int, sampler: str = "systematic", columns: int = 0) -> Case:
    """Return a random call of FixedConv."""
    rng = np.random.default_rng(seed)
    x, code, options = random_weights(rng, columns)
    forms = [FixedFormat(int(rng.integers(-3, 7)), int(rng.choice([0, 128]))) for _ in range(3)]
    bias = (rng.normal(size=len(code.emax)) * 20).astype(np.float32)
    samples, numbers = int(rng.choice([0, 1, 2, 4, 8, 16, 32, 64])), (int(seed) * 7, 5)
    table = rng.integers(0, 256, 256).astype(np.uint8) if rng.random() < 0.3 else None
    low, high = sorted(rng.integers(0, 256, 2).tolist())
    shared: dict[str, Any] = dict(
        samples=samples, seed=numbers[0], stream=numbers[1], y_min=low, y_max=high, sampler=sampler
    )
    formats: dict[str, Any] = dict(x_form=forms[0], y_form=forms[1])
    plain = fixed_conv(x, code, bias, **formats, **shared, **options)
    z = rng.integers(0, 256, plain.shape).astype(np.uint8) if rng.random() < 0.5 else None
    formats["z_form"] = forms[2]
    expected = fixed_conv(x, code, bias, z, table=table, **formats, **shared, **options)
    constants: Arrays = {
        "w": pack(code),
        "emax": code.emax,
        "b": bias,
        "samples": np.array(samples, np.int64),
        "seed": np.array(numbers[0], np.int64),
        "z": np.zeros(0, np.uint8) if z is None else z,
    }
    if table is not None or rng.random() < 0.5:
        constants["table"] = np.zeros(0, np.uint8) if table is None else table
    elif z is None and rng.random() < 0.5:
        del constants["z"]
    attributes = {
        f"{n}_{what}": getattr(form, what)
        for n, form in zip("xyz", forms, strict=True)
        for what in ("exponent", "zero")
    }
    attributes |= {"weight_shape": code.shape, "p_bits": code.p_bits, "stream": numbers[1]}
    attributes |= {"y_min": low, "y_max": high, **options}
    if sampler != "systematic":
        attributes["sampler"] = sampler
    return Case("FixedConv", {"x": x}, constants, attributes, expected)


def random_end(seed: int, sampler: str = "systematic", columns: int = 0) -> Case:
    """Return a random call of FromFixedConv or FromFixedMatMul."""
    rng = np.random.default_rng(seed)
    x, code, options = random_weights(rng, columns)
    form = _far_or_near(rng)
    numbers: dict[str, Any] = {
        "samples": int(rng.choice([0, 1, 2, 4, 8, 16, 32, 64])),
        "seed": int(rng.integers(-(2**40), 2**40)),
    }
    how: dict[str, Any] = {**numbers, "stream": 3, "sampler": sampler, "x_form": form}
    rows = bool(rng.random() < 0.5)
    if rows:
        shape = (int(rng.integers(1, 150)), int(rng.integers(1, 60)))
        w = rng.standard_t(2, shape).astype(np.float32)
        code = encode(w, p_bits=int(rng.choice([1, 4, 4, 16])))
        axes = rng.integers(1, 9, int(rng.integers(0, 3))).tolist()
        x = rng.integers(0, 256, (*axes, shape[1]), np.uint8)
    bias = (rng.normal(size=len(code.emax)) * 20).astype(np.float32)
    if rows:
        expected = from_fixed_matmul(x, code, bias, **how)
    else:
        expected = from_fixed_conv(x, code, bias, **how, **options)
    constants: Arrays = {"w": pack(code), "emax": code.emax, "b": bias}
    constants |= {name: np.array(value, np.int64) for name, value in numbers.items()}
    attributes = _attributes(x=form) | {"weight_shape": code.shape, "p_bits": code.p_bits}
    attributes |= {"stream": 3, "sampler": sampler}
    op = "FromFixedMatMul" if rows else "FromFixedConv"
    return Case(op, {"x": x}, constants, attributes | ({} if rows else options), expected)


def _far_or_near(rng: np.random.Generator) -> FixedFormat:
    """Return a format, mostly one that a chain holds, now and then any."""
    near = rng.random() < 0.7
    exponent = rng.integers(-4, 8) if near else rng.integers(-100, 101)
    return FixedFormat(int(exponent), int(rng.choice([0, 128])))


def _attributes(**forms: FixedFormat) -> dict[str, int]:
    return {
        f"{name}_{what}": getattr(form, what)
        for name, form in forms.items()
        for what in ("exponent", "zero")
    }


def random_bytes(seed: int) -> list[Case]:
    """Return random calls of the operators that take bytes and give bytes."""
    rng = np.random.default_rng(seed)
    rank = int(rng.integers(1, 3))
    sizes = rng.integers(1, 24, rank).tolist()
    shape = (int(rng.integers(1, 4)), *sizes, int(rng.choice([1, 3, 16, 70, 300])))
    x, other = (rng.integers(0, 256, shape).astype(np.uint8) for _ in range(2))
    factors = rng.integers(0, 256, (shape[0], *[1] * rank, shape[-1])).astype(np.uint8)
    table = rng.integers(0, 256, 256).astype(np.uint8)
    xf, of, yf = (_far_or_near(rng) for _ in range(3))
    low, high = sorted(rng.integers(0, 256, 2).tolist()) if rng.random() < 0.3 else (0, 255)
    ends: dict[str, Any] = {"y_min": low, "y_max": high}
    looks = rng.random() < 0.5
    added = fixed_add(
        x, other, a_form=xf, b_form=of, y_form=yf, table=table if looks else None, **ends
    )
    adds = {"table": table} if looks else {}
    names = _attributes(a=xf, b=of, y=yf) | ends
    cases = [Case("FixedAdd", {"a": x, "b": other}, adds, names, added)]
    names = _attributes(x=xf, s=of, y=yf) | ends
    for s in (factors, other):
        product = fixed_mul(x, s, x_form=xf, s_form=of, y_form=yf, **ends)
        cases.append(Case("FixedMul", {"x": x, "s": s}, {}, names, product))
    cases.append(Case("FixedTable", {"x": x}, {"table": table}, {}, fixed_table(x, table)))
    names = _attributes(x=xf, y=yf) | ends
    mean = fixed_global_average_pool(x, x_form=xf, y_form=yf, **ends)
    cases.append(Case("FixedGlobalAveragePool", {"x": x}, {}, names, mean))
    cases.append(_average(rng, x, xf, yf, ends))
    cases.append(_resize(rng, x))
    return cases


def _resize(rng: np.random.Generator, x: np.ndarray) -> Case:
    sizes = [len(x), x.shape[-1], *rng.integers(1, 40, x.ndim - 2).tolist()]
    mode = int(rng.integers(0, len(COORDINATES)))
    expected = fixed_resize(x, sizes, coordinates=COORDINATES[mode])
    given = {"sizes": np.array(sizes, np.int64)}
    return Case("FixedResize", {"x": x}, given, {"coordinates": mode}, expected)


def _average(
    rng: np.random.Generator, x: np.ndarray, xf: FixedFormat, yf: FixedFormat, ends: dict[str, Any]
) -> Case:
    rank = x.ndim - 2
    kernel = [int(rng.integers(1, min(5, size) + 1)) for size in x.shape[1:-1]]
    window: dict[str, Any] = {"strides": rng.integers(1, 4, rank).tolist()}
    if rng.random() < 0.3:
        window["auto_pad"] = str(rng.choice(["VALID", "SAME_UPPER", "SAME_LOWER"]))
        if window["auto_pad"] != "VALID":
            window["strides"] = [1] * rank
    else:
        window["pads"] = rng.integers(0, 3, 2 * rank).tolist()
        window["dilations"] = [2 if size > 8 else 1 for size in x.shape[1:-1]]
    counts = bool(rng.random() < 0.5)
    mean = fixed_average_pool(
        x, kernel, count_include_pad=counts, x_form=xf, y_form=yf, **window, **ends
    )
    names = _attributes(x=xf, y=yf) | ends | window
    names |= {"kernel_shape": kernel, "count_include_pad": int(counts)}
    return Case("FixedAveragePool", {"x": x}, {}, names, mean)
