"""The benchmark of flips: its measures by hand, and a short run of each kind."""

from __future__ import annotations

import numpy as np
import pytest
from training.odd_batches import flips


@pytest.mark.parametrize(
    ("values", "share"), [([4, 3, 2, 1], 1.0), ([1, 2, 3, 4], 0.0), ([3, 1, 2, 0], 0.75)]
)
def test_separation_is_the_share_of_ordered_pairs(values: list[int], share: float) -> None:
    wrong = np.array([True, True, False, False])
    assert flips.separation(np.array(values, np.float64), wrong) == share


@pytest.mark.parametrize(
    ("b", "r"), [([1, 4, 9, 16], 1.0), ([4, 3, 2, 1], -1.0), ([1, 3, 2, 4], 0.8)]
)
def test_agreement_is_that_of_ranks(b: list[int], r: float) -> None:
    a = np.array([1.0, 2.0, 3.0, 4.0])
    assert flips.agreement(a, np.array(b, np.float64)) == pytest.approx(r)


def test_a_large_batch_is_found_and_a_run_of_samples_measured(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(flips, "N_ODD_STEPS", 42)
    monkeypatch.setattr(flips, "ODD_STEP", 40)
    monkeypatch.setattr(flips, "EPOCHS", 1)
    found = flips.strikes("F1", "30 times as large", seed=0)
    assert found["found"] and found["ratio"] > 2
    row = flips.samples("F1 + BN", seed=0)
    assert set(row) == {"halves", "spread", "flips", "loss"}
    assert all(0 < row[name] < 1 for name in ("flips", "loss"))
