"""The damping is chosen on inputs that were held out: few inputs are not fitted too closely."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from rewriting import SHAPE, every_layer

from reluflow.data import open_data
from reluflow.errors import OptionError
from reluflow.evaluation import TuningOptions, tune
from reluflow.evaluation.tuning.held_out import Dampings, choose_dampings, fit_to_outputs
from reluflow.graph import Model
from reluflow.psb.second_moments import InputMoments
from reluflow.sessions import open_session

K = 24


def moments(
    n: int, noise: float, seed: int, gain: float = 1.0
) -> tuple[InputMoments, InputMoments]:
    """Return moments of n rows each, seen and unseen: z, and x = z / gain with noise."""
    rng = np.random.default_rng(seed)
    parts = []
    for _ in range(2):
        part = InputMoments((4, K), None, rows=n, seed=0)
        z = rng.normal(size=(n, K)).astype(np.float32)
        x = z / gain + noise * rng.normal(size=z.shape).astype(np.float32)
        part.add(z, x.astype(np.float32))
        parts.append(part)
    return parts[0], parts[1]


def rows() -> NDArray[np.float64]:
    return np.random.default_rng(5).normal(size=(1, 4, K))


@pytest.mark.parametrize("seed", range(3))
def test_many_rows_are_trusted_and_few_are_not(seed: int) -> None:
    many = choose_dampings(rows(), *moments(4000, 0.1, seed, gain=2), 4, centred=True)
    few = choose_dampings(rows(), *moments(K + 2, 1.0, seed), 4, centred=True)
    assert many.follow < few.follow
    assert few.follow >= 1


@pytest.mark.parametrize("noise", [0.1, 0.5, 2.0])
def test_the_choice_is_no_worse_on_other_rows(noise: float) -> None:
    known, unseen = moments(30, noise, 7)
    other, _ = moments(4000, noise, 8)
    w = rows()
    chosen = choose_dampings(w, known, unseen, 4, centred=False).follow

    def error(damping: float) -> float:
        v = fit_to_outputs(w, known, damping, centred=False)
        wanted = w @ other.cross(centred=False)
        return float(np.vdot(v @ other.second(centred=False), v) - 2 * np.vdot(wanted, v))

    assert error(chosen) <= error(0.01)


def test_nothing_held_out_leaves_the_usual_damping() -> None:
    known, _ = moments(30, 0.1, 0)
    empty = InputMoments((4, K), None, rows=9, seed=0)
    assert choose_dampings(rows(), known, empty, 4, centred=True) == Dampings()


@pytest.mark.parametrize("n", [3, 10])
def test_what_was_held_out_is_used_in_the_end(n: int) -> None:
    rng = np.random.default_rng(1)
    parts = [rng.normal(size=(n, K)).astype(np.float32) for _ in range(2)]
    first, both = (InputMoments((4, K), None, rows=n, seed=0) for _ in range(2))
    second = InputMoments((4, K), None, rows=n, seed=0)
    first.add(parts[0], parts[0])
    second.add(parts[1], parts[1])
    for part in parts:
        both.add(part, part)
    first.include(second)
    assert first.n_rows == both.n_rows == 2 * n
    np.testing.assert_allclose(first.mean, both.mean)
    np.testing.assert_allclose(first.second(centred=True), both.second(centred=True))


def _error(model: Model, exact: Model, x: NDArray[np.float32]) -> float:
    want, found = (open_session(each).run({"x": x})[0] for each in (exact, model))
    return float(np.square(found - want).mean())


@pytest.mark.parametrize("p_bits", [1, 2, 4])
def test_few_inputs_tune_better_with_a_chosen_damping(p_bits: int) -> None:
    net = every_layer()
    rng = np.random.default_rng(3)
    x = rng.gamma(1, 1, (9, *SHAPE)).astype(np.float32)
    other = rng.gamma(1, 1, (64, *SHAPE)).astype(np.float32)
    source = open_data(x, net.inputs)
    given = tune(net, source, TuningOptions(p_bits=p_bits)).model
    chosen = tune(net, source, TuningOptions(p_bits=p_bits, damping=None)).model
    assert _error(chosen, net, other) < _error(given, net, other)


@pytest.mark.parametrize("damping", [0.0, -1.0, 1.5])
def test_a_damping_that_is_none_is_refused(damping: float) -> None:
    with pytest.raises(OptionError, match="give a share above 0, up to 1, or None"):
        TuningOptions(damping=damping)
