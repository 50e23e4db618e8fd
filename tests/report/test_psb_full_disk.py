"""An evaluation is written completely or not at all."""

import resource
from pathlib import Path

import pytest
from evaluation_models import one_value

from reluflow.data import open_data
from reluflow.errors import OutputError
from reluflow.evaluation import EvaluationOptions, evaluate
from reluflow.graph import load, to_psb
from reluflow.report import write_evaluation


@pytest.fixture(scope="module")
def result():
    case = one_value(noise=0.3)
    model = load(case.proto)
    data = open_data({"x": case.x}, model.inputs)
    options = EvaluationOptions(samples=(1, 4), seeds=1, threads=1)
    return evaluate(to_psb(model).model, data, case.labels, float_model=model, options=options)


@pytest.fixture(params=[10, 8_000])
def small_files(request):
    """No file may grow beyond so many bytes: none of an evaluation, or the JSON alone."""
    former = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (request.param, former[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, former)


def test_nothing_of_it_is_left(result, small_files, tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="cannot be written"):
        write_evaluation(result, tmp_path / "new")
    assert not (tmp_path / "new").exists()


def test_a_former_one_stays_as_it_was(result, small_files, tmp_path: Path) -> None:
    (tmp_path / "psb.json").write_text("old")
    with pytest.raises(OutputError, match="cannot be written"):
        write_evaluation(result, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["psb.json"]
    assert (tmp_path / "psb.json").read_text() == "old"


def test_all_three_files_are_written(result, tmp_path: Path) -> None:
    written = write_evaluation(result, tmp_path / "new")
    assert sorted(path.name for path in written) == sorted(
        path.name for path in (tmp_path / "new").iterdir()
    )
