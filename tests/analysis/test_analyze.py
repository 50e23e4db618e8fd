import math
from collections import Counter
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest
import small_models
from onnx import TensorProto, helper

import reluflow
from reluflow import AnalysisOptions, PatternReport
from reluflow.errors import DataError, ModelError, OptionError


def pre_activations(proto: onnx.ModelProto, names: list[str], x: np.ndarray) -> list[np.ndarray]:
    copy = onnx.ModelProto()
    copy.CopyFrom(proto)
    del copy.graph.output[:]
    copy.graph.output.extend(helper.make_empty_tensor_value_info(n) for n in names)
    session = ort.InferenceSession(copy.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(names, {"x": x})


def patterns(x: np.ndarray) -> list[bytes]:
    return [row.tobytes() for row in np.moveaxis(x, 1, -1).reshape(-1, x.shape[1]) > 0]


def entropy(counts: Counter[bytes]) -> float:
    total = sum(counts.values())
    return -math.fsum(c / total * math.log2(c / total) for c in counts.values())


@pytest.mark.parametrize(
    ("proto", "names", "shape"),
    [
        (small_models.dense(), ["pre0", "pre1"], (200, 4)),
        (small_models.convolutional(), ["pre0", "pre1"], (30, 2, 5, 5)),
    ],
    ids=["dense", "convolutional"],
)
@pytest.mark.parametrize("batch_size", [1, 7, 64])
def test_the_report_equals_a_dictionary_of_patterns(
    proto: onnx.ModelProto, names: list[str], shape: tuple[int, ...], batch_size: int
) -> None:
    x = small_models.integers(shape)
    report = reluflow.analyze(proto, x, options=AnalysisOptions(batch_size=batch_size))
    assert report.n_inputs == len(x)
    for site, values in zip(report.sites, pre_activations(proto, names, x), strict=True):
        counts = Counter(patterns(values))
        active = (np.moveaxis(values, 1, 0).reshape(values.shape[1], -1) > 0).sum(1)
        assert site.site.tensor in names
        assert site.samples == sum(counts.values())
        assert site.patterns == len(counts)
        assert site.entropy_bits == pytest.approx(entropy(counts), abs=1e-12)
        assert site.most_frequent_fraction == max(counts.values()) / site.samples
        assert site.unit_active_counts == tuple(active)
        assert site.dead_units == (active == 0).sum()
        assert site.always_on_units == (active == site.samples).sum()
        assert site.positions == site.samples // len(x)
        commonest = sorted(counts.values(), reverse=True)[: len(site.top)]
        assert [top.count for top in site.top] == commonest


def test_the_top_patterns_show_their_bits_and_where_they_came_first() -> None:
    proto, x = small_models.convolutional(), small_models.integers((12, 2, 5, 5))
    report = reluflow.analyze(proto, x, options=AnalysisOptions(batch_size=5))
    (values,) = pre_activations(proto, ["pre0"], x)
    flat = np.moveaxis(values, 1, -1).reshape(len(x), -1, values.shape[1]) > 0
    rows = ["".join("01"[int(bit)] for bit in row) for image in flat for row in image]
    for top in report.sites[0].top:
        assert rows.count(top.bits) == top.count
        assert top.first_sample is not None and top.first_position is not None
        assert rows.index(top.bits) == top.first_sample * 25 + top.first_position


def test_the_global_pattern_joins_all_sites() -> None:
    proto = small_models.dense()
    x = np.repeat(small_models.integers((40, 4)), 3, axis=0)
    report = reluflow.analyze(proto, x)
    both = np.hstack(pre_activations(proto, ["pre0", "pre1"], x)) > 0
    counts = Counter(row.tobytes() for row in both)
    assert report.global_pattern.available
    assert report.global_pattern.samples == 120
    assert report.global_pattern.patterns == len(counts)
    assert report.global_pattern.entropy_bits == pytest.approx(entropy(counts), abs=1e-12)


def without_run(report: PatternReport) -> dict[str, object]:
    return {k: v for k, v in report.to_dict().items() if k != "run"}


@pytest.mark.parametrize("threads", [1, 2])
def test_threads_do_not_change_the_result(threads: int) -> None:
    proto, x = small_models.convolutional(), small_models.integers((30, 2, 5, 5))
    reference = reluflow.analyze(proto, x, options=AnalysisOptions(threads=1, batch_size=4))
    other = reluflow.analyze(proto, x, options=AnalysisOptions(threads=threads, batch_size=4))
    assert without_run(reference) == without_run(other)


def test_counts_that_spill_to_disk_stay_exact(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    proto = small_models.dense(units=40, features=16)
    x = rng.integers(-9, 10, (60_000, 16)).astype(np.float32)
    ample = reluflow.analyze(proto, x)
    options = AnalysisOptions(memory_limit_bytes=2**20)
    said: list[str] = []
    tight = reluflow.analyze(
        proto, x, tmp_path / "r", options=options, progress=lambda stage, *_: said.append(stage)
    )
    assert tight.sites[0].spilled_bytes > 0
    assert any("disk" in note for note in tight.notes)
    assert any("spill" in text for text in said)
    for a, b in zip(ample.sites, tight.sites, strict=True):
        assert (a.patterns, a.entropy_bits, a.top) == (b.patterns, b.entropy_bits, b.top)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["r"]


def test_the_thesis_hash_counts_in_a_table_of_fixed_size() -> None:
    proto, x = small_models.dense(units=40, features=16), small_models.integers((3000, 16))
    exact = reluflow.analyze(proto, x)
    options = AnalysisOptions(hash="thesis-64", table_size=500)
    report = reluflow.analyze(proto, x, options=options)
    assert report.hash == {"kind": "thesis-64", "table_size": 500}
    assert report.sites[0].patterns <= 500 < exact.sites[0].patterns
    assert report.sites[0].table_load == report.sites[0].patterns / 500
    assert report.sites[0].unit_active_counts == exact.sites[0].unit_active_counts


def test_non_finite_values_are_counted_and_reported() -> None:
    x = small_models.integers((10, 4))
    x[3, 0], x[5, 1] = np.nan, np.inf
    report = reluflow.analyze(small_models.dense(), x)
    assert report.sites[0].nonfinite > 0
    assert "NaN or infinite, first at site relu0" in report.notes[0]


def branching() -> onnx.ModelProto:
    def branch(name: str, node: onnx.NodeProto) -> onnx.GraphProto:
        value = helper.make_tensor_value_info(node.output[0], TensorProto.FLOAT, ["N", 3])
        return helper.make_graph([node], name, [], [value])

    nodes = [
        helper.make_node("Relu", ["x"], ["a"], name="always"),
        helper.make_node("ReduceSum", ["x"], ["s"], keepdims=0),
        helper.make_node("Greater", ["s", "zero"], ["c"]),
        helper.make_node(
            "If",
            ["c"],
            ["y"],
            name="choice",
            then_branch=branch("t", helper.make_node("Relu", ["a"], ["ty"], name="then")),
            else_branch=branch("e", helper.make_node("Neg", ["a"], ["ey"])),
        ),
    ]
    return small_models.model(nodes, {"zero": np.zeros((), "f4")}, {"x": ["N", 3]}, {"y": ["N", 3]})


def test_a_branch_that_never_ran_is_told_apart() -> None:
    report = reluflow.analyze(branching(), -np.ones((4, 3), np.float32))
    assert [each.site.name for each in report.sites] == ["always"]
    assert report.skipped[0].untappable == "it never ran on these data"
    assert not report.global_pattern.available
    ran = reluflow.analyze(branching(), np.ones((4, 3), np.float32))
    assert len(ran.sites) == 2


def test_inputs_of_different_sizes_have_no_global_pattern() -> None:
    proto = small_models.convolutional(size="S")
    batches = [small_models.integers((2, 2, size, size), size) for size in (5, 7)]
    report = reluflow.analyze(proto, batches)
    assert report.sites[0].samples == 2 * 25 + 2 * 49
    assert report.sites[0].positions is None
    assert not report.global_pattern.available
    assert "differ in how many patterns" in report.global_pattern.reason


def test_a_model_without_a_switch_says_so() -> None:
    proto = small_models.model(
        [helper.make_node("Neg", ["x"], ["y"])], {}, {"x": ["N", 3]}, {"y": ["N", 3]}
    )
    with pytest.raises(ModelError, match=r"no switch .* nothing to analyse"):
        reluflow.analyze(proto, np.ones((2, 3), np.float32))


def test_a_fixed_batch_size_is_kept() -> None:
    proto = small_models.dense()
    proto.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 4
    report = reluflow.analyze(proto, small_models.integers((20, 4)))
    assert report.run.batch_size == 4
    assert all(top.bits for top in report.sites[0].top)
    with pytest.raises(OptionError, match=r"batch_size is 3, .* batches of 4"):
        reluflow.analyze(
            proto, small_models.integers((20, 4)), options=AnalysisOptions(batch_size=3)
        )
    with pytest.raises(DataError, match="10"):
        reluflow.analyze(proto, small_models.integers((10, 4)))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"batch_size": 0}, "batch_size is 0; give a whole number from 1 on"),
        ({"threads": -1}, "threads is -1"),
        ({"top": -1}, "top is -1"),
        ({"seed": -1}, "seed is -1"),
        ({"hash": "md5"}, "hash is 'md5'; accepted are"),
        ({"checkpoint_seconds": float("nan")}, "checkpoint_seconds is nan"),
    ],
)
def test_options_outside_their_range_are_refused(settings: dict[str, object], message: str) -> None:
    with pytest.raises(OptionError, match=message):
        AnalysisOptions(**settings)  # type: ignore[arg-type]


def test_resume_wants_an_output_directory() -> None:
    with pytest.raises(OptionError, match="resume is set without an output directory"):
        reluflow.analyze(small_models.dense(), small_models.integers((4, 4)), resume=True)
