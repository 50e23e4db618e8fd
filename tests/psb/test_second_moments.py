"""Moments of a layer's inputs equal those of all its patches, for every placement of windows."""

from typing import Any

import numpy as np
import pytest

from reluflow.psb._window import place_window, take_patches
from reluflow.psb.second_moments import InputMoments

WINDOWS: dict[str, tuple[tuple[int, ...], tuple[int, ...], dict[str, Any]]] = {
    "plain": ((6, 4, 3, 3), (9, 8), {}),
    "strides, pads": ((6, 4, 3, 2), (9, 8), {"strides": [2, 1], "pads": [1, 0, 2, 1]}),
    "dilations": ((6, 4, 2, 3), (9, 8), {"dilations": [3, 2]}),
    "groups": ((6, 2, 3, 3), (7, 7), {"group": 2, "pads": [1, 1, 1, 1]}),
    "depthwise": ((4, 1, 3, 3), (7, 7), {"group": 4, "strides": [2, 2]}),
    "automatic": ((6, 4, 3, 3), (9, 8), {"auto_pad": "SAME_UPPER", "strides": [2, 2]}),
    "one axis": ((6, 4, 5), (11,), {"pads": [2, 2]}),
    "pixels left out": ((6, 4, 1, 1), (9, 8), {"strides": [3, 3]}),
}


def patches(x: np.ndarray, shape: tuple[int, ...], window: dict[str, Any]) -> np.ndarray:
    """Return all rows, `(groups, K, rows)`."""
    given = {key: value for key, value in window.items() if key != "group"}
    place = place_window(x.shape[2:], shape[2:], **given)
    all_ = take_patches(x, place).swapaxes(0, 1)
    moved = all_.transpose(0, 2, 1, 3).reshape(x.shape[1], all_.shape[2], -1)
    return moved.reshape(window.get("group", 1), int(np.prod(shape[1:])), -1)


@pytest.mark.parametrize("name", WINDOWS)
@pytest.mark.parametrize("centred", [False, True])
def test_all_moments_are_those_of_all_patches(name: str, centred: bool) -> None:
    shape, size, window = WINDOWS[name]
    rng = np.random.default_rng(1)
    channels = shape[1] * window.get("group", 1)
    exact, x = rng.normal(1, 1, (2, 5, channels, *size)).astype(np.float32)
    a, b = patches(exact, shape, window), patches(x, shape, window)
    rows = a.shape[2]
    out = place_window(size, shape[2:], **{k: v for k, v in window.items() if k != "group"}).output
    beside = rng.normal(1, 1, (5, shape[0], *out)).astype(np.float32)
    r = beside.swapaxes(0, 1).reshape(len(a), -1, rows)
    found = InputMoments(shape, window, rows=10**6, seed=0)
    for start, stop in ((0, 2), (2, 5)):
        found.add(exact[start:stop], x[start:stop], beside[start:stop])
    assert found.n_rows == rows and found.has_products
    np.testing.assert_allclose(found.mean, b.mean(2), rtol=1e-5)
    np.testing.assert_allclose(found.exact_mean, a.mean(2), rtol=1e-5)
    np.testing.assert_allclose(found.beside_mean, r.mean(2), rtol=1e-5, atol=1e-7)
    if centred:
        a, b, r = (each - each.mean(2, keepdims=True) for each in (a, b, r))
    turned = b.transpose(0, 2, 1) / rows
    for moment, left in ((found.second, b), (found.cross, a), (found.beside, r)):
        np.testing.assert_allclose(moment(centred=centred), left @ turned, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("shape", [(5, 7), (2, 3, 7), (1, 7)])
def test_a_matrix_takes_rows_of_any_number_of_axes(shape: tuple[int, ...]) -> None:
    rng = np.random.default_rng(2)
    exact, x = rng.normal(size=(2, *shape)).astype(np.float32)
    beside = rng.normal(size=(*shape[:-1], 3)).astype(np.float32)
    found = InputMoments((3, 7), None, rows=100, seed=0)
    found.add(exact, x, beside)
    rows = x.reshape(-1, 7).astype(np.float64)
    np.testing.assert_allclose(found.second(centred=False)[0], rows.T @ rows / len(rows), rtol=1e-4)
    left = beside.reshape(-1, 3).T.astype(np.float64)
    np.testing.assert_allclose(found.beside(centred=False)[0], left @ rows / len(rows), rtol=1e-4)


def test_a_choice_of_rows_is_made_by_the_seed_and_means_are_of_all() -> None:
    rng = np.random.default_rng(3)
    x = rng.normal(size=(2, 4, 30, 30)).astype(np.float32)
    made = []
    for seed in (0, 0, 1):
        found = InputMoments((8, 4, 3, 3), {}, rows=50, seed=seed)
        found.add(x, x)
        assert found.n_rows == 100
        np.testing.assert_allclose(found.mean, patches(x, (8, 4, 3, 3), {}).mean(2), rtol=1e-4)
        made.append(found.second(centred=False))
    np.testing.assert_array_equal(made[0], made[1])
    assert not np.array_equal(made[0], made[2])
    assert np.abs(made[0] - made[2]).max() < 1


def test_without_products_only_means_are_kept() -> None:
    x = np.ones((2, 4), np.float32)
    found = InputMoments((3, 4), None, rows=9, seed=0, products=False)
    found.add(x, 2 * x, np.ones((2, 3), np.float32))
    assert not found.has_products and found.n_rows == 2
    assert found.mean.tolist() == [[2.0] * 4] and found.beside_mean.tolist() == [[1.0] * 3]
