import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from reluflow.errors import OptionError
from reluflow.psb import magnitude_mask

WEIGHTS = arrays(np.float32, array_shapes(max_side=6), elements=st.integers(-4, 4).map(float))


def brute_force(flat: np.ndarray, share: float) -> list[bool]:
    order = sorted(range(flat.size), key=lambda i: (abs(float(flat[i])), i))
    removed = set(order[: round(share * flat.size)])
    return [i not in removed for i in range(flat.size)]


@given(st.lists(WEIGHTS, max_size=4), st.floats(0, 1, exclude_max=True))
def test_the_smallest_are_marked_the_first_ones_among_equals(arrays_, share: float) -> None:
    masks = magnitude_mask(arrays_, share)
    assert [m.shape for m in masks] == [a.shape for a in arrays_]
    for mask, array in zip(masks, arrays_, strict=True):
        assert mask.reshape(-1).tolist() == brute_force(array.reshape(-1), share)
    together = magnitude_mask(arrays_, share, scope="global")
    assert [m.shape for m in together] == [a.shape for a in arrays_]
    if arrays_:
        joined = np.concatenate([m.reshape(-1) for m in together])
        flat = np.concatenate([a.reshape(-1) for a in arrays_])
        assert joined.tolist() == brute_force(flat, share)


def test_global_pruning_takes_from_the_array_of_small_weights() -> None:
    big, small = np.full((2, 2), 9.0), np.array([0.1, -0.2, 0.3, -0.4])
    masks = magnitude_mask([big, small], 0.5, scope="global")
    assert masks[0].all() and not masks[1].any()


@pytest.mark.parametrize(
    ("arrays_", "share", "scope", "message"),
    [
        ([np.ones(2)], 1.0, "tensor", "share=1.0 is out of range: give a fraction"),
        ([np.ones(2)], -0.1, "tensor", "share=-0.1 is out of range"),
        ([np.ones(2)], 0.5, "layer", "scope='layer' is not known"),
        ([np.array([np.nan])], 0.5, "tensor", "arrays hold NaN weights"),
    ],
)
def test_bad_options_are_refused(arrays_, share: float, scope: str, message: str) -> None:
    with pytest.raises(OptionError, match=message):
        magnitude_mask(arrays_, share, scope)
