"""The division of bits keeps to both limits, and is the best of all or close to it."""

from itertools import product

import numpy as np
import pytest

from reluflow.evaluation.tuning.divide_bits import divide_bits

LEVELS = np.array([3, 4, 6])


def problem(seed: int, layers: int) -> tuple[np.ndarray, np.ndarray]:
    """Return errors that fall by 4 with each bit, and the prices of bytes and samples."""
    rng = np.random.default_rng(seed)
    errors = 10 ** rng.uniform(-6, 0, (layers, 1)) * 4.0**-LEVELS
    weights, products = (10 ** rng.uniform(0, 4, layers) for _ in range(2))
    stored = np.outer(weights, 5 + LEVELS) / (weights.sum() * 9)
    drawn = np.outer(products, 2.0**LEVELS) / (products.sum() * 16)
    return errors, np.stack([stored, drawn], axis=2)


def total(errors: np.ndarray, chosen: tuple[int, ...]) -> float:
    return float(errors[np.arange(len(errors)), list(chosen)].sum())


def spent(prices: np.ndarray, chosen: tuple[int, ...]) -> float:
    """Return what is spent of the tighter limit."""
    return float(prices[np.arange(len(prices)), list(chosen)].sum(axis=0).max())


@pytest.mark.parametrize("seed", range(12))
def test_it_is_close_to_the_best_of_all(seed: int) -> None:
    errors, prices = problem(seed, 7)
    chosen = divide_bits(errors, prices)
    every = [each for each in product(range(3), repeat=7) if spent(prices, each) <= 1 + 1e-9]
    assert chosen in every
    best = min(total(errors, each) for each in every)
    assert best <= total(errors, chosen) <= 1.3 * best


@pytest.mark.parametrize("layers", [1, 2, 40])
@pytest.mark.parametrize("seed", range(4))
def test_equal_bits_are_never_better(layers: int, seed: int) -> None:
    errors, prices = problem(seed, layers)
    chosen = divide_bits(errors, prices)
    assert spent(prices, chosen) <= 1 + 1e-9
    assert total(errors, chosen) <= total(errors, (1,) * layers) * (1 + 1e-12)


def test_no_error_leaves_the_cheapest() -> None:
    _, prices = problem(0, 5)
    assert divide_bits(np.zeros((5, 3)), prices) == (0,) * 5


def test_what_is_free_gets_the_most() -> None:
    errors, prices = problem(1, 3)
    assert divide_bits(errors, prices * 1e-6) == (2, 2, 2)
