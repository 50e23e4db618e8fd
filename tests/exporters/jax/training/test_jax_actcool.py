"""ActCool for optax: its rates are the controller's, whatever stops or splits the training."""

import functools
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

jax = pytest.importorskip("jax")
optax = pytest.importorskip("optax")
jnp = jax.numpy
reluflow_jax = pytest.importorskip("reluflow_jax")

from reluflow.errors import DataError, OptionError  # noqa: E402
from reluflow.temperature import (  # noqa: E402
    CrossingCool,
    CrossingCurves,
    CrossingOptions,
    PowerSchedule,
)
from reluflow.temperature.crossing.lattice import bins_of  # noqa: E402
from reluflow_jax.sites.curves import curves_of  # noqa: E402
from reluflow_jax.training.state import Place, find_state  # noqa: E402

pytestmark = pytest.mark.filterwarnings(
    "ignore::reluflow.temperature.CoolingWarning"  # what the short training memorises
)
STEPS = 48
OPTIONS = CrossingOptions(shortest=4, longest=12, warm_up_steps=4)
rng = np.random.default_rng(8)
X = rng.standard_normal((STEPS, 64, 8)).astype(np.float32)
W = {
    "first": rng.standard_normal((8, 32)).astype(np.float32) / 3,
    "second": rng.standard_normal((32, 24)).astype(np.float32) / 6,
    "last": rng.standard_normal((24, 1)).astype(np.float32) / 5,
}
Y = np.sin(X @ rng.standard_normal((8, 1))).astype(np.float32)


def forward(w: Any, x: Any) -> Any:
    return jax.nn.relu(jax.nn.relu(x @ w["first"]) @ w["second"]) @ w["last"]


def make_cool() -> Any:
    return reluflow_jax.ActCool(
        forward, W, X[0], total_steps=STEPS, schedule=PowerSchedule(3.0), options=OPTIONS
    )


@functools.cache
def make_optimizer(name: str) -> Any:
    inner = {
        "adam": optax.adam(1.0),
        "momentum": optax.sgd(1.0, momentum=0.9),
        "none": optax.set_to_zero(),
    }[name]
    return optax.chain(optax.clip_by_global_norm(5.0), make_cool().wrap(inner))


@functools.cache
def compiled(name: str) -> Any:
    """Return the step of a training; all trainings of an optimiser share what is compiled."""

    def train(weights: Any, state: Any, x: Any, y: Any) -> Any:
        gradients = jax.grad(lambda w: jnp.mean((forward(w, x) - y) ** 2))(weights)
        changes, state = make_optimizer(name).update(gradients, state, weights, inputs=(x,))
        return optax.apply_updates(weights, changes), state

    return jax.jit(train)


class Training:
    """A training that may be stopped and gone on with anywhere."""

    def __init__(self, name: str = "adam") -> None:
        self.cool = make_cool()
        self.weights = jax.tree.map(jnp.asarray, W)
        self.optimizer, self.train = make_optimizer(name), compiled(name)
        self.state = self.optimizer.init(self.weights)
        self.rates: list[float] = []

    def run(self, start: int = 0, stop: int = STEPS) -> "Training":
        for step in range(start, stop):
            self.weights, self.state = self.train(self.weights, self.state, X[step], Y[step])
            self.rates.append(float(reluflow_jax.rate_of(self.state)))
            self.state = self.cool.steer(self.state, step + 1)
        return self


@pytest.fixture(scope="module")
def whole() -> Training:
    return Training().run()


def test_the_rates_are_those_of_the_controller_on_the_same_curves(whole: Training) -> None:
    training, numpy = Training(), CrossingCool(PowerSchedule(3.0), OPTIONS)
    found: dict[str, CrossingCurves] = {}
    n_parted = n_straight = 0
    for step in range(STEPS):
        if step:
            rate = numpy.next_rate(step / STEPS, lambda rate: found["first"])
            part = numpy.part()
        training.weights, training.state = training.train(
            training.weights, training.state, X[step], Y[step]
        )
        state = find_state(training.state)
        curves = curves_of(training.cool.sites, jax.device_get(state.counts))
        if step == 0:
            found["first"] = curves
            assert float(state.rate) == 0.0
        else:
            assert float(state.rate) == np.float32(rate)
        if step and numpy.wants_curves:
            is_straight = part == 1.0 and numpy.latest_temperature > OPTIONS.short
            n_straight += is_straight
            n_parted += part < 1.0
            assert float(state.part) == np.float32(0.0 if is_straight else part)
            ends = curves_of(training.cool.sites, jax.device_get(state.straight))
            lengths = [float(each) for each in state.lengths]
            numpy.observe(
                curves,
                weight_norm=lengths[0],
                gradient_norm=lengths[1],
                straight=ends if part < 1.0 else None,
            )
        training.state = training.cool.steer(training.state, step + 1)
    assert numpy.n_probes > 6 and n_parted > 0 and n_straight > 0
    assert n_parted + n_straight < numpy.n_probes
    assert training.cool.controller(training.state).n_probes == numpy.n_probes
    assert training.rates == [] and whole.rates[-1] > 0


def test_the_step_is_compiled_once_and_the_first_one_only_measures(whole: Training) -> None:
    assert whole.train._cache_size() == 1
    assert whole.rates[0] == 0.0
    training = Training().run(0, 1)
    assert all(
        jax.tree.leaves(jax.tree.map(lambda a, b: bool((a == b).all()), training.weights, W))
    )


def test_a_probe_counts_the_samples_that_its_step_changes() -> None:
    training = Training("momentum")
    crossed, changed = [], []
    for step in range(STEPS):
        is_probe = step and step == int(find_state(training.state).probe_at)
        before = training.weights
        batch = X[step], Y[step]
        training.weights, training.state = training.train(before, training.state, *batch)
        if is_probe:
            state = find_state(training.state)
            end = int(bins_of(float(state.rate)))
            part = int(find_state(training.state).examples) or len(X[step])
            crossed += np.asarray(state.counts)[:, :end].sum(1).tolist()
            found = reluflow_jax.distance(forward, before, training.weights, X[step][:part])
            changed += [site.changed for site in found.sites]
        training.state = training.cool.steer(training.state, step + 1)
    assert len(changed) > 12 and sum(changed) > 200
    # What crosses and comes back is counted; the first order, and the last cell, miss a few.
    assert np.abs(np.subtract(crossed, changed)).max() <= 5
    assert sum(crossed) == pytest.approx(sum(changed), rel=0.05)


def test_probes_take_parts_of_batches_once_their_curves_are_known(whole: Training) -> None:
    training, sizes = Training(), []
    for step in range(STEPS):
        probe_at = int(find_state(training.state).probe_at)
        training.run(step, step + 1)
        if step in (0, probe_at):
            sizes.append(int(find_state(training.state).counts.sum()) // 2)
    assert sizes[:5] == [64] * 5 and set(sizes[6:]) == {32}  # of two sites
    assert training.rates == whole.rates


@pytest.mark.parametrize(("examples", "size"), [(None, 64), (24, 24), (99, 64)])
def test_all_examples_or_a_number_of_them_are_taken(examples: Any, size: int) -> None:
    cool = reluflow_jax.ActCool(
        forward, W, X[0], total_steps=STEPS, schedule=PowerSchedule(3.0), examples=examples
    )
    optimizer = cool.wrap(optax.sgd(1.0))
    weights, state = jax.tree.map(jnp.asarray, W), optimizer.init(W)
    for step in range(2):
        gradients = jax.grad(lambda w, x: jnp.mean(forward(w, x) ** 2))(weights, X[0])
        changes, state = optimizer.update(gradients, state, weights, inputs=(X[0],))
        weights, state = optax.apply_updates(weights, changes), cool.steer(state, step + 1)
    assert int(state.counts.sum()) == 2 * size


def test_what_runs_on_one_batch_size_is_probed_whole() -> None:
    def fixed(w: Any, x: Any) -> Any:
        return jax.nn.relu(x.reshape(64, 8) @ w["first"]) @ w["second"]

    with pytest.warns(RuntimeWarning, match="does not run on a part of a batch .TypeError"):
        cool = reluflow_jax.ActCool(fixed, W, X[0], total_steps=STEPS)
    assert cool._parts == [] and not cool._size.is_auto
    with pytest.raises(OptionError, match="examples is 24, but forward does not run on a part"):
        reluflow_jax.ActCool(fixed, W, X[0], total_steps=STEPS, examples=24)
    with pytest.raises(OptionError, match="examples is 'few'"):
        reluflow_jax.ActCool(forward, W, X[0], total_steps=STEPS, examples="few")

    def other(w: Any, x: Any) -> Any:
        return forward(w, x) if len(x) == 64 else jax.nn.relu(x @ w["first"])

    with pytest.warns(RuntimeWarning, match="it has other switch sites there"):
        reluflow_jax.ActCool(other, W, X[0], total_steps=STEPS)


def test_between_the_probes_the_state_is_left_alone() -> None:
    training = Training().run(0, 20)
    state = find_state(training.state)
    start, count = int(state.start), int(state.n_rates)
    assert start <= 20 < start + count
    assert training.cool.steer(training.state, 20) is training.state
    assert training.cool.steer(training.state) is training.state


@pytest.mark.parametrize("stop", [1, 13, 30])
def test_a_resumed_training_has_the_same_rates_to_the_bit(
    stop: int, whole: Training, tmp_path: Path
) -> None:
    checkpoints = pytest.importorskip("orbax.checkpoint")
    half = Training().run(0, stop)
    with checkpoints.StandardCheckpointer() as saver:
        saver.save(tmp_path / "saved", {"weights": half.weights, "state": half.state})
        saver.wait_until_finished()
        rest = Training()
        like = {"weights": rest.weights, "state": rest.state}
        found = saver.restore(tmp_path / "saved", like)
    rest.weights, rest.state = found["weights"], found["state"]
    rest.run(stop)
    assert half.rates + rest.rates == whole.rates
    for name, weight in rest.weights.items():
        np.testing.assert_array_equal(weight, whole.weights[name])


class Twice(Training):
    """The same training, with a step that the controller has compiled and steers."""

    def __init__(self) -> None:
        super().__init__()
        self.optimizer = optax.chain(
            optax.clip_by_global_norm(5.0), self.cool.wrap(optax.adam(1.0))
        )

        def train(weights: Any, state: Any, x: Any, y: Any) -> Any:
            gradients = jax.grad(lambda w: jnp.mean((forward(w, x) - y) ** 2))(weights)
            changes, state = self.optimizer.update(gradients, state, weights, inputs=(x,))
            return optax.apply_updates(weights, changes), state

        self.plain, self.step = train, self.cool.jit(train)

    def run(self, start: int = 0, stop: int = STEPS) -> "Twice":
        for step in range(start, stop):
            self.weights, self.state = self.step(self.weights, self.state, X[step], Y[step])
            self.rates.append(float(reluflow_jax.rate_of(self.state)))
        return self


def test_a_step_compiled_twice_gives_the_same_training_and_stops_anywhere(
    whole: Training,
) -> None:
    twice = Twice().run(0, 13)
    kept = jax.tree.map(jnp.copy, (twice.weights, twice.state))
    end = twice.run(13).weights
    np.testing.assert_allclose(twice.rates, whole.rates, rtol=1e-3)
    assert twice.step.__name__ == "train"
    assert [each._cache_size() for each in (twice.step._plain, twice.step._probing)] == [1, 1]
    # Steps that are taken back, whose number it must read from the state.
    twice.weights, twice.state = kept
    twice.run(13)
    assert twice.rates[STEPS:] == twice.rates[13:STEPS]
    for name, weight in twice.weights.items():
        np.testing.assert_array_equal(weight, end[name])


def test_a_step_that_cannot_be_steered_is_refused() -> None:
    training = Twice()
    arguments = training.weights, training.state, X[0], Y[0]
    twice_compiled = training.cool.jit(jax.jit(training.plain))
    weights, state = arguments[:2]
    with pytest.raises(OptionError, match="train does not call update"):
        for step in range(20):  # the first one that is no probe
            weights, state = twice_compiled(weights, state, X[step], Y[step])
    with pytest.raises(OptionError, match="train does not call update"):
        make_cool().jit(training.plain)(*arguments)

    def several(weights: Any, state: Any) -> Any:
        for step in range(3):
            weights, state = training.plain(weights, state, X[step], Y[step])
        return weights, state

    with pytest.raises(DataError, match="has made 3 updates where 1 were expected"):
        training.cool.jit(several)(*arguments[:2])


def test_the_state_is_found_wherever_it_lies_and_several_are_refused() -> None:
    place, one = Place(), make_cool().wrap(optax.sgd(1.0)).init(W)
    other = one._replace(step=np.int32(7))
    assert place.state_in((W, {"state": one})) is one
    assert place.state_in((W, {"state": other})) is other  # in the same place
    assert place.state_in(([other], W)) is other
    assert place.state_in([one]) is one
    keyed = jax.tree_util.Partial(lambda state: state, one)  # its children have no names
    assert place.state_in(keyed) is one and place.state_in((W, {"state": other})) is other
    with pytest.raises(DataError, match="holds 0 states"):
        place.state_in((W, {"state": ()}))

    training = Twice()
    training.run(0, 2)
    two = training.cool.jit(lambda weights, state, other: training.plain(weights, state, X, Y))
    with pytest.raises(DataError, match="holds 2 states"):
        two(training.weights, training.state, training.state)


def test_gradients_are_added_up_by_multi_steps() -> None:
    training = Twice()
    optimizer = optax.MultiSteps(training.cool.wrap(optax.adam(1.0)), every_k_schedule=2)
    weights, state = training.weights, optimizer.init(training.weights)

    def take(weights: Any, state: Any, x: Any, y: Any) -> Any:
        gradients = jax.grad(lambda w: jnp.mean((forward(w, x) - y) ** 2))(weights)
        changes, state = optimizer.update(gradients, state, params=weights, inputs=(x,))
        return optax.apply_updates(weights, changes), state

    train, rates = training.cool.jit(take), []
    for step in range(STEPS):
        before = weights
        weights, state = train(before, state, X[step], Y[step])
        is_same = bool((weights["last"] == before["last"]).all())
        assert is_same == (step % 2 == 0 or step == 1)
        rates.append(float(reluflow_jax.rate_of(state)))
    assert int(find_state(state).step) == STEPS // 2
    controller = training.cool.controller(state)
    assert controller.n_probes >= 4 and rates[-1] > 0
    assert rates[2:-1:2] == rates[1:-2:2]  # a rate is that of whole updates
    with pytest.raises(OptionError, match="params is None"):
        optimizer.update(weights, state)


def test_updates_in_one_compiled_loop_are_steered_behind_it() -> None:
    training = Training()

    def take(weights: Any, state: Any, x: Any, y: Any) -> Any:
        def body(carry: Any, batch: Any) -> Any:
            return training.train(*carry, *batch), ()

        return jax.lax.scan(body, (weights, state), (x, y))[0]

    chunk = jax.jit(take)
    for start in range(0, STEPS, 8):
        stop = start + 8
        training.weights, training.state = chunk(
            training.weights, training.state, X[start:stop], Y[start:stop]
        )
        training.state = training.cool.steer(training.state, stop)
    controller = training.cool.controller(training.state)
    assert controller.n_probes >= 3 and float(reluflow_jax.rate_of(training.state)) > 0


def test_a_count_of_steps_that_is_not_the_states_is_refused() -> None:
    training = Training().run(0, 3)
    with pytest.raises(DataError, match="step is 9, but the state has made 3 updates"):
        training.cool.steer(training.state, 9)


def test_what_cannot_be_is_refused() -> None:
    with pytest.raises(OptionError, match="total_steps is 0"):
        reluflow_jax.ActCool(forward, W, X[0], total_steps=0)
    with pytest.raises(OptionError, match="max_samples is 0"):
        reluflow_jax.ActCool(forward, W, X[0], total_steps=1, max_samples=0)
    with pytest.raises(OptionError, match="initial_rate"):
        reluflow_jax.ActCool(forward, W, X[0], total_steps=1, initial_rate=-1.0)
    with pytest.raises(DataError, match="no switch site"):
        reluflow_jax.ActCool(lambda w, x: x @ w["first"], W, X[0], total_steps=1)
    training = Training()
    with pytest.raises(OptionError, match="params is None"):
        training.optimizer.update(W, training.state, inputs=(X[0],))
    with pytest.raises(OptionError, match="inputs is NoneType"):
        training.optimizer.update(W, training.state, W)
    with pytest.raises(DataError, match="holds 0 states of ActCool"):
        training.cool.steer(optax.sgd(0.1).init(W), 1)
    with pytest.raises(DataError, match="holds a list instead of an array"):
        training.cool.steer(find_state(training.state)._replace(step=[0]), 1)


def test_a_step_that_changes_no_pattern_is_refused() -> None:
    training = Training("none")
    with pytest.raises(DataError, match="leaves all patterns as they are"):
        training.run(0, 1)


def test_a_state_of_another_function_is_refused() -> None:
    training = Training().run(0, 2)
    other = reluflow_jax.ActCool(
        lambda w, x: jax.nn.leaky_relu(x @ w["first"]), W, X[0], total_steps=STEPS
    )
    with pytest.raises(DataError, match="the state knows the site relu_0 among 2"):
        other.controller(training.state)


DEVICES = """
import json
import jax, numpy as np, optax
from jax.sharding import NamedSharding, PartitionSpec
import test_jax_actcool as single
import reluflow_jax

assert jax.device_count() == 4
mesh = jax.make_mesh((4,), ("batch",))
rows = NamedSharding(mesh, PartitionSpec("batch"))
x = jax.device_put(single.X[0], rows)
after = {**single.W, "first": single.W["first"][:, ::-1]}
alone = reluflow_jax.distance(single.forward, single.W, after, single.X[0])
assert alone == reluflow_jax.distance(single.forward, single.W, after, x)
four = single.Training()
everywhere = NamedSharding(mesh, PartitionSpec())
four.weights, four.state = jax.device_put((four.weights, four.state), everywhere)
single.X, single.Y = (
    jax.device_put(each, NamedSharding(mesh, PartitionSpec(None, "batch")))
    for each in (single.X[:24], single.Y[:24])
)
four.run(0, 24)
spread = reluflow_jax.ActCool(
    single.forward, single.W, np.zeros((16, 8), np.float32), total_steps=single.STEPS,
    schedule=single.PowerSchedule(3.0), options=single.OPTIONS, axis_name="batch",
)
optimizer = optax.chain(
    optax.clip_by_global_norm(5.0), spread.wrap(optax.adam(1.0))
)

def train(weights, state, x, y):
    def loss(weights):
        return jax.numpy.mean((single.forward(weights, x) - y) ** 2)

    varied = jax.lax.pcast(weights, ("batch",), to="varying")
    gradients = jax.lax.pmean(jax.grad(loss)(varied), "batch")
    changes, state = optimizer.update(gradients, state, weights, inputs=(x,))
    return optax.apply_updates(weights, changes), state

p, each = PartitionSpec(), PartitionSpec("batch")
step = spread.jit(
    jax.shard_map(train, mesh=mesh, in_specs=(p, p, each, each), out_specs=(p, p))
)
weights = jax.device_put(single.W, everywhere)
state = jax.device_put(optimizer.init(weights), everywhere)
# Each device holds a quarter of the first 32 examples first, so that parts are the same.
order = np.concatenate([np.r_[8 * j : 8 * j + 8, 32 + 8 * j : 40 + 8 * j] for j in range(4)])
rates = []
for number in range(24):
    batch = (np.asarray(single.X[number])[order], np.asarray(single.Y[number])[order])
    weights, state = step(weights, state, *jax.device_put(batch, rows))
    rates.append(float(reluflow_jax.rate_of(state)))
counted = int(state[1].counts.sum())
print(json.dumps([four.rates, four.train._cache_size(), int(four.state[1].counts.sum()),
    rates, counted]))
"""


def test_several_devices_agree_with_one(whole: Training) -> None:
    done = subprocess.run(
        [sys.executable, "-c", DEVICES],
        env={
            **os.environ,
            "XLA_FLAGS": "--xla_force_host_platform_device_count=4",
            "PYTHONPATH": os.pathsep.join(
                [str(Path(__file__).parent), *filter(None, [os.environ.get("PYTHONPATH")])]
            ),
            "JAX_PLATFORMS": "cpu",
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    rates, n_compiled, samples, spread, counted = json.loads(done.stdout)
    np.testing.assert_allclose(rates, whole.rates[:24], rtol=0.05)
    np.testing.assert_allclose(spread, whole.rates[:24], rtol=0.05)
    assert samples == counted == 64  # of the two sites
    assert n_compiled <= 2  # for the weights as they are put, and as the step returns them
