"""Weights made for the samples that a budget gives each layer: hardly any is drawn at it."""

from pathlib import Path

import numpy as np
import pytest

from reluflow.data import open_data
from reluflow.errors import OptionError
from reluflow.evaluation import allocate, tune_for_budget
from reluflow.evaluation.run import Runner
from reluflow.graph import Model, find_psb, load, to_psb
from reluflow.sessions import has_library, open_session

ROOT = Path(__file__).resolve().parents[3]
IMAGES = np.load(ROOT / "models" / "fashion_mnist_test_2000.npz")["image"]
pytestmark = pytest.mark.skipif(not has_library(), reason="many draws take the native library")


@pytest.fixture(scope="module")
def net() -> Model:
    return load(ROOT / "models" / "fashion_resnet8.onnx")


def error(model: Model, net: Model, samples: int, seed: int = 0) -> float:
    x = IMAGES[1000:1200]
    exact = open_session(net).run({"image": x})[0].astype(np.float64)
    session, extra = Runner(model, None, None).at(samples, seed)
    found = session.run({"image": x, **extra})[0]
    return float(np.sum((found - exact) ** 2) / np.sum(exact**2))


@pytest.mark.parametrize("budget", [2, 4])
def test_runs_hardly_differ_and_are_closer_than_draws(net: Model, budget: int) -> None:
    source = open_data(IMAGES[:48], net.inputs)
    found = tune_for_budget(net, source, budget)
    nodes = find_psb(found.model)
    assert found.mean <= budget
    assert [node.samples(found.samples) for node in nodes] == [n.samples for n in found.nodes]
    assert min(node.samples for node in found.nodes) >= 2
    tuned = error(found.model, net, found.samples)
    assert tuned == pytest.approx(error(found.model, net, found.samples, seed=9), rel=0.01)
    assert tuned == pytest.approx(error(found.model, net, 0), rel=0.01)
    plain = to_psb(net).model
    drawn = allocate(plain, open_data(IMAGES[:48], plain.inputs[:1]), budget)
    assert tuned < 0.5 * error(drawn.model, net, drawn.samples)
    assert tuned < 0.5 * error(plain, net, budget)


def test_a_budget_that_no_code_fits_is_refused(net: Model) -> None:
    with pytest.raises(OptionError, match=r"budget is 1\.5; give a number from 2 to 64"):
        tune_for_budget(net, open_data(IMAGES[:4], net.inputs), 1.5)


@pytest.mark.parametrize("fewest", [0, 3, 4])
def test_another_least_number_is_refused(net: Model, fewest: int) -> None:
    plain = to_psb(net).model
    with pytest.raises(OptionError, match="fewest is"):
        allocate(plain, open_data(IMAGES[:4], plain.inputs[:1]), 4, fewest=fewest)
