import numpy as np
import pytest

from reluflow.errors import OptionError
from reluflow.temperature import check_theorem_1

FALSE_ALARM_RATE = 1e-3


@pytest.mark.parametrize(
    ("units", "fan_in", "weight_std", "gradient_std"),
    [(1, 64, 1.0, 1.0), (16, 32, 0.1, 3.0), (64, 16, 1.0, 0.2)],
)
def test_random_layers_change_as_theorem_1_says(
    units: int, fan_in: int, weight_std: float, gradient_std: float
) -> None:
    """Over seeds, each case fails by chance once in a thousand times at most."""
    scale = weight_std / gradient_std / units
    check = check_theorem_1(
        units,
        fan_in,
        np.array([0.3, 1.0, 3.0, 10.0]) * scale,
        weight_std=weight_std,
        gradient_std=gradient_std,
        samples=2000,
        seed=20,
    )
    assert check.p_value > FALSE_ALARM_RATE
    assert np.all(np.abs(check.measured - check.predicted) < 0.05)


def test_the_check_finds_a_wrong_width() -> None:
    right = check_theorem_1(16, 16, [0.1], seed=1)
    wrong = check_theorem_1(20, 16, [0.1], seed=1)
    assert abs(wrong.measured[0] - right.predicted[0]) > 5 * np.sqrt(0.25 / 2000)


def test_no_step_changes_nothing() -> None:
    check = check_theorem_1(4, 4, 0.0, samples=10)
    assert check.measured.tolist() == check.predicted.tolist() == [0.0] and check.p_value == 1


def test_bad_layers_are_refused() -> None:
    with pytest.raises(OptionError, match="units is 0; give a whole number from 1 on"):
        check_theorem_1(0, 4, 1.0)
    with pytest.raises(OptionError, match=r"gradient_std is 0.0; give a number above 0"):
        check_theorem_1(4, 4, 1.0, gradient_std=0.0)
