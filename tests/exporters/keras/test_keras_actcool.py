"""Keras trainings at a temperature, on the backend of KERAS_BACKEND."""

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("keras")

import keras

from reluflow.errors import DataError, ModelError, OptionError
from reluflow.patterns import read
from reluflow.temperature import CrossingOptions, PowerSchedule, curves_along, distance_of
from reluflow_keras import ActCool, PatternMonitor, Tapped
from reluflow_keras.passes import Passes, copied
from reluflow_keras.steps import StepCallback

# Of the backends, not of what is tested here.
pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
    pytest.mark.filterwarnings("ignore:.*gradient vanishes.*:UserWarning"),
]

RANDOM = np.random.default_rng(0)
X = RANDOM.normal(size=(192, 8)).astype(np.float32)
Y = ((X[:, 0] > 0) + 2 * (X[:, 1] > 0)).astype(np.int64)


def network(*, noisy: bool = True, optimizer: Any = None) -> Any:
    keras.utils.set_random_seed(0)
    layers = keras.layers
    between = [layers.Dropout(0.2), layers.BatchNormalization()] if noisy else []
    model = keras.Sequential(
        [
            keras.Input((8,)),
            layers.Dense(24, "relu", name="first"),
            *between,
            layers.Dense(12),
            layers.ReLU(),
            layers.Dense(4),
        ]
    )
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(optimizer or keras.optimizers.SGD(0.01, momentum=0.9), loss)
    return model


def fit(model: Any, *callbacks: Any, epochs: int = 4, data: Any = (X, Y), **settings: Any) -> None:
    model.fit(
        *data,
        batch_size=48,
        epochs=epochs,
        shuffle=False,
        verbose=0,
        callbacks=list(callbacks),
        **settings,
    )


class Watch(keras.callbacks.Callback):
    """Keeps the weights before and after every step."""

    def __init__(self) -> None:
        super().__init__()
        self.states: list[list[np.ndarray]] = []

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        self.states.append([np.array(weight) for weight in self.model.get_weights()])


def test_probes_see_the_steps_that_are_made() -> None:
    """Curves, norms and D are those of the weights before and after, without a framework."""
    model = network(noisy=False)
    before = [np.array(weight) for weight in model.get_weights()]
    now = CrossingOptions(warm_up_steps=0)
    cooling, watch, seen = ActCool(schedule=PowerSchedule(0.5), options=now), Watch(), []
    original = type(cooling)._probe

    def probe(self: ActCool, step: Any, controller: Any, rate: float, examples: Any) -> None:
        controller.observe = lambda curves, **norms: seen.append((curves, rate, norms))
        original(self, step, controller, rate, examples)

    cooling._probe = probe.__get__(cooling)  # type: ignore[method-assign]
    fit(model, cooling, watch, epochs=1)
    ((curves, rate, norms),) = seen
    states = []
    for w0, b0, w1, b1, *_ in (before, watch.states[0]):
        first = X[:48] @ w0 + b0
        states.append({"dense": first, "re_lu": np.maximum(first, 0) @ w1 + b1})
    assert [curve.units for curve in curves.values()] == [24, 12]
    rates = rate * np.geomspace(0.05, 20.0, 15)
    wanted = curves_along(states[0], [(rate, states[1])])
    for found, exact in zip(curves.values(), wanted.values(), strict=True):
        assert np.allclose(found.temperature(rates), exact.temperature(rates), atol=0.1)
    length = np.sqrt(sum(float((w**2).sum()) for w in before))
    step = np.sqrt(
        sum(float(((a - b) ** 2).sum()) for a, b in zip(before, watch.states[0], strict=True))
    )
    assert np.isclose(norms["weight_norm"], length, rtol=1e-5)
    assert np.isclose(norms["gradient_norm"], step / rate, rtol=1e-3)
    assert distance_of(*states).mean_distance > 0


def test_the_search_for_the_first_rate_leaves_no_trace() -> None:
    """A training whose rates are given is the same, to the bit, as the one that found them."""
    steered, watch, cooling = network(optimizer="adam"), Watch(), ActCool()
    fit(steered, cooling, watch, epochs=2)
    assert len(cooling.rates) == 8
    assert cooling.controller is not None and cooling.controller.n_measurements > 0

    class Given(keras.callbacks.Callback):
        step = 0

        def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
            self.model.optimizer.learning_rate = cooling.rates[self.step]
            self.step += 1

    plain, other = network(optimizer="adam"), Watch()
    fit(plain, Given(), other, epochs=2)
    for a, b in zip(watch.states, other.states, strict=True):
        for one, two in zip(a, b, strict=True):
            np.testing.assert_array_equal(one, two)


def test_velocities_of_sgd_follow_the_rate() -> None:
    """A step with momentum is in proportion to its rate, though Keras keeps rates in velocities."""
    steps: list[list[np.ndarray]] = []

    class Tries(StepCallback):
        seen = 0

        def take(self, step: Any) -> None:
            step.use(0.05)
            if self.seen == 3:
                step.values()  # so that the batch may be used again
                kept, before = step.copy(), copied(step.weights())
                for rate in (0.05, 0.15):
                    step.use(rate, rate / 0.05)
                    step.make()
                    after = step.weights()
                    moved = [b - a for a, b in zip(before, after, strict=True)]
                    steps.append([np.array(keras.ops.convert_to_numpy(each)) for each in moved])
                    step.restore(kept)
            step.make()
            self.seen += 1

    fit(network(noisy=False), Tries(), epochs=1)
    for one, three in zip(*steps, strict=True):
        np.testing.assert_allclose(three, 3 * one, atol=1e-5)
        assert np.abs(one).max() > 1e-3

    cooling, held = ActCool(), []

    class Look(keras.callbacks.Callback):
        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            held.append(cooling.state_dict()["velocity_rate"] / cooling.rates[-1])

    fit(network(noisy=False), cooling, Look(), epochs=4)
    assert np.abs(np.log(held)).max() <= 0.0201
    assert np.abs(np.log(np.divide(cooling.rates[1:], cooling.rates[:-1]))).max() > 0.2


def test_probes_take_parts_of_batches_once_their_curves_are_known(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sizes: list[int] = []
    before = Passes.before

    def seen(self: Passes, trained: Any, other: Any, x: Any, *args: Any) -> Any:
        sizes.append(len(x))
        return before(self, trained, other, x, *args)

    monkeypatch.setattr(Passes, "before", seen)
    cooling = ActCool(schedule=PowerSchedule(1.0))
    fit(network(), cooling, epochs=8)
    assert cooling.controller is not None and cooling.controller.n_probes > 7
    assert sizes == [48] * 5 + [32] * (cooling.controller.n_probes - 5)
    sizes.clear()
    fit(network(), ActCool(examples=None), epochs=8)
    assert set(sizes) == {48}


class OneSize(keras.Model):
    """A model for batches of 48."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.last = keras.layers.Dense(8, "relu"), keras.layers.Dense(4)

    def call(self, x: Any) -> Any:
        scales = np.linspace(0.5, 1.5, 48, dtype=np.float32)[:, None]  # TensorFlow skips a reshape
        return self.last(self.first(x * keras.ops.convert_to_tensor(scales)))


def test_a_model_that_takes_one_batch_size_is_probed_whole() -> None:
    model, cooling = OneSize(), ActCool()
    model.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    with pytest.warns(RuntimeWarning, match="model 'one_size.*' does not run on a part of a batch"):
        fit(model, cooling, epochs=8)
    assert cooling.controller is not None and cooling.controller.n_probes > 7
    with pytest.raises(OptionError, match="examples is 'few'"):
        ActCool(examples="few")  # type: ignore[arg-type]


@pytest.mark.parametrize("save_freq", ["epoch", 3])
def test_a_training_resumed_from_a_backup_gets_the_same_rates(
    tmp_path: Path, save_freq: Any
) -> None:
    # Equal batches: with another save_freq Keras begins the interrupted epoch again.
    same = np.tile(X[:48], (4, 1)), np.tile(Y[:48], 4)
    whole = ActCool(12)
    fit(network(noisy=False), whole, epochs=3, data=same)

    class Stop(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
            if epoch == 2:
                raise KeyboardInterrupt

    def callbacks() -> list[Any]:
        backup = keras.callbacks.BackupAndRestore(tmp_path / "backup", save_freq=save_freq)
        return [backup, ActCool(12, state_file=tmp_path / "actcool.json", save_freq=save_freq)]

    with pytest.raises(KeyboardInterrupt):
        fit(network(noisy=False), *callbacks(), Stop(), epochs=3, data=same)
    backup, resumed = callbacks()
    fit(network(noisy=False), backup, resumed, epochs=3, data=same)
    assert len(resumed.rates) == (12 if save_freq == "epoch" else 14)
    assert resumed.rates[:12] == whole.rates


def test_a_state_that_is_not_of_the_weights_is_told(tmp_path: Path) -> None:
    # A fresh model each time: on JAX, Keras leaves the variables of one empty where fit raises.
    file = tmp_path / "actcool.json"
    saved = ActCool(100, state_file=file)
    fit(network(noisy=False), saved, epochs=1)

    def trained(epochs: int) -> Any:
        model = network(noisy=False)
        fit(model, epochs=epochs)
        return model

    with pytest.raises(DataError, match=r"after 8 steps, but .* after 4; give ActCool"):
        fit(trained(2), ActCool(100, state_file=file), epochs=1)
    file.write_text("{}")
    with pytest.raises(DataError, match="holds no states"):
        fit(trained(1), ActCool(100, state_file=file), epochs=1)
    other = ActCool(100)
    other.load_state_dict({**saved.state_dict(), "sites": ["only"]})
    with pytest.raises(DataError, match="a model with 1 switch sites, this one has 2"):
        fit(trained(1), other, epochs=1)
    with pytest.raises(DataError, match="no state before the first step"):
        ActCool().state_dict()


class Residual(keras.Model):
    """A subclassed model that calls one layer twice, and functions of keras.ops."""

    def __init__(self) -> None:
        super().__init__()
        self.shared = keras.layers.Dense(8, "relu")
        self.last = keras.layers.Dense(4)

    def call(self, x: Any) -> Any:
        return self.last(keras.ops.relu(x + self.shared(self.shared(x))))


def test_subclassed_models_shared_layers_and_images_have_their_sites() -> None:
    model = Residual()
    model.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    cooling = ActCool()
    fit(model, cooling, epochs=1)
    assert len(cooling.rates) == 4
    values = Tapped(model).read(X[:5])
    shared = model.shared
    w, b = (np.array(each) for each in shared.get_weights())
    first = X[:5] @ w + b
    names = list(values)
    assert len(names) == 3 and names[1] == f"{names[0]}#2"
    np.testing.assert_allclose(values[names[0]], first, atol=1e-5)
    np.testing.assert_allclose(values[names[1]], np.maximum(first, 0) @ w + b, atol=1e-4)
    layers = keras.layers
    images = keras.Sequential(
        [
            keras.Input((6, 6, 3)),
            layers.Conv2D(5, 3, activation="relu6"),
            layers.PReLU(),
            layers.Flatten(),
            layers.Dense(7),
            layers.ReLU(negative_slope=0.1, max_value=2.0),
        ]
    )
    found = Tapped(images).read(np.ones((2, 6, 6, 3), np.float32))
    assert [each.shape for each in found.values()] == [(32, 5), (32, 5), (2, 7)]


def test_a_monitor_records_beside_the_steering(tmp_path: Path) -> None:
    cooling = ActCool()
    monitor = PatternMonitor(every=2, measures_every=4, recorder=tmp_path / "recording", data=X)
    fit(network(), cooling, monitor, epochs=2)
    rows = read(tmp_path / "recording").to_pylist()
    steps = [row for row in rows if row["site"] == "mean"]
    assert [row["step"] for row in steps] == [0, 2, 4, 6]
    assert np.allclose([row["learning_rate"] for row in steps], cooling.rates[::2])
    counted = [row for row in rows if row["site"] == "first" and row["patterns"] is not None]
    assert [row["samples"] for row in counted] == [192, 192]
    assert monitor.distances is not None and monitor.distances.mean_distance > 0


def test_what_cannot_be_steered_is_told() -> None:
    decay = keras.optimizers.schedules.ExponentialDecay(0.1, 10, 0.9)
    with pytest.raises(OptionError, match="a schedule of its own"):
        fit(network(optimizer=keras.optimizers.SGD(decay)), ActCool())
    smooth = keras.Sequential([keras.Input((8,)), keras.layers.Dense(4, "tanh")])
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    smooth.compile("sgd", loss)
    with pytest.raises(ModelError, match="has no switch"):
        fit(smooth, ActCool())
    if keras.backend.backend() != "torch":  # which refuses it itself
        model = network()
        model.compile("sgd", loss, steps_per_execution=2)
        with pytest.raises(OptionError, match="steps_per_execution is 2"):
            fit(model, ActCool())
    with pytest.raises(OptionError, match="total_steps is 0"):
        ActCool(0)
    with pytest.raises(OptionError, match="save_freq is 0"):
        ActCool(save_freq=0)
    with pytest.raises(OptionError, match="there are no data to count on"):
        PatternMonitor(measures_every=2)
    with pytest.raises(OptionError, match="writer is the framework's"):
        PatternMonitor(tensorboard="folder")

    def endless() -> Any:
        while True:
            yield X[:48], Y[:48]

    with warnings.catch_warnings(), pytest.raises(OptionError, match="give total_steps"):
        warnings.simplefilter("ignore")  # Keras, of generators
        network().fit(endless(), epochs=1, verbose=0, callbacks=[ActCool()])
