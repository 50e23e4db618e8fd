"""Models that ONNX's checker lets pass: wrong calls, stray references, bombs, endless loops."""

from __future__ import annotations

from pathlib import Path

from hostile_graphs import written
from hostile_models import put, refused
from onnx import helper, parser

IN, OUT = "g (float[N,4] x) => (float[N,4] y)", "(float[N,4] x)"
LOCAL = '<domain: "local", opset_import: ["" : 17, "local" : 1]>'

# --- calls of local functions -------------------------------------------------------------------

for _name, _call, _pattern in (
    ("call_with_two_inputs_too_many", "y = local.f (x, x, x)", "1 inputs with 3"),
    ("call_with_an_output_too_many", "y, z = local.f (x)", "1 outputs with 2"),
    (
        "call_in_a_branch_with_too_many",
        """c = Constant <value = bool {1}> ()
        y = If (c) <then_branch = t () => (float[N,4] a) { a = local.f (x, x) },
        else_branch = e () => (float[N,4] b) { b = Relu (x) }>""",
        "1 inputs with 2",
    ),
):
    written(_name, _pattern, f"{IN} {{ {_call} }}", extra=f"{LOCAL} f (a) => (b) {{ b = Relu(a) }}")

written(
    "function_that_calls_itself",
    "must not be recursive",
    f"{IN} {{ y = local.f (x) }}",
    extra=f"{LOCAL} f (a) => (b) {{ c = Relu (a) b = local.f (c) }}",
)
written(
    "functions_that_call_each_other",
    "must not be recursive",
    f"{IN} {{ y = local.f (x) }}",
    extra=f"{LOCAL} f (a) => (b) {{ b = local.h (a) }} {LOCAL} h (a) => (b) {{ b = local.f (a) }}",
)
written(
    "reference_to_an_attribute_the_function_lacks",
    "which the function around it does not have|ref_attr",
    f"{IN} {{ y = local.f (x) }}",
    extra=f"{LOCAL} f <beta> (a) => (b) {{ b = LeakyRelu <alpha: float = @gamma> (a) }}",
)


def _doubling(levels: int, fan: int = 2) -> str:
    """Functions of which each calls the one before it several times."""
    functions = [f"{LOCAL} f0 (a) => (b) {{ b = Relu (a) }}"]
    for level in range(1, levels):
        names = ["a", *(f"t{i}" for i in range(fan - 1)), "b"]
        calls = [f"{names[i + 1]} = local.f{level - 1} ({names[i]})" for i in range(fan)]
        functions.append(f"{LOCAL} f{level} (a) => (b) {{ {' '.join(calls)} }}")
    return " ".join(functions)


for _levels, _fan in ((15, 2), (40, 2), (9, 4)):
    written(
        f"functions_doubled_{_levels}_times_by_{_fan}",
        f"inlining makes {_fan ** (_levels - 1)} of them",
        f"{IN} {{ y = local.f{_levels - 1} (x) }}",
        extra=_doubling(_levels, _fan),
    )


@refused("call chain depth exceeds")
def functions_in_a_long_chain(folder: Path) -> Path:
    header = '<ir_version: 9, opset_import: ["" : 17, "local" : 1]>'
    return put(
        folder,
        parser.parse_model(f"{header} {IN} {{ y = local.f2999 (x) }} {_doubling(3000, 1)}"),
    )


# --- attribute references outside functions ------------------------------------------------------


def _reference(op: str, attribute: str, inputs: list[str], domain: str = "") -> None:
    @refused("but stands in none", f"reference_of_{op}_outside_functions")
    def build(folder: Path) -> Path:
        proto = parser.parse_model(
            f'<ir_version: 9, opset_import: ["" : 17]> {IN} <float[4,4] w = '
            f"{{{','.join(['1'] * 16)}}}> {{ h = MatMul (x, w) y = Relu (h) }}"
        )
        node = helper.make_node(op, inputs, ["h"], domain=domain)
        entry = node.attribute.add()
        entry.name, entry.type, entry.ref_attr_name = attribute, 2, "outer"
        if op == "LeakyRelu":
            entry.type = 1
        proto.graph.node[0].CopyFrom(node)
        return put(folder, proto)


_reference("Gemm", "transB", ["x", "w"])
_reference("LeakyRelu", "alpha", ["x"])
_reference("Softmax", "axis", ["x"])

# --- inputs that are left out and needed ---------------------------------------------------------

for _op, _body in (
    ("Clip", 'y = Clip ("", lo)'),
    ("MatMul", 'h = MatMul ("", w) y = Relu (h)'),
    ("Conv", 'h = Conv (x, "") y = Relu (h)'),
    ("Concat", 'h = Concat <axis = 0> (x, "", x) y = Relu (h)'),
):
    written(
        f"{_op.lower()}_without_an_input_that_it_needs",
        "which the operator needs|marked single but has an empty string",
        f"{IN} <float lo = {{0}}, float[4,4] w = {{{','.join(['1'] * 16)}}}> {{ {_body} }}",
    )

# --- constants out of nothing --------------------------------------------------------------------

written(
    "constant_of_a_shape_too_large",
    "takes 40,000,000,000 bytes",
    f"{IN} <int64[2] s = {{100000,100000}}> "
    "{ w = ConstantOfShape (s) m = ReduceSum <keepdims = 0> (w) h = Add (x, m) y = Relu (h) }",
)
written(
    "constant_broadcast_too_large",
    "depends on no input and takes",
    f"{IN} <int64[2] a = {{50000,1}}, int64[2] b = {{1,50000}}> "
    "{ p = ConstantOfShape (a) q = ConstantOfShape (b) w = Mul (p, q) "
    "m = ReduceMax <keepdims = 0> (w) h = Add (x, m) y = Relu (h) }",
)
written(
    "constant_expanded_too_large",
    "depends on no input and takes",
    f"{IN} <float v = {{1}}, int64[3] s = {{1000,1000,1000}}> "
    "{ w = Expand (v, s) m = ReduceMean <keepdims = 0> (w) h = Add (x, m) y = Relu (h) }",
)
written(
    "constant_doubled_thirty_times",
    "depends on no input and takes|cannot load",
    f"{IN} <float[4] c0 = {{1,2,3,4}}> {{ "
    + " ".join(f"c{i + 1} = Concat <axis = 0> (c{i}, c{i})" for i in range(30))
    + " m = ReduceMax <keepdims = 0> (c30) h = Add (x, m) y = Relu (h) }",
)

# --- loops without an end ------------------------------------------------------------------------

_STEP = "(int64 i, bool ci, float[N,4] s) => (bool co, float[N,4] o)"
for _name, _loop, _body in (
    ("huge_count", "Loop (n, c, x)", "co = Identity (ci)"),
    ("count_of_32_bits", "Loop (m, c, x)", "co = Identity (ci)"),
    ("no_count", 'Loop ("", c, x)', "co = Identity (ci)"),
    ("no_condition", 'Loop (n, "", x)', "co = Identity (ci)"),
    ("no_count_and_no_condition", 'Loop ("", "", x)', "co = Identity (ci)"),
    ("condition_made_true", 'Loop ("", c, x)', "co = Constant <value = bool {1}> ()"),
    ("condition_handed_on_twice", "Loop (n, c, x)", "d = Identity (ci) co = Identity (d)"),
):
    written(
        f"endless_loop_with_{_name}",
        "its Loop 'h' never ends",
        f"{IN} <int64 n = {{9000000000000000000}}, int64 m = {{2147483647}}, bool c = {{1}}> "
        f"{{ h = {_loop} <body = b {_STEP} {{ {_body} o = Relu (s) }}> y = Relu (h) }}",
    )
