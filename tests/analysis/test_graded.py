"""Graded measures of whole analyses: exact, seeded, and the same after an interruption."""

from pathlib import Path

import numpy as np
import onnx
import pytest
import small_models
from onnx import parser

import reluflow
from reluflow import AnalysisOptions
from reluflow.analysis import Pipeline, summarize
from reluflow.analysis.run.input_sample import InputSample
from reluflow.data import open_data
from reluflow.errors import DataError, OutputError
from reluflow.graph import find_sites, load, tap
from reluflow.report import read_json, to_json, write_html

MODELS = Path(__file__).resolve().parents[2] / "models"
X = small_models.integers((700, 4))
LABELS = (X[:, 0] > 0).astype(np.int64)


def pre(proto: onnx.ModelProto, x: np.ndarray) -> list[np.ndarray]:
    model = load(proto)
    tapped = tap(model, find_sites(model))
    session = reluflow.sessions.open_session(tapped.model, outputs=[t.output for t in tapped.done])
    return session.run({"x": x})


@pytest.mark.parametrize("native", [True, False])
@pytest.mark.parametrize("batch_size", [1, 64, 700])
def test_measures_of_a_dense_network(native: bool, batch_size: int) -> None:
    proto = small_models.dense(units=20)
    options = AnalysisOptions(native=native, batch_size=batch_size)
    report = reluflow.analyze(proto, X, options=options, labels=LABELS)
    for site, values in zip(report.sites, pre(proto, X), strict=True):
        graded, active = site.graded, values > 0
        assert graded is not None and graded.classes is not None
        p = active.mean(axis=0)
        assert graded.pair_distance == pytest.approx(np.mean(2 * p * (1 - p)) * 700 / 699)
        assert (graded.sampled_inputs, graded.sampled_positions) == (512, 1)
        assert graded.input_distance == pytest.approx(graded.pair_distance, abs=0.01)
        assert graded.classes.within_distance < graded.classes.between_distance
        assert graded.effective_low_bits <= graded.effective_bits <= graded.effective_high_bits
    assert report.labels == "labels given"


def test_all_inputs_are_sampled_where_they_are_few() -> None:
    proto = small_models.convolutional()
    x = small_models.integers((90, 2, 5, 5))
    report = reluflow.analyze(proto, x)
    for site, values in zip(report.sites, pre(proto, x), strict=True):
        flat = (values > 0).reshape(90, -1)
        pairs = [np.mean(a != b) for i, a in enumerate(flat) for b in flat[:i]]
        assert site.graded is not None
        assert site.graded.sampled_positions == site.positions
        assert site.graded.input_distance == pytest.approx(np.mean(pairs), abs=1e-12)


@pytest.mark.parametrize("native", [True, False])
def test_the_sample_does_not_depend_on_batches_or_on_knowing_the_number(native: bool) -> None:
    proto = small_models.dense(units=9)
    x = small_models.integers((1500, 4), seed=2)
    found = [
        reluflow.analyze(proto, data, options=AnalysisOptions(native=native, batch_size=size))
        for data, size in ((x, 1), (x, 100), ([x[:700], x[700:]], 33))
    ]
    graded = [[site.graded for site in report.sites] for report in found]
    assert graded[0] == graded[1] == graded[2]
    other = reluflow.analyze(proto, x, options=AnalysisOptions(seed=5))
    assert [s.graded.input_distance for s in other.sites if s.graded] != [
        g.input_distance for g in graded[0] if g
    ]


def pipeline(tmp_path: Path, folder: str) -> Pipeline:
    model = load(small_models.convolutional(size="S"))
    source = open_data(small_models.integers((1100, 2, 5, 5)), model.inputs)
    options = AnalysisOptions(batch_size=50)
    return Pipeline(model, source, options, tmp_path / "spill", tmp_path / folder)


def test_a_resumed_run_has_the_same_sample(tmp_path: Path) -> None:
    whole = pipeline(tmp_path, "whole")
    whole.run()
    first = pipeline(tmp_path, "cut")
    first.run(until=450)
    second = pipeline(tmp_path, "cut")
    second.run(resume=True)
    assert second.done == whole.done == 1100
    reports = [summarize(each).report.sites for each in (whole, second)]
    assert reports[0] == reports[1]
    assert reports[0][0].graded is not None and reports[0][0].graded.sampled_inputs == 512
    (sample,) = (tmp_path / "cut").glob("generation-*/table-003/sample.npz")
    sample.write_bytes(b"PK")
    with pytest.raises(OutputError, match="has no readable sample of inputs"):
        pipeline(tmp_path, "cut").run(resume=True)


def sample_of(n: int, size: int, known: bool) -> InputSample:
    model = load(small_models.dense())
    taps = tap(model, find_sites(model)).done
    sample = InputSample(taps, 1, n if known else None, size)
    for first in range(0, n, 7):
        count = min(7, n - first)
        rows = sample.wanted(first, count)
        values = np.arange(first, first + count)[:, None] % np.arange(2, 8) - 0.5
        outputs = {each.output: values.astype(np.float32) for each in taps}
        if rows:
            sample.put([first + row for row in rows], rows, count, outputs)
    return sample


@pytest.mark.parametrize("known", [True, False])
def test_the_sample_is_even_and_bounded(known: bool) -> None:
    sample = sample_of(3000, 100, known)
    assert len(sample.inputs) == 100
    assert sample.inputs == sample_of(3000, 100, not known).inputs
    assert 1100 < np.mean(sample.inputs) < 1900
    bits, positions = sample.bits(0) or (None, 0)
    assert positions == 1 and bits is not None
    wanted = np.array(sample.inputs)[:, None] % np.arange(2, 8) > 0.5
    assert np.array_equal(bits, wanted)
    assert sample_of(50, 100, known).inputs == list(range(50))
    assert sample_of(50, 0, known).inputs == []


def test_inputs_of_several_sizes_have_no_sample() -> None:
    proto = small_models.convolutional(size="S")
    items = [small_models.integers((3, 2, side, side)) for side in (5, 6, 7)]
    report = reluflow.analyze(proto, items)
    for site in report.sites:
        assert site.graded is not None
        assert site.graded.sampled_inputs == 0 and site.graded.input_distance is None
        assert site.graded.pair_distance > 0


def test_positions_are_bounded_at_wide_sites() -> None:
    proto = parser.parse_model("""<ir_version: 8, opset_import: ["" : 17]>
        g (float[N,2048,3,5] x) => (float[N,2048,3,5] y) { y = Relu(x) }""")
    x = np.random.default_rng(0).standard_normal((20, 2048, 3, 5)).astype("f4")
    (site,) = reluflow.analyze(proto, x).sites
    assert site.graded is not None
    assert (site.graded.sampled_inputs, site.graded.sampled_positions) == (20, 8)


@pytest.mark.parametrize("kind", ["dense", "convolutional"])
def test_flips_between_checkpoints_are_exact(kind: str) -> None:
    make = getattr(small_models, kind)
    x = X if kind == "dense" else small_models.integers((60, 2, 5, 5))
    one, two = make(seed=0), make(seed=1)
    report = reluflow.compare(one, two, x, options=AnalysisOptions(batch_size=13))
    for site, a, b in zip(report.sites, pre(one, x), pre(two, x), strict=True):
        flips = np.moveaxis((a > 0) != (b > 0), 1, 0).reshape(a.shape[1], -1).sum(axis=1)
        assert site.unit_flip_counts == tuple(flips)
        assert site.flip_fraction == pytest.approx(flips.sum() / a.size)
        assert site.flipped_units == np.count_nonzero(flips)
        assert site.pair_distance is not None and site.effective_bits is not None
    same = reluflow.compare(one, one, x)
    assert all(s.flip_fraction == 0 and s.flipped_units == 0 for s in same.sites)


def test_labels_of_every_kind(tmp_path: Path) -> None:
    proto = small_models.dense()
    np.savez(tmp_path / "both.npz", x=X, label=LABELS)
    np.savez(tmp_path / "odd.npz", x=X, label=X)
    np.save(tmp_path / "y.npy", LABELS)
    given = reluflow.analyze(proto, X, labels=LABELS.astype(np.uint8))
    for data, labels in ((tmp_path / "both.npz", None), (X, tmp_path / "y.npy")):
        report = reluflow.analyze(proto, data, labels=labels)
        assert report.labels
        assert [s.graded for s in report.sites] == [s.graded for s in given.sites]
    assert reluflow.analyze(proto, tmp_path / "odd.npz").labels == ""
    with pytest.raises(DataError, match=r"labels are float32 \[700, 4\]; give one whole number"):
        reluflow.analyze(proto, X, labels=X)
    with pytest.raises(DataError, match="labels are 9, but the data have 700 inputs"):
        reluflow.analyze(proto, X, labels=LABELS[:9])
    with pytest.raises(DataError, match=r"labels are \[9\], but 700 inputs were analysed"):
        reluflow.analyze(proto, [X], labels=LABELS[:9])


def test_the_page_shows_graded_measures_first_where_others_saturate(tmp_path: Path) -> None:
    wide = small_models.dense(units=64)
    x = np.random.default_rng(0).standard_normal((300, 4)).astype("f4")
    x = np.concatenate([x, np.float32(0) + x[:, ::-1]])
    proto = parser.parse_model("""<ir_version: 8, opset_import: ["" : 17]>
        g (float[N,40] x) => (float[N,40] y) { y = Relu(x) }""")
    full = reluflow.analyze(proto, np.random.default_rng(0).standard_normal((300, 40)).astype("f4"))
    narrow = reluflow.analyze(small_models.dense(units=3), X, labels=LABELS)
    orders = []
    for report in (full, narrow):
        write_html(report, tmp_path / "page.html")
        page = (tmp_path / "page.html").read_text()
        orders.append(page.index("Units, groups and distances") < page.index("Whole patterns"))
        (tmp_path / "r.json").write_text(to_json(report))
        assert read_json(tmp_path / "r.json") == report
    assert orders == [True, False]
    assert "Separation of classes" in page and "Inputs of one class" in page
    changed = reluflow.compare(wide, small_models.dense(seed=1, units=64), x)
    write_html(changed, tmp_path / "page.html")
    assert "Units that flip" in (tmp_path / "page.html").read_text()
