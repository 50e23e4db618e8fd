"""Functions inlined: nearest mode bit for bit, and the draws of the native library."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import onnx
import pytest
from body_models import branches, loop, scan
from onnx import helper, numpy_helper

from reluflow import psb
from reluflow.data import RandomData, open_data
from reluflow.errors import ModelError
from reluflow.evaluation import calibrate, find_formats
from reluflow.evaluation.calibrate import exponents
from reluflow.evaluation.formats.largest import largest_activations
from reluflow.graph import (
    Model,
    PsbOptions,
    chain_psb,
    chain_psb16,
    find_psb,
    inline_psb,
    load,
    to_psb,
    with_sampler,
)
from reluflow.graph.psb.standard.drawn import decoding_functions
from reluflow.sessions import has_library, open_session

RNG = np.random.default_rng(8)
SEEDS = (0, 3, -1, 2**40 + 5, -(2**63), 2**63 - 1)
Arrays = dict[str, np.ndarray]


def weights(*shape: int) -> np.ndarray:
    """Return weights over many octaves, some of them 0, so that small ones are drawn, too."""
    w = RNG.standard_normal(shape) * np.exp2(-np.abs(RNG.normal(0, 6, shape)))
    w[RNG.random(shape) < 0.1] = 0
    return w.astype(np.float32)


def network(**more: int) -> Model:
    """3 to 5 to 6 channels, no multiples of 4, one convolution depthwise, then a Gemm."""
    nodes = [
        helper.make_node("Conv", ["x", "w0"], ["a"], name="first", pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["a"], ["ar"]),
        helper.make_node("Conv", ["ar", "w1"], ["b"], name="depth", group=5, strides=[2, 2]),
        helper.make_node("Conv", ["b", "w2", "bias"], ["c"], name="point"),
        helper.make_node("Relu", ["c"], ["cr"]),
        helper.make_node("Flatten", ["cr"], ["f"]),
        helper.make_node("Gemm", ["f", "w3"], ["y"], name="last"),
    ]
    arrays = {
        "w0": weights(5, 3, 3, 3),
        "w1": weights(5, 1, 3, 3),
        "w2": weights(6, 5, 1, 1),
        "w3": weights(6 * 4 * 4, 7),
        "bias": weights(6),
    }
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", 1, ["N", 3, 9, 9])],
        [helper.make_tensor_value_info("y", 1, ["N", 7])],
        [numpy_helper.from_array(value, name) for name, value in arrays.items()],
    )
    opset = [helper.make_opsetid("", more.get("opset", 17))]
    return load(helper.make_model(graph, opset_imports=opset, ir_version=8))


def run(model: Model, x: Arrays, samples: int, seed: int, library: bool) -> list[np.ndarray]:
    own = {"samples": np.array(samples, np.int64), "seed": np.array(seed, np.int64)}
    session = open_session(model, threads=1, library=library)
    return session.run(x | own)


def some(model: Model, n: int = 2) -> Arrays:
    (x,) = list(open_data(RandomData(n, seed=1), model.inputs).batches(n))
    return x


def variants() -> dict[str, Model]:
    model = network()
    data = open_data(RandomData(4, seed=1), model.inputs)
    fixed = to_psb(model, PsbOptions(x_exponents=calibrate(model, data))).model
    wide = exponents(largest_activations(fixed, data), 12)
    return {
        "floats": to_psb(model).model,
        "half": to_psb(model, PsbOptions(rounding="half")).model,
        "16 bits": to_psb(model, PsbOptions(p_bits=16)).model,
        "1 bit": to_psb(network(opset=13), PsbOptions(p_bits=1)).model,
        "opset 21": to_psb(network(opset=21)).model,
        "bytes": chain_psb(fixed, find_formats(fixed, data)).model,
        "int16": chain_psb16(fixed, wide).model,
    }


@pytest.mark.parametrize("name", list(variants()))
@pytest.mark.parametrize("nearest", [False, True])
def test_nearest_mode_is_that_of_the_functions_bit_for_bit(name: str, nearest: bool) -> None:
    model = variants()[name]
    made = inline_psb(model, nearest=nearest)
    assert made.refused == () and made.done.functions == 0
    assert len(made.done.drawn) == (0 if nearest else len(find_psb(model)))
    assert sum(made.done.operators.values()) >= len(made.done.drawn)
    assert made.done.dropped == ("samples", "seed")
    proto = onnx.ModelProto.FromString(made.model.serialize())
    assert not proto.functions and {e.domain for e in proto.opset_import} == {""}
    onnx.checker.check_model(proto, full_check=True)
    x = some(network())
    for samples in (0, 16) if nearest else (0,):
        old, new = run(model, x, samples, 3, False), run(made.model, x, samples, 3, False)
        assert [a.tobytes() for a in old] == [a.tobytes() for a in new]


@pytest.mark.skipif(not has_library(), reason="the native library is not built")
@pytest.mark.parametrize("name", list(variants()))
def test_draws_are_those_of_the_native_library(name: str) -> None:
    model = variants()[name]
    made = inline_psb(model).model
    x = some(network())
    here = open_session(made, threads=1, library=False)
    there = open_session(model, threads=1, library=True)
    drawn = set()
    for samples in (0, 1, 2, 4, 8, 16, 32, 64):
        for seed in SEEDS:
            fed = x | {"samples": np.array(samples, np.int64), "seed": np.array(seed, np.int64)}
            (a,), (b,) = here.run(fed), there.run(fed)
            drawn.add(a.tobytes())
            if name in ("bytes", "int16"):
                assert a.tobytes() == b.tobytes(), (samples, seed)
            else:
                assert np.abs(a - b).max() <= 2e-3 * np.abs(b).max(), (samples, seed)
    assert len(drawn) > 5


def test_drawn_weights_are_those_of_the_oracle() -> None:
    """One product with the unit matrix shows each weight: codes of every size and sign."""
    w = weights(6, 70)
    for rounding, p_bits in (("carried", 4), ("half", 4), ("carried", 16), ("carried", 1)):
        code = replace(psb.encode(w, p_bits=p_bits), rounding=rounding)
        node = helper.make_node(
            "PsbMatMul", ["x", "w", "e", "b", "samples", "seed"], ["y"], domain="ai.reluflow",
            weight_shape=[6, 70], p_bits=p_bits, stream=2**32 - 1, x_bits=12, x_exponent=10,
            clip_min=-np.inf, clip_max=np.inf, rounding=rounding,
        )  # fmt: skip
        made = inline_psb(_single(node, code, rounding)).model
        session = open_session(made, threads=1, library=False)
        eye = np.eye(70, dtype=np.float32)
        for samples in (0, 1, 2, 4, 16, 64):
            for seed in SEEDS:
                fed = {"samples": np.array(samples, np.int64), "seed": np.array(seed, np.int64)}
                (found,) = session.run({"x": eye} | fed)
                wanted = psb.sampled_weights(code, samples, "systematic", seed, 2**32 - 1)
                assert np.array_equal(found.T, wanted.astype(np.float32)), (samples, seed)


def _single(node: onnx.NodeProto, code: psb.PsbCode, rounding: str) -> Model:
    from reluflow.graph.psb.function import psb_functions

    scalars = [helper.make_tensor_value_info(name, 7, []) for name in ("samples", "seed")]
    graph = helper.make_graph(
        [node],
        "g",
        [helper.make_tensor_value_info("x", 1, ["N", 70]), *scalars],
        [helper.make_tensor_value_info("y", 1, ["N", 6])],
        [
            numpy_helper.from_array(psb.pack(code), "w"),
            numpy_helper.from_array(code.emax, "e"),
            numpy_helper.from_array(np.zeros(6, np.float32), "b"),
        ],
    )
    proto = helper.make_model(
        graph,
        opset_imports=[helper.make_opsetid("", 17), helper.make_opsetid("ai.reluflow", 1)],
        functions=psb_functions(["PsbMatMul"], 17, rounding=rounding),
        ir_version=8,
    )
    return load(proto)


@pytest.mark.parametrize("make", [branches, loop, scan])
def test_bodies_of_subgraphs_are_inlined(make: Any) -> None:
    source = make()
    model = to_psb(source).model
    made = inline_psb(model)
    assert len(made.done.drawn) == len(find_psb(model))
    x = some(source, 3)
    old, new = run(model, x, 0, 0, False), run(made.model, x, 0, 0, False)
    assert [a.tobytes() for a in old] == [a.tobytes() for a in new]
    if has_library():
        for samples, seed in ((1, 0), (4, 9)):
            old, new = run(model, x, samples, seed, True), run(made.model, x, samples, seed, False)
            for a, b in zip(old, new, strict=True):
                assert np.abs(a - b).max() <= 2e-3 * np.abs(a).max()


def test_names_that_the_functions_use_too_do_not_clash() -> None:
    proto = onnx.ModelProto.FromString(to_psb(network()).model.serialize())
    inner = [name for f in proto.functions for node in f.node for name in node.output]
    for old, new in zip(("ar", "cr", "f"), sorted(set(inner))[:3], strict=True):
        for node in proto.graph.node:
            for names in (node.input, node.output):
                for place, name in enumerate(names):
                    names[place] = new if name == old else name
        for value in list(proto.graph.value_info):
            if value.name == old:
                proto.graph.value_info.remove(value)
    model = load(proto)
    made = inline_psb(model).model
    x = some(network())
    assert run(model, x, 0, 0, False)[0].tobytes() == run(made, x, 0, 0, False)[0].tobytes()
    ones = [name for node in made._proto.graph.node for name in node.output if name]
    assert len(ones) == len(set(ones))


def test_functions_of_the_user_are_inlined_and_counted() -> None:
    proto = onnx.ModelProto.FromString(to_psb(network()).model.serialize())
    twice = onnx.parser.parse_function(
        '<domain: "mine", opset_import: ["" : 17]> Twice <by: int = 2> (a) => (b)\n'
        "{ f = Constant<value_int: int = @by>() g = CastLike(f, a) b = Mul(a, g) }"
    )
    proto.functions.append(twice)
    proto.opset_import.append(helper.make_opsetid("mine", 1))
    proto.graph.node.append(helper.make_node("Twice", ["y"], ["y2"], domain="mine"))
    proto.graph.output[0].name = "y2"
    model = load(proto)
    made = inline_psb(model)
    assert made.done.functions == 1
    x = some(network())
    assert run(model, x, 0, 0, False)[0].tobytes() == run(made.model, x, 0, 0, False)[0].tobytes()


def test_the_defaults_of_inputs_are_kept_on_request() -> None:
    model = to_psb(network()).model
    kept = inline_psb(model, input_defaults=True)
    assert kept.done.dropped == () and [s.name for s in kept.model.inputs] == ["x"]
    x = some(network())
    session = open_session(kept.model, threads=1, library=False)
    assert session.run(x)[0].tobytes() == run(model, x, 0, 0, False)[0].tobytes()
    given = x | {"samples": np.array(1, np.int64), "seed": np.array(5, np.int64)}
    assert session.run(given)[0].tobytes() != session.run(x)[0].tobytes()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"sampler": "binomial"}, "its sampler is binomial"),
        ({"draws": "product"}, "it draws for every product"),
        ({"draws": "product", "sampler": "binomial"}, "it draws for every product"),
    ],
)
def test_what_cannot_draw_says_so_and_rounds(options: dict[str, str], words: str) -> None:
    model = to_psb(network(), PsbOptions(**options)).model  # type: ignore[arg-type]
    made = inline_psb(model)
    assert made.done.drawn == () and len(made.refused) == 4
    assert all(each.reason.startswith(words) for each in made.refused)
    x = some(network())
    old, new = run(model, x, 4, 7, False), run(made.model, x, 4, 7, False)
    assert old[0].tobytes() == new[0].tobytes()


def test_a_sampler_that_rounds_is_no_refusal() -> None:
    model = with_sampler(to_psb(network()).model, "nearest").model
    made = inline_psb(model)
    assert made.done.drawn == () and made.refused == ()


def test_an_older_function_keeps_rounding_and_says_so() -> None:
    proto = onnx.ModelProto.FromString(to_psb(network()).model.serialize())
    for function in proto.functions:
        if function.name in ("PsbConv", "PsbMatMul"):
            call = next(node for node in function.node if node.op_type == "PsbParts")
            call.op_type = "OldParts"
        if function.name == "PsbParts":
            function.name = "OldParts"
    made = inline_psb(load(proto))
    assert made.done.drawn == ()
    assert {each.reason for each in made.refused} == {
        "its function is not of this version; convert the model again"
    }


def test_what_no_function_computes_is_refused() -> None:
    with pytest.raises(ModelError, match="has no PSB operator; convert it"):
        inline_psb(network())
    model = to_psb(network()).model
    bare = onnx.ModelProto.FromString(model.serialize())
    del bare.functions[:]
    with pytest.raises(ModelError, match="has no function in the model, so it needs the native"):
        inline_psb(Model(bare))
    for place in (6, 8):
        regional = onnx.ModelProto.FromString(model.serialize())
        first = regional.graph.node[0]
        first.input.extend([""] * (place - len(first.input)) + ["mask"])
        mask = numpy_helper.from_array(np.ones((2, 9, 9), np.bool_), "mask")
        regional.graph.initializer.append(mask)
        with pytest.raises(ModelError, match="computes a region, which its function does not"):
            inline_psb(Model(regional))
    other = onnx.ModelProto.FromString(model.serialize())
    for entry in other.functions[-1].opset_import:
        entry.version = 11 if not entry.domain else entry.version
    with pytest.raises(ModelError, match="needs another version of ONNX's operators"):
        inline_psb(Model(other))


def test_texts_of_the_draws_use_what_opset_13_has() -> None:
    for function in decoding_functions(13):
        local = {f.name for f in decoding_functions(13)}
        for node in function.node:
            if node.domain == "ai.reluflow":
                assert node.op_type in local
            else:
                assert onnx.defs.get_schema(node.op_type, 13)
