import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reluflow.errors import DataError
from reluflow.temperature import distance, temperature


@given(st.lists(st.booleans(), min_size=1, max_size=200), st.integers(0, 1))
def test_distance_is_the_share_of_changed_samples(changed: list[bool], lane: int) -> None:
    before = np.random.default_rng(0).integers(0, 2**63, (len(changed), 2), np.uint64)
    after = before.copy()
    after[:, lane] ^= np.array(changed, np.uint64)
    assert distance(before, after) == sum(changed) / len(changed)


def test_temperature_has_base_two_as_in_the_caption_of_figure_3_22() -> None:
    assert temperature(0.89, 10**6).bits == pytest.approx(3.17, abs=0.02)


@pytest.mark.parametrize(("share", "bits"), [(0.0, 0.0), (0.5, 1.0), (0.75, 2.0)])
def test_temperature_of_simple_shares(share: float, bits: float) -> None:
    found = temperature(share, 100)
    assert (found.bits, found.saturated) == (bits, False)
    assert math.copysign(1, found.bits) == 1


def test_temperature_saturates_at_the_number_of_samples() -> None:
    found = temperature(1.0, 4096)
    assert (found.bits, found.saturated) == (12.0, True)


def test_bad_distances_are_refused() -> None:
    with pytest.raises(DataError, match=r"distance is 1.5 over 3 samples"):
        temperature(1.5, 3)
    with pytest.raises(DataError, match=r"shapes \(1, 2\) and \(2, 2\)"):
        distance(np.zeros((1, 2), np.uint64), np.zeros((2, 2), np.uint64))
    with pytest.raises(DataError, match="at least one"):
        distance(np.zeros((0, 2), np.uint64), np.zeros((0, 2), np.uint64))
