"""The function bodies as files: ONNX's own parser reads them, and conversions are unchanged."""

import hashlib
from itertools import chain
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper, parser

from reluflow.graph import PsbOptions, load, to_psb
from reluflow.graph.proto.own_domain import (
    ADDEND_PLACE,
    FIXED_16_DEFAULTS,
    FIXED_DEFAULTS,
    FIXED_WEIGHTS,
    FROM_THE_RUN,
    OWN_DOMAIN,
    PSB_CONV,
    PSB_MATMUL,
    PSB_PARTS,
    PSB_WEIGHTS,
    PsbPlace,
)
from reluflow.graph.psb import bodies as module
from reluflow.graph.psb.function import MIN_OPSET, psb_functions

FILES = {path.stem: path for path in Path(module.__file__).with_name("functions").iterdir()}
NAMES = [PSB_CONV, PSB_MATMUL, PSB_PARTS, PSB_WEIGHTS, FIXED_WEIGHTS]
NAMES += [*FIXED_DEFAULTS, *FIXED_16_DEFAULTS]
ROOT = Path(__file__).parents[3]


def read(name: str) -> onnx.FunctionProto:
    return parser.parse_function(FILES[name].read_text(encoding="utf-8"))


def constant(function: onnx.FunctionProto, tensor: str) -> np.ndarray:
    """Return the value of a Constant node, whatever attribute holds it."""
    (node,) = (node for node in function.node if tensor in node.output)
    value = helper.get_attribute_value(node.attribute[0])
    return numpy_helper.to_array(value) if isinstance(value, onnx.TensorProto) else np.array(value)


@pytest.mark.parametrize("name", NAMES)
def test_a_file_parses_as_it_stands(name: str) -> None:
    function = read(name)
    assert (function.name, function.domain) == (name, OWN_DOMAIN)
    assert {entry.domain: entry.version for entry in function.opset_import}[""] == MIN_OPSET
    written = {output for node in function.node for output in node.output}
    known = written | set(function.input)
    assert {name for node in function.node for name in node.input} <= known
    assert set(function.output) <= written


def test_there_is_no_other_file() -> None:
    assert sorted(FILES) == sorted(NAMES)


def test_a_model_text_may_take_the_files_in() -> None:
    head = (
        '<ir_version: 8, opset_import: ["" : 13, "ai.reluflow" : 1]>\n'
        "a (float[N, 3] x) => (float[N, 3] y) { y = Relu(x) }\n"
    )
    model = parser.parse_model(head + "\n".join(path.read_text() for path in FILES.values()))
    assert sorted(function.name for function in model.functions) == sorted(FILES)
    onnx.checker.check_model(model)


@pytest.mark.parametrize("name", [PSB_CONV, PSB_MATMUL])
def test_places_of_inputs_are_those_of_the_files(name: str) -> None:
    function = read(name)
    shared = [place.name.lower() for place in PsbPlace]
    assert [given.lower() for given in function.input[: len(shared)]] == shared
    assert function.input[ADDEND_PLACE[name]] == "Z" == function.input[-1]
    defaults = {entry.name: entry.i for entry in function.attribute_proto}
    assert defaults == {"x_bits": PsbOptions().x_bits, "x_exponent": FROM_THE_RUN}


def test_tables_are_their_formulas() -> None:
    parts = read(PSB_PARTS)
    powers = constant(parts, "far") * constant(parts, "near")
    assert powers.reshape(-1).tolist() == [2.0**k for k in range(-128, 128)]
    assert constant(parts, "first") == 128 and constant(parts, "behind") == 129
    shifts = [0.0, *(2.0 ** -(15 - nibble) for nibble in range(1, 16))]
    assert constant(parts, "shift_table").tolist() == shifts
    small = [0.0, *(2.0 ** (14 - (15 - nibble)) for nibble in range(1, 8)), *[0.0] * 8]
    assert constant(parts, "small_table").tolist() == small
    fields = ((0, 8), (8, 8), (16, 4), (20, 1))  # first plane and planes of each
    table = np.zeros((4, 21), np.uint8)
    for row, (first, size) in zip(table, fields, strict=True):
        row[first : first + size] = 1 << np.arange(size)
    assert np.array_equal(constant(parts, "table"), table)


def digest(functions: list[onnx.FunctionProto]) -> str:
    texts = [function.SerializeToString(deterministic=True) for function in functions]
    return hashlib.sha256(b"".join(texts)).hexdigest()[:16]


BYTES = {
    ("carried", ()): "8a1ee0d2f0bb122b",
    ("carried", (PSB_CONV, PSB_MATMUL)): "40e6f7ff1a33a8bc",
    ("carried", (PSB_CONV,)): "fe283ba19501cee6",
    ("carried", (PSB_MATMUL,)): "650f98430a125dd1",
    ("half", ()): "45447a82aaa43ada",
    ("half", (PSB_CONV, PSB_MATMUL)): "a9e01e5f80c1d69f",
    ("half", (PSB_CONV,)): "deef3a92588403dc",
    ("half", (PSB_MATMUL,)): "1f54c72360238538",
}
"""Of all functions at opsets 13, 17 and 23, when they were still text in the code."""


@pytest.mark.parametrize(("rounding", "adding"), BYTES)
def test_functions_keep_every_byte(rounding: str, adding: tuple[str, ...]) -> None:
    both = (PSB_CONV, PSB_MATMUL)
    made = chain.from_iterable(psb_functions(both, v, adding, rounding) for v in (13, 17, 23))
    assert digest(list(made)) == BYTES[rounding, adding]


CONVERTED = {
    ("fashion_resnet8", "carried"): "d76f557e54af1e9a",
    ("fashion_resnet8", "half"): "50e608b5faecf768",
    ("fashion_convnet8", "carried"): "a4cb33fecf921963",
    ("fashion_convnet8", "half"): "831bb21c959ea94a",
    ("fashion_dsconv", "carried"): "a4cb33fecf921963",
    ("fashion_dsconv", "half"): "831bb21c959ea94a",
}
"""Of the functions that a converted model carries, then."""


@pytest.mark.parametrize(("name", "rounding"), CONVERTED)
def test_conversions_keep_every_byte(name: str, rounding: str) -> None:
    model = to_psb(load(ROOT / "models" / f"{name}.onnx"), PsbOptions(rounding=rounding)).model
    proto = onnx.ModelProto.FromString(model.serialize())
    assert digest(list(proto.functions)) == CONVERTED[name, rounding]
