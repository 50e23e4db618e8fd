"""The division of a budget is the best of all that keep to it."""

from itertools import product

import numpy as np
import pytest

from reluflow.evaluation.budget.divide import divide_budget

LEVELS = (1, 2, 4, 8, 16)


def least(errors: np.ndarray, costs: np.ndarray, budget: float) -> float:
    """Return the least sum of errors within the budget, of all choices."""
    room = budget * costs.sum() + 1e-9
    sums = [
        sum(errors[row, level] for row, level in enumerate(chosen))
        for chosen in product(range(len(LEVELS)), repeat=len(costs))
        if sum(cost * LEVELS[level] for cost, level in zip(costs, chosen, strict=True)) <= room
    ]
    return float(min(sums))


def falling(rng: np.random.Generator, operators: int) -> np.ndarray:
    """Return errors that fall with the number of samples, as those of draws."""
    return rng.exponential(size=(operators, 1)) / np.square(LEVELS)


def arbitrary(rng: np.random.Generator, operators: int) -> np.ndarray:
    """Return errors in no order: nearest mode is not monotonous."""
    return rng.exponential(size=(operators, len(LEVELS)))


@pytest.mark.parametrize("budget", [1.0, 2.0, 3.5, 4.0, 9.0, 16.0])
@pytest.mark.parametrize("kind", [falling, arbitrary])
@pytest.mark.parametrize("seed", range(4))
def test_it_is_that_of_all_choices_tried(kind, budget: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    errors, costs = kind(rng, 5), rng.integers(1, 200, 5)
    chosen = divide_budget(errors, costs, LEVELS, budget)
    assert sum(c * LEVELS[k] for c, k in zip(costs, chosen, strict=True)) <= budget * costs.sum()
    found = sum(errors[row, level] for row, level in enumerate(chosen))
    assert found == pytest.approx(least(errors, costs, budget))


@pytest.mark.parametrize("seed", range(4))
def test_large_costs_without_a_common_divisor_keep_to_the_budget(seed: int) -> None:
    rng = np.random.default_rng(seed)
    errors, costs = falling(rng, 5), rng.integers(10**8, 10**10, 5)
    chosen = divide_budget(errors, costs, LEVELS, 4.0)
    assert sum(int(c) * LEVELS[k] for c, k in zip(costs, chosen, strict=True)) <= 4 * costs.sum()
    found = sum(errors[row, level] for row, level in enumerate(chosen))
    # a part in 32,768 of the budget per operator is rounded away
    assert found <= least(errors, costs, 4.0 * (1 - 5 / 32768)) * (1 + 1e-9)


@pytest.mark.parametrize("budget", [1, 2, 4, 8])
@pytest.mark.parametrize("seed", range(4))
def test_it_is_never_worse_than_equal_numbers(budget: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    errors, costs = arbitrary(rng, 4), rng.integers(10**8, 10**10, 4)
    errors[:, LEVELS.index(budget)] *= 0.01
    chosen = divide_budget(errors, costs, LEVELS, budget)
    found = sum(errors[row, level] for row, level in enumerate(chosen))
    assert found <= errors[:, LEVELS.index(budget)].sum()


def test_what_costs_nothing_gets_the_least_error() -> None:
    errors = np.array([[3.0, 2.0, 1.0, 0.5, 0.1], [1.0, 0.0, 0.0, 0.0, 0.0]])
    assert divide_budget(errors, np.array([0, 7]), LEVELS, 1.0) == (4, 0)


def test_of_equal_errors_the_cheapest_is_taken() -> None:
    errors = np.zeros((3, 5))
    assert divide_budget(errors, np.array([5, 6, 7]), LEVELS, 16.0) == (0, 0, 0)


def test_many_operators_are_divided_among() -> None:
    rng = np.random.default_rng(3)
    errors, costs = falling(rng, 300), rng.integers(10**5, 10**8, 300)
    chosen = divide_budget(errors, costs, LEVELS, 4.0)
    spent = sum(int(c) * LEVELS[k] for c, k in zip(costs, chosen, strict=True))
    assert 3.9 * costs.sum() < spent <= 4 * costs.sum()
    uniform = errors[:, 2].sum()
    assert sum(errors[row, level] for row, level in enumerate(chosen)) < uniform
