import json
from pathlib import Path

import numpy as np
import onnx
import pytest
import small_models
from onnx import TensorProto, helper, numpy_helper
from rewriting import N, build, norm, weights

import reluflow
from reluflow.errors import DataError, ModelError, OptionError
from reluflow.graph import Model, load
from reluflow.temperature import CrossingCurve, StepDistance, StepMeter, crossing_rates, merged
from reluflow.temperature.crossing.lattice import EDGES

X = small_models.integers((40, 4), seed=5)


@pytest.fixture(scope="module")
def meter() -> StepMeter:
    return StepMeter(small_models.dense(), threads=1)


def dense_patterns(state: dict[str, np.ndarray], x: np.ndarray) -> list[np.ndarray]:
    first = x @ state["w0"] + state["b0"]
    second = np.maximum(first, 0) @ state["w1"] + state["b1"]
    return [first > 0, second > 0]


def stepped(state: dict[str, np.ndarray], seed: int = 1) -> dict[str, np.ndarray]:
    random = np.random.default_rng(seed)
    return {k: v + random.integers(-1, 2, v.shape).astype(np.float32) for k, v in state.items()}


def test_distances_are_those_of_numpy(meter: StepMeter) -> None:
    before = meter.file_weights
    after = stepped(before)
    found = meter.distance(before, after, X)
    pairs = zip(dense_patterns(before, X), dense_patterns(after, X), strict=True)
    for site, (one, other) in zip(found.sites, pairs, strict=True):
        assert site.changed == np.any(one != other, axis=1).sum() > 0
        assert (site.units, site.samples, site.nonfinite) == (6, 40, 0)
    assert found.mean_distance == pytest.approx(np.mean([s.changed / 40 for s in found.sites]))
    assert found.samples == 80
    assert meter.sites == tuple(site.name for site in found.sites) == ("relu0", "relu1")


def test_pixels_are_samples() -> None:
    meter = StepMeter(small_models.convolutional(), threads=1)
    after = stepped(meter.file_weights)
    found = meter.distance(meter.file_weights, after, small_models.integers((3, 2, 5, 5)))
    assert [(site.units, site.samples) for site in found.sites] == [(5, 75), (7, 12)]


def test_the_same_weights_change_nothing(meter: StepMeter) -> None:
    found = meter.distance(meter.file_weights, meter.file_weights, {"x": X})
    assert found.mean_distance == 0 and found.temperature.bits == 0


def test_changing_everything_is_saturated(meter: StepMeter) -> None:
    turned = {**meter.file_weights, "b0": meter.file_weights["b0"] + np.float32(1e6)}
    found = meter.distance(meter.file_weights, turned, X)
    first = found.sites[0].to_dict()
    assert first["saturated"] and first["temperature_bits"] == pytest.approx(np.log2(40))
    told = json.loads(json.dumps(found.to_dict()))
    assert told["sites"][0] == first and not told["saturated"]


def test_patterns_of_one_state_can_be_kept(meter: StepMeter) -> None:
    after = stepped(meter.file_weights)
    kept = meter.patterns(meter.file_weights, X)
    whole = meter.distance(meter.file_weights, after, X)
    assert meter.compare(kept, meter.patterns(after, X)) == whole
    with pytest.raises(DataError, match=r"shapes \[40, 6\] and \[3, 6\]; compare patterns of the"):
        meter.compare(kept, meter.patterns(after, X[:3]))


def test_two_checkpoints_are_compared_like_compare_does(tmp_path: Path) -> None:
    first, second = small_models.dense(seed=0), small_models.dense(seed=1)
    path = tmp_path / "second.onnx"
    onnx.save(second, path)
    found = StepMeter(first, threads=1).between(first, path, X)
    report = reluflow.compare(first, second, X)
    assert [site.distance for site in found.sites] == [site.distance for site in report.sites]
    assert found.mean_distance == report.mean_distance
    limited = StepMeter(first, threads=1).between(first, load(path), [X[:30], X[30:]], limit=35)
    assert {site.samples for site in limited.sites} == {35}


def test_batch_normalisation_uses_the_statistics_asked_for() -> None:
    node, tensors = norm("a", "b", 4)
    kernel = weights(4, 2, 3, 3)
    nodes = [N("Conv", ["x", "w"], ["a"]), node, N("Relu", ["b"], ["y"])]
    model = build(nodes, {"w": kernel, **tensors}, ("N", 2, 6, 6), 4)
    x = weights(9, 2, 6, 6)
    after = {**tensors, "w": (kernel + 0.3 * weights(4, 2, 3, 3)).astype(np.float32)}
    changed = {}
    for mode in (True, False):
        meter = StepMeter(model, batch_statistics=mode, threads=1)
        changed[mode] = meter.distance({"w": kernel, **tensors}, after, x).sites[0].changed
        states = [reference(x, state, mode) for state in ({"w": kernel, **tensors}, after)]
        wanted = np.any(states[0] != states[1], axis=1).sum()
        # Rounding decides the sign of a sum that is nearly 0.
        assert abs(int(wanted) - changed[mode]) <= 1
    assert changed[True] != changed[False]
    whole = StepMeter(model, threads=1).distance({"w": kernel, **tensors}, after, x)
    assert whole.sites[0].changed == changed[False]


def reference(x: np.ndarray, state: dict[str, np.ndarray], of_batch: bool) -> np.ndarray:
    """Return the patterns of Conv and batch normalisation, in float64."""
    windows = np.lib.stride_tricks.sliding_window_view(x.astype(np.float64), (3, 3), axis=(2, 3))
    a = np.einsum("nchwij,ocij->nohw", windows, state["w"].astype(np.float64))
    scale, bias, mean, variance = (state[f"bn.{part}"][:, None, None] for part in "sbmv")
    if of_batch:
        mean = a.mean((0, 2, 3), keepdims=True)
        variance = a.var((0, 2, 3), keepdims=True)
    patterns: np.ndarray = scale * (a - mean) / np.sqrt(variance + 1e-5) + bias > 0
    return patterns


def test_only_the_named_weights_are_fed() -> None:
    meter = StepMeter(small_models.dense(), names=["w1"], threads=1)
    before = meter.file_weights
    assert list(before) == ["w1"]
    found = meter.distance(before, {"w1": before["w1"] + 1, "other": X}, X)
    assert found.sites[0].changed == 0 < found.sites[1].changed
    with pytest.raises(OptionError, match="names holds 'w7'"):
        StepMeter(small_models.dense(), names=["w7"])


def test_nan_inputs_are_counted(meter: StepMeter) -> None:
    x = X.copy()
    x[3] = np.nan
    found = meter.distance(meter.file_weights, stepped(meter.file_weights), x)
    assert all(site.units and site.nonfinite == 2 * site.units for site in found.sites)
    assert all(site.nans == site.units for site in found.sites)


def test_bad_weights_are_refused(meter: StepMeter) -> None:
    good = meter.file_weights

    def measure(**changes: object) -> StepDistance:
        return meter.distance(good, {**good, **changes}, X)  # type: ignore[dict-item]

    with pytest.raises(DataError, match=r"weight 'w1' is missing; give float32 \[6, 6\], or name"):
        meter.distance({k: v for k, v in good.items() if k != "w1"}, good, X)
    with pytest.raises(DataError, match=r"weight 'w0' is float32 \[6, 4\]; the graph wants float"):
        measure(w0=good["w0"].T)
    with pytest.raises(DataError, match=r"weight 'w0' is float64 \[4, 6\]; the graph wants float"):
        measure(w0=good["w0"].astype(np.float64))
    bad = good["b0"].copy()
    bad[:2] = np.nan, np.inf
    with pytest.raises(DataError, match="weight 'b0' holds 2 values that are NaN or infinite"):
        measure(b0=bad)


def test_bad_batches_are_refused(meter: StepMeter) -> None:
    good = meter.file_weights
    with pytest.raises(DataError, match="the batch holds 'z'; the model wants 'x'"):
        meter.distance(good, good, {"z": X})
    with pytest.raises(DataError, match=r"'x' of the batch is float64 .*; the model wants float32"):
        meter.distance(good, good, X.astype(np.float64))
    with pytest.raises(DataError, match="with one sample at least"):
        meter.distance(good, good, X[:0])
    with pytest.raises(DataError, match="the model failed on inputs"):
        meter.distance(good, good, X[:, :3])


def test_bad_models_are_refused(meter: StepMeter) -> None:
    plain = build([N("Add", ["x", "b"], ["y"])], {"b": np.ones(4, np.float32)}, ("N", 4))
    with pytest.raises(ModelError, match="the model has no switch site that can be tapped"):
        StepMeter(plain)
    with pytest.raises(ModelError, match="no floating-point weights among its initializers"):
        StepMeter(build([N("Relu", ["x"], ["y"])], {}, ("N", 4)))
    node, tensors = norm("x", "a", 3)
    old = build([node, N("Relu", ["a"], ["y"])], tensors, ("N", 3, 4, 4), opset=13)
    with pytest.raises(ModelError, match="'bn' cannot use the statistics wanted: opset 13"):
        StepMeter(old, batch_statistics=True)
    other = small_models.dense()
    other.graph.initializer[0].CopyFrom(
        numpy_helper.from_array(np.ones((4, 6), np.float32), "renamed")
    )
    other.graph.node[0].input[1] = "renamed"
    with pytest.raises(ModelError, match="model '<memory>' has no weight 'w0'; export both"):
        meter.between(other, other, X)


def test_the_meter_is_at_the_top_level() -> None:
    assert reluflow.StepMeter is StepMeter


def branching(with_site_outside: bool) -> Model:
    """Return a model whose first switch is in a branch that never runs."""
    kind = helper.make_tensor_value_info("kind", TensorProto.FLOAT, ["N", 4])
    taken = N("Mul", ["a", "one"], ["out_b"])
    bodies = {
        "then_branch": ([N("Relu", ["a"], ["out_a"])], "out_a"),
        "else_branch": ([taken], "out_b"),
    }
    graphs = {}
    for name, (nodes, output) in bodies.items():
        kind.name = output
        graphs[name] = helper.make_graph(nodes, name, [], [kind])
    last = "Relu" if with_site_outside else "Neg"
    nodes = [
        N("Add", ["x", "bias"], ["a"]),
        N("If", ["on"], ["b"], **graphs),
        N(last, ["b"], ["y"], name="outside"),
    ]
    bias = np.zeros(4, np.float32)
    constants = {"bias": bias, "one": np.float32(1), "on": np.array(False)}
    return build(nodes, constants, ("N", 4))


def test_a_branch_that_did_not_run_is_left_out() -> None:
    meter = StepMeter(branching(True), threads=1)
    assert len(meter.sites) == 2
    found = meter.distance(meter.file_weights, {"bias": np.ones(4, np.float32)}, X)
    assert [site.name for site in found.sites] == ["outside"] and found.mean_distance > 0
    hidden = StepMeter(branching(False), threads=1)
    with pytest.raises(DataError, match=r"no switch site saw a sample; give data that reach one"):
        hidden.distance(hidden.file_weights, hidden.file_weights, X)


def test_curves_are_those_of_numpy(meter: StepMeter) -> None:
    before = meter.file_weights
    after = stepped(before)
    curves = meter.curves(before, after, X, rate=0.1)
    assert tuple(curves) == meter.sites
    c = X @ before["w0"] + before["b0"]
    slope = (X @ after["w0"] + after["b0"] - c) / 0.1
    wanted = CrossingCurve.of(crossing_rates(c, slope), 6)
    np.testing.assert_array_equal(curves["relu0"].counts, wanted.counts)
    assert (curves["relu1"].samples, curves["relu1"].units) == (40, 6)


def test_the_curve_of_a_first_layer_is_exact_at_any_part_of_the_step(meter: StepMeter) -> None:
    before = meter.file_weights
    after = {name: value + 0.01 * before[name][::-1] for name, value in before.items()}
    curve = meter.curves(before, after, X, rate=1.0)["relu0"]
    for rate in (2.0, 5.0, 20.0):
        there = {name: old + rate * (after[name] - old) for name, old in before.items()}
        crossed = meter.distance(before, there, X).sites[0].changed
        left = np.searchsorted(EDGES, np.log(rate))
        assert abs(curve.counts[: left + 1].sum() - crossed) <= 1


def test_curves_count_pixels_and_batches_are_added() -> None:
    meter = StepMeter(small_models.convolutional(), threads=1)
    before, after = meter.file_weights, stepped(meter.file_weights)
    x = small_models.integers((3, 2, 5, 5))
    whole = meter.curves(before, after, x, 1.0)
    assert [(curve.samples, curve.units) for curve in whole.values()] == [(75, 5), (12, 7)]
    parts = merged(meter.curves(before, after, part, 1.0) for part in (x[:1], x[1:]))
    for name, curve in whole.items():
        np.testing.assert_array_equal(parts[name].counts, curve.counts)


def test_curves_leave_out_a_branch_that_did_not_run() -> None:
    meter = StepMeter(branching(True), threads=1)
    curves = meter.curves(meter.file_weights, {"bias": np.ones(4, np.float32)}, X, 1.0)
    assert list(curves) == ["outside"] and curves["outside"].samples == 40
    hidden = StepMeter(branching(False), threads=1)
    with pytest.raises(DataError, match=r"no switch site saw a sample; give data that reach one"):
        hidden.curves(hidden.file_weights, hidden.file_weights, X, 1.0)


@pytest.mark.parametrize("rate", [0.0, -0.1, float("inf"), float("nan")])
def test_a_rate_that_makes_no_step_is_refused(meter: StepMeter, rate: float) -> None:
    with pytest.raises(OptionError, match="rate is"):
        meter.curves(meter.file_weights, meter.file_weights, X, rate)


RATES = np.geomspace(0.01, 100.0, 25)


def test_a_part_of_the_step_is_measured_beside_the_whole_or_beyond_it(meter: StepMeter) -> None:
    before = meter.file_weights
    after = {name: value + 0.2 * before[name][::-1] for name, value in before.items()}
    half = {
        name: (old + np.float32(0.5) * (after[name] - old)).astype(np.float32)
        for name, old in before.items()
    }
    whole, begun = meter.curves(before, after, X, 1.0), meter.curves(before, half, X, 0.5)
    both = meter.curves(before, after, X, 1.0, part=0.5)
    edge = int(np.searchsorted(EDGES, np.log(0.5)))
    for name, curve in both.items():
        np.testing.assert_array_equal(curve.counts[:edge], begun[name].counts[:edge])
    assert any((both[name].counts != whole[name].counts).any() for name in both)
    twice = meter.curves(before, half, X, 0.5, part=2.0)
    for name, curve in twice.items():
        assert np.allclose(curve.distance(RATES), whole[name].distance(RATES), atol=0.03)
    with pytest.raises(OptionError, match="part is 0"):
        meter.curves(before, after, X, 1.0, part=0.0)
