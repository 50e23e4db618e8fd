"""What an evaluation compares with, in Python."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import small_models

import reluflow
from reluflow.errors import DataError, ModelError, OptionError
from reluflow.evaluation import choose_answers, load_metric
from reluflow.evaluation.answers.own_metric import file_of_metric

LABELS = np.arange(50) % 3


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    onnx.save(small_models.dense(), tmp_path / "m.onnx")
    x = small_models.integers((50, 4)).astype(np.float32)
    np.savez(tmp_path / "d.npz", x=x, label=LABELS, other=LABELS[::-1])
    np.savez(tmp_path / "bare.npz", x=x)
    np.save(tmp_path / "x.npy", x)
    np.save(tmp_path / "y.npy", LABELS)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("labels", "data", "name", "found"),
    [
        (LABELS, "x.npy", None, LABELS),
        (LABELS.tolist(), "d.npz", None, LABELS),
        (None, "d.npz", None, LABELS),
        (None, Path("d.npz"), "other", LABELS[::-1]),
        ("d.npz", "x.npy", None, LABELS),
        ("y.npy", "d.npz", None, LABELS),
        (None, "x.npy", None, None),
        (None, "bare.npz", None, None),
        (None, {"x": np.zeros((50, 4))}, None, None),
    ],
)
def test_the_answers_that_are_there_are_taken(
    folder: Path, labels: Any, data: Any, name: str | None, found: Any
) -> None:
    answers, note = choose_answers(labels, data, name, limit=20)
    if found is None:
        assert answers is None and note is not None and "answers of the float model" in note
    else:
        assert note is None
        np.testing.assert_array_equal(answers, found[:20])


@pytest.mark.parametrize(
    ("labels", "data"),
    [(None, "x.npy"), ("y.npy", "d.npz"), (LABELS, "d.npz"), (None, np.zeros((50, 4), "f4"))],
)
def test_a_name_without_an_archive_is_refused(folder: Path, labels: Any, data: Any) -> None:
    with pytest.raises(OptionError, match=r"does nothing without an \.npz"):
        choose_answers(labels, data, "other")
    with pytest.raises(OptionError, match="label_name is given, but does nothing"):
        reluflow.evaluate("m.onnx", data, labels, label_name="other")
    given = LABELS if labels is None else labels
    with pytest.raises(OptionError, match="label_name is given, but does nothing"):
        reluflow.sensitivity("m.onnx", "x.npy", given, label_name="other")


def test_there_must_be_something_to_judge_by(folder: Path) -> None:
    for data, words in (("x.npy", "no labels are given"), ("bare.npz", "holds no array 'label'")):
        with pytest.raises(OptionError, match=f"{words}.*give float_model, labels or label_name"):
            choose_answers(None, data, has_float=False)
    with pytest.raises(DataError, match="holds no array 'none' but"):
        choose_answers(None, "d.npz", "none", has_float=False)
    with pytest.raises(OptionError, match="labels are missing; give the right answers"):
        reluflow.sensitivity("m.onnx", "x.npy")


def test_a_metric_is_loaded_by_its_place(folder: Path) -> None:
    (folder / "mine.py").write_text("x = 1\ndef one(outputs, labels):\n    return 1.0\n")
    loaded = load_metric("mine.py:one")
    assert callable(loaded) and loaded(np.zeros(1), np.zeros(1)) == 1.0
    assert load_metric(loaded) is loaded and load_metric(None) is None
    assert load_metric("iou") == "iou"
    for wanted, words in (
        ("f1", "metric is 'f1'; give one of accuracy, iou"),
        ("mine.py:none", r"cannot be loaded \(AttributeError"),
        ("gone.py:one", r"cannot be loaded \(FileNotFoundError"),
        ("mine.py:x", "which is no function"),
    ):
        with pytest.raises(OptionError, match=words):
            load_metric(wanted)


def test_the_file_of_a_metric_is_kept(folder: Path) -> None:
    (folder / "psb.json").write_text("def one(outputs, labels):\n    return 1.0\n")
    space: dict[str, Any] = {}
    exec(compile((folder / "psb.json").read_text(), "psb.json", "exec"), space)
    assert file_of_metric(space["one"]) == "psb.json" and file_of_metric(np.vdot) is None
    with pytest.raises(reluflow.ReluflowError, match=r"would replace .psb\.json"):
        reluflow.evaluate("m.onnx", "d.npz", None, ".", metric=space["one"])


def test_the_demo_needs_its_files(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"which lacks fashion_resnet8\.onnx and fashion_mnist"):
        reluflow.demo(models=tmp_path)


def test_threads_of_torch_are_given_back(folder: Path) -> None:
    import torch

    before = torch.get_num_threads()
    reluflow.sensitivity("m.onnx", "d.npz", rates=[0.1, 1.0], batch_size=50, threads=before + 1)
    assert torch.get_num_threads() == before


def test_the_float_model_is_one(folder: Path) -> None:
    reluflow.convert("m.onnx", "p.onnx")
    for model in ("m.onnx", "p.onnx"):
        with pytest.raises(OptionError, match=r"float_model is 'p\.onnx', which is converted"):
            reluflow.evaluate(model, "d.npz", float_model="p.onnx")


def _fails(outputs: Any, labels: Any) -> float:
    raise KeyError("no such thing")


@pytest.mark.parametrize(
    ("metric", "words"),
    [
        (_fails, r"metric '_fails' fails on outputs \[50, 3\] and labels \[50\] \(KeyError: "),
        (lambda outputs, labels: "a", r"metric 'metric' fails .*\(ValueError: could not convert"),
        (lambda outputs, labels: outputs, r"metric 'metric' fails .*\(TypeError: only "),
    ],
)
def test_a_metric_that_fails_is_told_as_that(folder: Path, metric: Any, words: str) -> None:
    with pytest.raises(OptionError, match=words):
        reluflow.evaluate("m.onnx", "d.npz", metric=metric)


@pytest.mark.parametrize("seed", [-1, 0.5, None])
def test_a_seed_is_a_whole_number(seed: Any) -> None:
    with pytest.raises(OptionError, match=f"seed is {seed}; give a whole number of at least 0"):
        reluflow.PsbOptions(seed=seed)


def test_rates_are_finite() -> None:
    from reluflow.temperature import default_rates

    for high in (np.inf, np.nan):
        with pytest.raises(OptionError, match="below the last, which is finite"):
            default_rates(3, 1.0, high)
