import math
from typing import Any

import numpy as np
import pytest
import small_models

import reluflow
from reluflow.analysis import AnalysisOptions
from reluflow.errors import ModelError


def test_a_model_against_itself_changes_nothing() -> None:
    x = small_models.integers((50, 2, 5, 5))
    report = reluflow.compare(small_models.convolutional(), small_models.convolutional(), x)
    assert report.mean_distance == 0
    for site in report.sites:
        assert (site.distance, site.temperature, site.jaccard) == (0, 0, 1)
        assert (site.born, site.died, site.net_change, site.saturated) == (0, 0, 0, False)


def test_distance_and_sets_equal_brute_force() -> None:
    first, second = small_models.dense(0), small_models.dense(0, shift=1)
    x = small_models.integers((80, 4))
    report = reluflow.compare(first, second, x)
    weights = {
        t.name: np.frombuffer(t.raw_data, "f4").reshape(t.dims) for t in first.graph.initializer
    }
    pre = x @ weights["w0"] + weights["b0"]
    before, after = pre > 0, pre + 1 > 0
    share = float((before != after).any(1).mean())
    sets = {row.tobytes() for row in before}, {row.tobytes() for row in after}
    site = report.sites[0]
    assert site.distance == share
    assert site.temperature == pytest.approx(-math.log2(1 - share))
    assert site.patterns == (len(sets[0]), len(sets[1]))
    assert site.born == len(sets[1] - sets[0]) / len(sets[0])
    assert site.died == len(sets[0] - sets[1]) / len(sets[0])
    assert report.mean_distance == np.mean([each.distance for each in report.sites])


def test_a_saturated_temperature_is_a_lower_bound() -> None:
    report = reluflow.compare(
        small_models.dense(0), small_models.dense(0, shift=1000), small_models.integers((64, 4))
    )
    assert report.sites[0].saturated
    assert report.sites[0].temperature == 6


def test_different_networks_are_refused() -> None:
    x = small_models.integers((8, 4))
    with pytest.raises(ModelError, match=r"site relu0 \(Relu, 6 units\) stands against relu0"):
        reluflow.compare(small_models.dense(), small_models.dense(units=9), x)


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({}, {"kind": "random-words-128", "seed": AnalysisOptions().seed}),
        ({"seed": 7}, {"kind": "random-words-128", "seed": 7}),
        ({"hash": "thesis-64"}, {"kind": "thesis-64", "table_size": AnalysisOptions().table_size}),
    ],
)
def test_hash_and_seed_are_recorded(settings: dict[str, Any], expected: dict[str, Any]) -> None:
    model, x = small_models.dense(), small_models.integers((8, 4))
    report = reluflow.compare(model, model, x, options=AnalysisOptions(**settings))
    assert report.hash == expected
    assert report.to_dict()["hash"] == expected


def test_nan_is_told_of_either_model() -> None:
    x = small_models.integers((8, 4)).astype(np.float32)
    x[2, 1] = np.nan
    report = reluflow.compare(small_models.dense(), small_models.dense(1), x)
    for which in ("first", "second"):
        assert any(f"pre-activations of the {which} model were NaN" in n for n in report.notes)
