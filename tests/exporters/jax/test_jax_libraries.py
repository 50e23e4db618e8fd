"""Flax linen and Equinox end to end: trained on digits, exported, analysed, compared, converted."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

jax = pytest.importorskip("jax")
optax = pytest.importorskip("optax")
linen = pytest.importorskip("flax.linen")
equinox = pytest.importorskip("equinox")
pytest.importorskip("jax2onnx")
datasets = pytest.importorskip("sklearn.datasets")
jnp = jax.numpy
reluflow_jax = pytest.importorskip("reluflow_jax")

import reluflow  # noqa: E402

pytestmark = [
    pytest.mark.slow,  # jax2onnx takes ten seconds to import
    pytest.mark.filterwarnings("ignore::reluflow.temperature.CoolingWarning"),
    pytest.mark.filterwarnings("ignore:Explicitly requested dtype float64"),  # in jax2onnx
    pytest.mark.filterwarnings("ignore:.*value. access is now deprecated"),  # there too
]
BATCH, STEPS, TRAINED = 64, 120, 1280
ROUNDING = 1e-5


def data() -> tuple[Any, Any]:
    images, labels = datasets.load_digits(return_X_y=True)
    return (images / 16.0).astype(np.float32).reshape(-1, 8, 8, 1), labels


class Linen(linen.Module):  # type: ignore[name-defined, misc, unused-ignore]
    """A convolution and two dense layers."""

    def setup(self) -> None:
        self.conv, self.dense, self.last = linen.Conv(8, (3, 3)), linen.Dense(32), linen.Dense(10)

    def __call__(self, x: Any) -> Any:
        x = linen.relu(self.conv(x))
        return self.last(linen.relu(self.dense(x.reshape(x.shape[0], -1))))


class Equinox(equinox.Module):  # type: ignore[name-defined, misc, unused-ignore]
    """The same, for one image whose channels are first."""

    conv: Any
    dense: Any
    last: Any

    def __init__(self, key: Any) -> None:
        keys = jax.random.split(key, 3)
        self.conv = equinox.nn.Conv2d(1, 8, 3, padding=1, key=keys[0])
        self.dense = equinox.nn.Linear(512, 32, key=keys[1])
        self.last = equinox.nn.Linear(32, 10, key=keys[2])

    def __call__(self, x: Any) -> Any:
        x = jax.nn.relu(self.conv(x))
        return self.last(jax.nn.relu(self.dense(x.reshape(-1))))


def linen_parts(images: Any) -> tuple[Any, Any, Callable[..., Any], Callable[..., Any]]:
    """Return images, weights, the function of both, and what exports weights."""
    model, first = Linen(), images[:BATCH]
    weights = model.init(jax.random.key(0), first)

    def save(weights: Any, path: Path) -> None:
        reluflow_jax.export(model, path, first, variables=weights)

    return images, weights, model.apply, save


def equinox_parts(images: Any) -> tuple[Any, Any, Callable[..., Any], Callable[..., Any]]:
    """As `linen_parts`."""
    images = images.transpose(0, 3, 1, 2)
    weights, static = equinox.partition(Equinox(jax.random.key(0)), equinox.is_inexact_array)

    def forward(weights: Any, x: Any) -> Any:
        return jax.vmap(equinox.combine(weights, static))(x)

    def save(weights: Any, path: Path) -> None:
        reluflow_jax.export(equinox.combine(weights, static), path, images[:BATCH])

    return images, weights, forward, save


@pytest.mark.parametrize("parts", [linen_parts, equinox_parts])
def test_a_training_on_digits_end_to_end(parts: Callable[..., Any], tmp_path: Path) -> None:
    images, labels = data()
    images, weights, forward, save = parts(images)
    cool = reluflow_jax.ActCool(forward, weights, images[:BATCH], total_steps=STEPS)
    optimizer = cool.wrap(optax.adam(1.0))
    state = optimizer.init(weights)

    def take(weights: Any, state: Any, x: Any, y: Any) -> Any:
        def loss(weights: Any) -> Any:
            outputs = forward(weights, x)
            return optax.softmax_cross_entropy_with_integer_labels(outputs, y).mean()

        gradients = jax.grad(loss)(weights)
        changes, state = optimizer.update(gradients, state, weights, inputs=(x,))
        return optax.apply_updates(weights, changes), state

    train = cool.jit(take)
    checkpoints: list[Any] = []
    paths = [tmp_path / "before.onnx", tmp_path / "after.onnx"]
    for step in range(STEPS):
        start = BATCH * step % TRAINED
        batch = images[start : start + BATCH], labels[start : start + BATCH]
        weights, state = train(weights, state, *batch)
        if step in (STEPS - 12, STEPS - 1):
            save(weights, paths[len(checkpoints)])
            checkpoints.append(weights)
    assert cool.controller(state).n_probes > 5
    told = np.asarray(forward(weights, images[TRAINED:])).argmax(1)
    assert (told == labels[TRAINED:]).mean() > 0.85

    report = reluflow.analyze(paths[1], images[:300], tmp_path / "report")
    assert [site.site.units for site in report.sites] == [8, 32]

    # Where no pre-activation lies within rounding of 0 all counts are equal, whoever adds it up.
    before, after = checkpoints
    clear = np.full(300, True)
    for each in checkpoints:
        for values in reluflow_jax.taps(forward)(each, images[:300])[1].values():
            nearest = np.abs(np.asarray(values)).min(1).reshape(300, -1).min(1)
            clear &= nearest > ROUNDING
    x = images[:300][clear]
    assert len(x) > 200
    found = reluflow_jax.distance(forward, before, after, x)
    meter = reluflow.StepMeter(paths[0])
    start_weights, end_weights = meter.file_weights, reluflow.StepMeter(paths[1]).file_weights
    wanted = meter.distance(start_weights, end_weights, x)
    counts = [(site.changed, site.samples) for site in wanted.sites]
    assert [(site.changed, site.samples) for site in found.sites] == counts
    assert all(changed > 0 for changed, _ in counts)
    between = reluflow.compare(paths[0], paths[1], x)
    assert [site.distance for site in between.sites] == [site.distance for site in found.sites]

    part = 1e-2  # of the way, so that its difference through ONNX is of first order
    near = {
        name: value + np.float32(part) * (end_weights[name] - value)
        for name, value in start_weights.items()
    }
    through = meter.curves(start_weights, near, x, rate=part)
    direction = jax.tree.map(lambda a, b: b - a, before, after)
    curves = reluflow_jax.crossing_curves(forward, before, direction, x)
    for one, other in zip(curves.values(), through.values(), strict=True):
        assert (one.samples, one.units) == (other.samples, other.units)
        for bits in (0.25, 0.5, 1.0, 2.0):
            assert one.rate(bits) == pytest.approx(other.rate(bits), rel=0.01)

    psb = reluflow.convert(paths[1])
    exact = reluflow.evaluate(
        psb.model,
        images[TRAINED:],
        labels[TRAINED:],
        float_model=paths[1],
        options=reluflow.EvaluationOptions(samples=(16,), seeds=1),
    )
    assert exact.float_value is not None and exact.float_value > 0.85
    assert exact.points[0].mean > exact.float_value - 0.03
