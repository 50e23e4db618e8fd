"""Samples that are not in the order of the inputs are not attributed to a wrong input."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
import small_models
from onnx import numpy_helper, parser

import reluflow
from reluflow import AnalysisOptions
from reluflow.analysis import Pipeline
from reluflow.data import open_data
from reluflow.errors import ModelError
from reluflow.graph import load

STEPS, FEATURES, UNITS = 4, 3, 5
BODIES = {
    "time first": "t = Transpose<perm=[1,0,2]>(x) a = MatMul(t, w) r = Relu(a)"
    " y = Transpose<perm=[1,0,2]>(r)",
    "time first, flat": "t = Transpose<perm=[1,0,2]>(x) f = Reshape(t, flat) a = Gemm(f, w)"
    " y = Relu(a)",
    "steps joined": "p, q, s, u = Split<axis=1>(x) j = Concat<axis=0>(p, q, s, u)"
    " a = MatMul(j, w) y = Relu(a)",
    "batch first": "a = MatMul(x, w) y = Relu(a)",
    "batch first, flat": "f = Reshape(x, flat) a = Gemm(f, w) y = Relu(a)",
}
SCATTERED = ["time first", "time first, flat", "steps joined"]
ORDERED = ["batch first", "batch first, flat"]


def network(name: str, batch: int | str = "N") -> onnx.ModelProto:
    proto = parser.parse_model(f"""<ir_version: 8, opset_import: ["" : 17]>
        g (float[{batch},{STEPS},{FEATURES}] x) => (float y) {{ {BODIES[name]} }}""")
    weights = np.random.default_rng(4).normal(size=(FEATURES, UNITS)).astype(np.float32)
    arrays = {"w": weights, "flat": np.array([-1, FEATURES])}
    used = {name for node in proto.graph.node for name in node.input}
    proto.graph.initializer.extend(
        numpy_helper.from_array(a, n) for n, a in arrays.items() if n in used
    )
    for node in proto.graph.node:
        node.name = node.op_type.lower() + "_" + node.output[0]
    return proto


def inputs(n: int) -> np.ndarray:
    return np.random.default_rng(9).normal(size=(n, STEPS, FEATURES)).astype(np.float32)


def pre_activations(x: np.ndarray) -> np.ndarray:
    """`(inputs, steps, units)`: what every network above computes for its inputs."""
    weights = np.random.default_rng(4).normal(size=(FEATURES, UNITS)).astype(np.float32)
    return x @ weights


def site_of(proto: onnx.ModelProto) -> str:
    return reluflow.inspect(proto).sites[0].name


@pytest.mark.parametrize("native", [True, False])
@pytest.mark.parametrize("batch_size", [None, STEPS, 2])
@pytest.mark.parametrize("name", SCATTERED)
def test_no_input_is_credited_where_samples_are_scattered(
    name: str, batch_size: int | None, native: bool
) -> None:
    x = inputs(8)
    options = AnalysisOptions(batch_size=batch_size, native=native)
    report = reluflow.analyze(network(name), x, options=options)
    site = report.sites[0]
    assert site.samples == 8 * STEPS and site.positions is None
    distinct = np.unique(pre_activations(x).reshape(-1, UNITS) > 0, axis=0)
    assert site.patterns == len(distinct)  # what is counted does not depend on the order
    assert {top.first_sample for top in site.top} == {None}
    assert not report.global_pattern.available
    assert "samples of one input are not adjacent" in report.global_pattern.reason
    assert site.graded is not None and site.graded.sampled_inputs == 0
    assert site.depends_on == ""  # the order of samples is not a dependence on the batch
    assert any("batches of 1 tell it" in note for note in report.notes)


@pytest.mark.parametrize("name", [*SCATTERED, *ORDERED])
def test_inputs_are_credited_in_batches_of_one(name: str) -> None:
    x, proto = inputs(8), network(name)
    options = AnalysisOptions(batch_size=1)
    report = reluflow.analyze(proto, x, options=options)
    bits, site = pre_activations(x) > 0, report.sites[0]
    assert report.global_pattern.available and not report.notes
    for top in site.top:
        shown = bits[top.first_sample, top.first_position]
        assert "".join("01"[int(bit)] for bit in shown) == top.bits
    found = reluflow.activation_bits(proto, x, [6, 1], options=options)[site.site.name]
    np.testing.assert_array_equal(found, bits[[6, 1]])


@pytest.mark.parametrize("batch_size", [None, STEPS, 2])
@pytest.mark.parametrize("name", ORDERED)
def test_ordered_samples_keep_their_inputs(name: str, batch_size: int | None) -> None:
    x, proto = inputs(8), network(name)
    report = reluflow.analyze(proto, x, options=AnalysisOptions(batch_size=batch_size))
    site, bits = report.sites[0], pre_activations(x) > 0
    assert site.positions == STEPS and report.global_pattern.available and not report.notes
    for top in site.top:
        shown = bits[top.first_sample, top.first_position]
        assert "".join("01"[int(bit)] for bit in shown) == top.bits
    found = reluflow.find_pattern(proto, x, site.site.name, site.top[0])
    pattern = np.array([bit == "1" for bit in site.top[0].bits])
    rows, places = np.nonzero((bits == pattern).all(axis=-1))
    np.testing.assert_array_equal(found.inputs, rows)
    np.testing.assert_array_equal(found.positions, places)


LOOKUPS: dict[str, Callable[[onnx.ModelProto, np.ndarray], object]] = {
    "bits": lambda proto, x: reluflow.activation_bits(proto, x, [5, 2]),
    "bits of one": lambda proto, x: reluflow.activation_bits(proto, x, [3, 3]),
    "occurrences": lambda proto, x: reluflow.find_pattern(proto, x, site_of(proto), "0" * 32),
}


@pytest.mark.parametrize("batch", ["N", 4])
@pytest.mark.parametrize("lookup", LOOKUPS)
@pytest.mark.parametrize("name", SCATTERED)
def test_lookups_are_refused(name: str, lookup: str, batch: int | str) -> None:
    advice = "set batch_size to 1" if batch == "N" else "export it with a dynamic batch"
    with pytest.raises(ModelError, match=f"site relu_. mixes .* before the batch\\); {advice}"):
        LOOKUPS[lookup](network(name, batch), inputs(8))


@pytest.mark.parametrize("name", SCATTERED)
def test_a_fixed_batch_is_seen_through(name: str) -> None:
    report = reluflow.analyze(network(name, 4), inputs(8))
    assert report.sites[0].positions is None and not report.global_pattern.available


def test_what_was_found_out_survives_a_resume(tmp_path: Path) -> None:
    model, x = load(network("time first")), inputs(8)
    options = AnalysisOptions(batch_size=STEPS)

    def pipeline() -> Pipeline:
        source = open_data(x, model.inputs)
        return Pipeline(model, source, options, tmp_path / "spill", tmp_path / "work")

    whole = pipeline()
    whole.run()
    again = pipeline()
    again.run(resume=True)
    assert again.sites[0].scattered and again.sample.scattered == {0}


def test_small_models_stay_ordered() -> None:
    for proto, shape in (
        (small_models.dense(), (9, 4)),
        (small_models.convolutional(), (9, 2, 5, 5)),
    ):
        report = reluflow.analyze(proto, small_models.integers(shape))
        assert not report.notes and all(site.positions for site in report.sites)
