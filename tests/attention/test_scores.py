"""Which output of a model has the scores, and whether a softmax has been taken."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy.special import softmax

from reluflow.attention import find_scores
from reluflow.errors import DataError, OptionError

RNG = np.random.default_rng(0)
LOGITS = RNG.standard_normal((6, 4)).astype(np.float32)


@pytest.mark.parametrize(
    ("values", "maker", "probabilities", "classes"),
    [
        (LOGITS, "Gemm", False, 4),
        (LOGITS, "", False, 4),
        (LOGITS - 50, "LogSoftmax", False, 4),
        (softmax(LOGITS, axis=1), "Softmax", True, 4),
        (softmax(LOGITS, axis=1).astype(np.float16), "Cast", True, 4),
        (softmax(LOGITS, axis=1), "", True, 4),
        (LOGITS[:, :, None, None], "GlobalAveragePool", False, 4),
        (LOGITS[:, None], "Gemm", False, 4),
        (np.abs(LOGITS), "Relu", False, 4),
        (LOGITS[:, :1], "Gemm", False, 2),
        (LOGITS[:, 0], "Gemm", False, 2),
        (RNG.random((6, 1)), "Sigmoid", True, 2),
    ],
)
def test_forms(values: np.ndarray, maker: str, probabilities: bool, classes: int) -> None:
    found = find_scores({"y": values}, {"y": maker}, len(values))
    assert (found.output, found.probabilities, found.classes) == ("y", probabilities, classes)
    assert found.read(values).shape == (len(values), classes)


def test_one_logit_decides_at_zero_and_one_probability_at_a_half() -> None:
    logit = np.array([[-1.0], [2.0]])
    assert find_scores({"y": logit}, {}, 2).read(logit).argmax(1).tolist() == [0, 1]
    p = np.array([[0.2], [0.9]])
    assert find_scores({"y": p}, {"y": "Sigmoid"}, 2).read(p).argmax(1).tolist() == [0, 1]


def test_the_first_output_with_scores_is_taken() -> None:
    outputs: dict[str, Any] = {
        "class": np.zeros(6, np.int64),
        "map": np.zeros((6, 3, 5, 5), np.float32),
        "logits": LOGITS,
        "other": LOGITS,
    }
    assert find_scores(outputs, {}, 6).output == "logits"
    assert find_scores(outputs, {}, 6, "other").output == "other"


@pytest.mark.parametrize(
    ("values", "maker"),
    [
        (np.zeros((6, 3, 5, 5), np.float32), "Conv"),
        (np.zeros((6, 9, 4), np.float32), "Concat"),
        (np.zeros((6, 4), np.int64), "ArgMax"),
        (np.zeros((3, 4), np.float32), "Gemm"),
        (np.zeros((6, 0), np.float32), ""),
        (np.float32(3), "ReduceMean"),
        ([{"a": 1.0}], "ZipMap"),
        (RNG.random((6, 4)), "Sigmoid"),
    ],
)
def test_what_is_no_classifier_is_refused(values: Any, maker: str) -> None:
    with pytest.raises(DataError, match="no output has a score per class for each input, but 'y'"):
        find_scores({"y": values}, {"y": maker}, 6)


def test_an_output_that_is_not_there() -> None:
    with pytest.raises(OptionError, match="output is 'z'; the model has 'y'"):
        find_scores({"y": LOGITS}, {}, 6, "z")
