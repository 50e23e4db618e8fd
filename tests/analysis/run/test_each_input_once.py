"""Sampled inputs run once, and the sample is the same whichever graph counts the others."""

from collections import Counter
from pathlib import Path

import numpy as np
import onnx
import pytest
import small_models

import reluflow
from reluflow import AnalysisOptions
from reluflow.analysis import Pipeline
from reluflow.analysis.run.input_sample import SAMPLE_INPUTS
from reluflow.data import open_data
from reluflow.graph import load
from reluflow.sessions import Session

MODELS = Path(__file__).resolve().parents[3] / "models"
TRIED = 8  # the first inputs are run alone and among others


def marked(n: int, shape: tuple[int, ...]) -> np.ndarray:
    """Return inputs whose first element is their number."""
    x = small_models.integers((n, *shape)).astype(np.float32)
    x.reshape(n, -1)[:, 0] = np.arange(n)
    return x


@pytest.fixture
def runs(monkeypatch: pytest.MonkeyPatch) -> list[tuple[bool, list[int]]]:
    """Record for every real run whether it showed hashes, and which inputs it had."""
    noted: list[tuple[bool, list[int]]] = []
    run = Session.run

    def noting(self: Session, feeds: dict[str, np.ndarray], **settings: bool) -> object:
        numbers = [int(row.flat[0]) for row in next(iter(feeds.values()))]
        noted.append((any("_keys/" in name for name in self.outputs), numbers))
        return run(self, feeds, **settings)

    monkeypatch.setattr(Session, "run", noting)
    return noted


CASES: dict[str, tuple[onnx.ModelProto, tuple[int, ...]]] = {
    "dense": (small_models.dense(), (4,)),
    "convolutional": (small_models.convolutional(), (2, 5, 5)),
    "free sizes": (small_models.convolutional(size="S"), (2, 9, 9)),
}


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("n", [40, SAMPLE_INPUTS, 1500])
@pytest.mark.parametrize("name", CASES)
def test_no_input_runs_twice(
    runs: list[tuple[bool, list[int]]], name: str, n: int, stream: bool
) -> None:
    proto, shape = CASES[name]
    x = marked(n, shape)
    data = (row[None] for row in x) if stream else x
    options = AnalysisOptions(native=True, top=0, batch_size=4)
    report = reluflow.analyze(proto, data, options=options)
    assert report.sites[0].graded is not None
    assert report.sites[0].graded.sampled_inputs == min(n, SAMPLE_INPUTS)
    times = Counter(number for _, rows in runs for number in rows)
    first = TRIED
    assert {times[number] for number in range(first, n)} == {1}
    hashed = [number for hashes, rows in runs if hashes for number in rows]
    assert bool(hashed) == (n > SAMPLE_INPUTS)
    assert len(hashed) <= max(0, n - SAMPLE_INPUTS)


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("batch_size", [4, 64])
@pytest.mark.parametrize("name", CASES)
def test_reports_are_the_same_with_sampling(name: str, batch_size: int, stream: bool) -> None:
    proto, shape = CASES[name]
    x = small_models.integers((1500, *shape)).astype(np.float32)
    x[700].flat[0] = np.nan
    found = []
    for native in (True, False):
        data = (row[None] for row in x) if stream else x
        options = AnalysisOptions(native=native, batch_size=batch_size)
        labels = np.arange(len(x)) % 3
        report = reluflow.analyze(proto, data, options=options, labels=labels)
        found.append({k: v for k, v in report.to_dict().items() if k != "run"})
    assert found[0] == found[1]
    assert found[0]["sites"][0]["graded"]["classes"] is not None


@pytest.mark.parametrize("limit", [300, 900])
def test_reports_of_the_shipped_network_are_the_same(limit: int) -> None:
    with np.load(MODELS / "fashion_mnist_test_2000.npz") as images:
        x = images["image"][:limit]
    found = []
    for native in (True, False):
        options = AnalysisOptions(native=native, batch_size=8)
        report = reluflow.analyze(MODELS / "fashion_resnet8.onnx", x, options=options)
        found.append({k: v for k, v in report.to_dict().items() if k != "run"})
    assert found[0] == found[1]


def test_no_graph_that_hashes_is_opened_in_vain(tmp_path: Path) -> None:
    model = load(small_models.dense())
    for n, opened in ((500, False), (1500, True)):
        source = open_data(marked(n, (4,)), model.inputs)
        options = AnalysisOptions(native=True, batch_size=4)
        pipeline = Pipeline(model, source, options, tmp_path / str(n))
        pipeline.run()
        assert ("_hashing" in vars(pipeline.sessions)) == opened
