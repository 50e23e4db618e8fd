"""`convert` with tuning: closer to the float model; wrong combinations are refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import reluflow
from reluflow.errors import OptionError
from reluflow.evaluation import TuningOptions, options_of
from reluflow.graph import PsbOptions, find_psb, load
from reluflow.sessions import open_session

MODELS = Path(__file__).parents[3] / "models"
IMAGES = np.load(MODELS / "fashion_mnist_test_2000.npz")["image"]


def error(model: Any, exact: Any) -> float:
    feeds = {exact.inputs[0].name: IMAGES[500:700]}
    want = open_session(exact).run(feeds)[0]
    found = open_session(model).run(feeds)[0]
    return float(np.square(found - want).mean())


@pytest.mark.parametrize("name", ["fashion_resnet8", "fashion_dsconv"])
@pytest.mark.parametrize("x_bits", [16, "auto"])
def test_a_tuned_conversion_is_closer_on_other_images(name: str, x_bits: Any) -> None:
    model = load(MODELS / f"{name}.onnx")
    given: dict[str, Any] = {"calibration": IMAGES[:24], "x_bits": x_bits, "check": False}
    plain = reluflow.convert(model, **given)
    tuned = reluflow.convert(model, **given, tune=["usual"])
    assert plain.tuned is None and tuned.tuned is not None and tuned.tuned.n_inputs == 24
    assert tuned.sentences()[0].startswith("Weights and biases of ")
    assert error(tuned.result.model, model) < 0.5 * error(plain.result.model, model)
    before, after = find_psb(plain.result.model), find_psb(tuned.result.model)
    assert [node.name for node in before] == [node.name for node in after]


def test_it_is_proven_like_any_other() -> None:
    made = reluflow.convert(
        MODELS / "fashion_resnet8.onnx", calibration=IMAGES[:12], tune=["equalise", "bias"]
    )
    assert made.rewrites.holds and made.operators.holds


@pytest.mark.parametrize(
    ("options", "calibration", "told"),
    [
        ({}, None, "tune is bias, which works on data; give calibration=DATA, or leave it out"),
        ({"prune": 0.5}, IMAGES, "tune is bias, but prune=0.5 would change the weights"),
        (
            {"per_tensor": True},
            IMAGES,
            "tune is bias, but per_tensor=True would change the weights",
        ),
    ],
)
def test_what_does_not_go_together_is_refused(
    options: dict[str, Any], calibration: Any, told: str
) -> None:
    with pytest.raises(OptionError, match=told):
        reluflow.convert(
            MODELS / "fashion_resnet8.onnx",
            options=PsbOptions(**options),
            calibration=calibration,
            tune=["bias"],
        )


@pytest.mark.parametrize("steps", [["usual", "all"], [""], ["Bias"]])
def test_names_of_steps_are_checked(steps: list[str]) -> None:
    with pytest.raises(OptionError, match=r"tune names '.*'; accepted are equalise, follow"):
        options_of(steps, 4)


def test_each_name_stands_for_its_step() -> None:
    usual = TuningOptions(p_bits=3, exclude=("a",))
    assert options_of(["usual"], 3, ["a"]) == usual
    assert options_of(["bias", "follow", "feedback"], 3, ["a"]) == usual
    only = options_of(["equalise"], 3)
    assert only.equalise and not (only.feedback or only.follow or only.correct_bias)
