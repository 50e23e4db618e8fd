"""From a training in JAX to every other tool: exported, analysed, compared, converted."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

jax = pytest.importorskip("jax")
optax = pytest.importorskip("optax")
nnx = pytest.importorskip("flax.nnx")
pytest.importorskip("jax2onnx")
jnp = jax.numpy
reluflow_jax = pytest.importorskip("reluflow_jax")

import reluflow  # noqa: E402
from reluflow.errors import DataError, EquivalenceError, ModelError, OptionError  # noqa: E402
from reluflow_jax import exporting  # noqa: E402

pytestmark = [
    pytest.mark.slow,  # jax2onnx takes ten seconds to import
    pytest.mark.filterwarnings("ignore::reluflow.temperature.CoolingWarning"),
    pytest.mark.filterwarnings("ignore:Explicitly requested dtype float64"),  # in jax2onnx
    pytest.mark.filterwarnings("ignore:.*value. access is now deprecated"),  # there too
]
FASHION = Path(__file__).parents[3] / "models" / "fashion_mnist_test_2000.npz"
BATCH, STEPS = 50, 60


class Net(nnx.Module):  # type: ignore[name-defined, misc, unused-ignore]
    """A small CNN with batch normalisation and dropout."""

    def __init__(self, rngs: Any) -> None:
        self.conv = nnx.Conv(1, 8, (3, 3), strides=2, rngs=rngs)
        self.norm = nnx.BatchNorm(8, rngs=rngs)
        self.first = nnx.Linear(7 * 7 * 8, 32, rngs=rngs)
        self.drop = nnx.Dropout(0.1, rngs=rngs)
        self.last = nnx.Linear(32, 10, rngs=rngs)

    def __call__(self, x: Any) -> Any:
        x = nnx.relu(self.norm(self.conv(x)))
        x = nnx.relu(self.first(x.reshape(x.shape[0], -1)))
        return self.last(self.drop(x))


def data() -> tuple[Any, Any]:
    with np.load(FASHION) as stored:
        images = stored["image"].reshape(-1, 14, 2, 14, 2, 1).mean((2, 4)) - 0.3
        return images.astype(np.float32), stored["label"]


class Trained:
    """A training of the network, exported in the middle and at the end."""

    def __init__(self, folder: Path) -> None:
        self.images, self.labels = data()
        self.graph, self.weights, rest = nnx.split(Net(nnx.Rngs(0)), nnx.Param, ...)
        self.rest = rest
        batch = self.images[:BATCH]

        def forward(weights: Any, x: Any, rest: Any) -> Any:
            return nnx.merge(self.graph, weights, rest, copy=True)(x)

        self.cool = reluflow_jax.ActCool(forward, self.weights, batch, rest, total_steps=STEPS)
        optimizer = self.cool.wrap(optax.sgd(1.0, momentum=0.9))

        def take(weights: Any, rest: Any, state: Any, x: Any, y: Any) -> Any:
            def loss(weights: Any) -> Any:
                model = nnx.merge(self.graph, weights, rest, copy=True)
                losses = optax.softmax_cross_entropy_with_integer_labels(model(x), y)
                return losses.mean(), nnx.split(model, nnx.Param, ...)[2]

            (value, after), gradients = jax.value_and_grad(loss, has_aux=True)(weights)
            changes, state = optimizer.update(gradients, state, weights, inputs=(x, rest))
            return optax.apply_updates(weights, changes), after, state, value

        train = jax.jit(take)
        self.state = optimizer.init(self.weights)
        self.losses = []
        self.paths = [folder / "half.onnx", folder / "end.onnx"]
        for step in range(STEPS):
            chosen = slice(BATCH * (step % 30), BATCH * (step % 30 + 1))
            self.weights, self.rest, self.state, loss = train(
                self.weights, self.rest, self.state, self.images[chosen], self.labels[chosen]
            )
            self.losses.append(float(loss))
            self.state = self.cool.steer(self.state, step + 1)
            if step in (STEPS // 2, STEPS - 1):
                self.states = [*getattr(self, "states", []), (self.weights, self.rest)]
                path = self.paths[len(self.states) - 1]
                reluflow_jax.export(self.model(-1), path, batch)

    def model(self, number: int) -> Any:
        return nnx.merge(self.graph, *self.states[number], copy=True)

    def inference(self, state: Any, x: Any) -> Any:
        model = nnx.merge(self.graph, *state, copy=True)
        model.eval()
        return model(x)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    return Trained(tmp_path_factory.mktemp("trained"))


def test_it_learns_and_its_file_knows_what_it_has_learnt(trained: Trained) -> None:
    assert np.mean(trained.losses[-10:]) < 0.6 * trained.losses[0]
    assert trained.cool.controller(trained.state).n_probes >= 4
    report = reluflow.analyze(trained.paths[1], trained.images[:500])
    assert [site.site.units for site in report.sites] == [8, 32]


def test_counts_are_those_through_the_file(trained: Trained) -> None:
    images = trained.images[:400]
    report = reluflow.analyze(trained.paths[1], images)
    counts = reluflow_jax.count_patterns(trained.inference, trained.states[1], [images])
    for site, found in zip(report.sites, counts.values(), strict=True):
        assert (site.samples, site.patterns) == (found.table.samples, found.table.total)


def test_distance_and_curves_are_those_through_the_file(trained: Trained) -> None:
    images = trained.images[:200]
    before, after = trained.states
    found = reluflow_jax.distance(trained.inference, before, after, images)
    meter = reluflow.StepMeter(trained.paths[0])
    start = meter.file_weights
    end = reluflow.StepMeter(trained.paths[1]).file_weights
    wanted = meter.distance(start, end, images)
    assert [(s.changed, s.samples) for s in found.sites] == [
        (s.changed, s.samples) for s in wanted.sites
    ]

    # Along the straight line between both: a short part of it for the difference through ONNX.
    part = 1e-3
    near = {name: value + np.float32(part) * (end[name] - value) for name, value in start.items()}
    through = meter.curves(start, near, images, rate=part)
    direction = jax.tree.map(
        lambda a, b: b - a if jnp.issubdtype(a.dtype, jnp.floating) else a, before, after
    )
    curves = reluflow_jax.crossing_curves(trained.inference, before, direction, images)
    for one, other in zip(curves.values(), through.values(), strict=True):
        assert (one.samples, one.units) == (other.samples, other.units)
        for bits in (0.25, 0.5, 1.0, 2.0):
            assert one.rate(bits) == pytest.approx(other.rate(bits), rel=0.01)


def test_two_checkpoints_are_compared_and_one_is_converted(trained: Trained) -> None:
    between = reluflow.compare(trained.paths[0], trained.paths[1], trained.images[:200])
    assert len(between.sites) == 2
    psb = reluflow.convert(trained.paths[1])
    few = reluflow.EvaluationOptions(samples=(16,), seeds=1)
    found = reluflow.evaluate(
        psb.model,
        trained.images[:300],
        trained.labels[:300],
        float_model=trained.paths[1],
        options=few,
    )
    assert found.float_value is not None and found.float_value > 0.6
    assert found.points[0].mean > found.float_value - 0.03


linen = pytest.importorskip("flax.linen")


class Linen(linen.Module):  # type: ignore[name-defined, misc, unused-ignore]
    def setup(self) -> None:
        self.conv, self.norm = linen.Conv(4, (3, 3)), linen.BatchNorm()
        self.dense, self.drop = linen.Dense(6), linen.Dropout(0.5)

    def __call__(self, x: Any, train: bool) -> Any:
        x = linen.relu(self.norm(self.conv(x), use_running_average=not train))
        x = linen.max_pool(x, window_shape=(2, 2), strides=(2, 2))
        x = linen.leaky_relu(self.dense(x.reshape(x.shape[0], -1)))
        return self.drop(x, deterministic=not train)


def test_a_linen_module_is_exported_as_it_is_called() -> None:
    x = jax.ShapeDtypeStruct((3, 8, 8, 1), np.float32)
    variables = Linen().init(jax.random.key(0), jnp.zeros(x.shape), train=False)
    model = reluflow_jax.to_onnx(Linen(), x, variables=variables, call={"train": False})
    assert [site.units for site in reluflow.find_sites(model)] == [4, 6]
    with pytest.raises(OptionError, match="variables is None"):
        reluflow_jax.to_onnx(Linen(), x)


def test_an_equinox_module_is_exported_for_each_input_alone() -> None:
    equinox = pytest.importorskip("equinox")

    class Net(equinox.Module):  # type: ignore[name-defined, misc, unused-ignore]
        conv: Any
        norm: Any
        drop: Any

        def __call__(self, x: Any, state: Any, key: Any = None) -> Any:
            x, state = self.norm(self.conv(x), state)
            return self.drop(jax.nn.relu(x), key=key), state

    def build(key: Any) -> Any:
        norm = equinox.nn.BatchNorm(4, axis_name="batch", mode="batch")
        return Net(equinox.nn.Conv2d(1, 4, 3, key=key), norm, equinox.nn.Dropout(0.5))

    network, state = equinox.nn.make_with_state(build)(jax.random.key(0))
    x = np.ones((3, 1, 8, 8), np.float32)
    model = reluflow_jax.to_onnx(network, x, variables=state)
    assert [site.units for site in reluflow.find_sites(model)] == [4]


def test_whole_numbers_stay_whole_numbers() -> None:
    ids = jax.ShapeDtypeStruct((3, 5), np.int32)
    model = reluflow_jax.to_onnx(lambda ids: jax.nn.relu(jnp.eye(4)[ids] @ jnp.ones((4, 2))), ids)
    assert [str(each) for each in model.inputs] == ["int32 [B, 5]"]


def test_what_cannot_be_exported_is_refused() -> None:
    x = np.ones((3, 4), np.float32)
    with pytest.raises(ModelError, match=r"jax2onnx 0\.\d+.* cannot export the network: .*svd"):
        reluflow_jax.to_onnx(lambda x: jnp.linalg.svd(x)[1], x)
    with pytest.raises(DataError, match="no input is given"):
        reluflow_jax.to_onnx(jax.nn.relu)
    with pytest.raises(DataError, match="an input has no axis"):
        reluflow_jax.to_onnx(jax.nn.relu, np.float32(1.0))
    with pytest.raises(OptionError, match="model is a int"):
        reluflow_jax.to_onnx(3, x)


def test_a_model_that_gives_other_outputs_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    x = np.ones((3, 4), np.float32)
    exported = reluflow_jax.to_onnx(lambda x: x @ jnp.ones((4, 2)), x)
    with pytest.raises(EquivalenceError, match=r"differs by 0\.75 of the largest on 3 inputs"):
        exporting._check(exported, lambda x: 4 * x @ jnp.ones((4, 2)), [x], 1e-4)
    with pytest.raises(EquivalenceError, match=r"has the shape \(3, 2\), not \(3, 1\)"):
        exporting._check(exported, lambda x: x @ jnp.ones((4, 1)), [x], 1e-4)
    with pytest.raises(EquivalenceError, match="takes 1 inputs, the network 2"):
        exporting._check(exported, lambda x, y: x @ jnp.ones((4, 2)), [x, x], 1e-4)
    monkeypatch.setitem(__import__("sys").modules, "jax2onnx", None)
    with pytest.raises(OptionError, match="jax2onnx is needed"):
        reluflow_jax.to_onnx(jax.nn.relu, x)
