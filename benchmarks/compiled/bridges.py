r"""Accuracy of F1 on FashionMNIST at a temperature: torch, JAX and Keras, at one setting.

Every bridge trains the network of thesis 3.1.3 from the same weights, on the same batches in the
same order, with the default schedule. What differs is what a probe looks at (all pre-activations
or some, before the step or behind it) and rounding. "Spread" is the standard deviation over seeds.

    PYTHONPATH=benchmarks python benchmarks/compiled/bridges.py \
        --json benchmarks/records/bridges.json --page

takes about half an hour on one core. Each bridge runs in a process of its own; one that is not
installed is named and left out.
"""

from __future__ import annotations

import argparse
import itertools
import json
import math
import statistics
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from _support import arguments, fill_page, keep
from compiled._apart import run_apart

PAGE = Path(__file__).parents[2] / "docs" / "jax.md"
BRIDGES = ("torch", "jax", "keras jax", "keras torch", "keras tensorflow")
OPTIMIZERS = ("SGD", "AdamW")
MOMENTUM, DECAY, EPSILON = 0.9, 0.01, 1e-8
SIZES = (784, 512, 512, 512, 512, 512, 10)
BATCH, EPOCHS, SEEDS = 128, 2, 3
IMAGES = 20_000

Arrays = list[tuple[np.ndarray, np.ndarray]]


@dataclass(frozen=True)
class Task:
    """What is learnt, the same for every bridge.

    Attributes:
        images: float32 `(n, 784)` to train on.
        labels: int64 `(n,)`.
        test_images: like them.
        test_labels: like them.
        weights: of each layer `(inputs, units)`, with its bias.
        order: `(steps, BATCH)`, the images of each step.
        optimizer: its name.
    """

    images: np.ndarray
    labels: np.ndarray
    test_images: np.ndarray
    test_labels: np.ndarray
    weights: Arrays
    order: np.ndarray
    optimizer: str

    @property
    def steps(self) -> int:
        """Steps of the training."""
        return len(self.order)

    def batches(self) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Yield the images and labels of each step."""
        for index in self.order:
            yield self.images[index], self.labels[index]


def task(seed: int, optimizer: str, n_images: int, epochs: int) -> Task:
    """Return the task of a seed, which draws the weights and the order of the images."""
    from schedules import _tasks as fashion

    parts = {
        name: (fashion.scaled(part.images).reshape(-1, SIZES[0]), part.labels)
        for name, part in fashion.pixels().items()
    }
    images, labels = (each[:n_images] for each in parts["train"])
    draw = np.random.default_rng(seed)
    weights = []
    for inputs, units in itertools.pairwise(SIZES):
        scale = math.sqrt((2.0 if units != SIZES[-1] else 1.0) / inputs)
        weights.append(
            (
                (draw.standard_normal((inputs, units)) * scale).astype(np.float32),
                np.zeros(units, np.float32),
            )
        )
    per_epoch = len(images) // BATCH
    order = [draw.permutation(len(images))[: per_epoch * BATCH] for _ in range(epochs)]
    index = np.concatenate(order).reshape(-1, BATCH)
    return Task(images, labels, *parts["test"], weights, index, optimizer)


@dataclass
class Run:
    """One training.

    Attributes:
        accuracy: share of the test images that are told right.
        probes: measured steps.
        seconds: it took, compilers included.
    """

    accuracy: float
    probes: int
    seconds: float


def train_torch(work: Task) -> tuple[np.ndarray, int]:
    """Train in torch and return the outputs on the test images, and the number of probes."""
    import torch

    from reluflow_torch import ActCoolLR
    from reluflow_torch.networks import f1

    torch.set_num_threads(1)
    model = f1()
    layers = [each for each in model if isinstance(each, torch.nn.Linear)]
    with torch.no_grad():
        for layer, (weight, bias) in zip(layers, work.weights, strict=True):
            layer.weight.copy_(torch.from_numpy(weight.T))
            layer.bias.copy_(torch.from_numpy(bias))
    make: Callable[..., Any] = {
        "SGD": lambda weights: torch.optim.SGD(weights, 0.01, momentum=MOMENTUM),
        "AdamW": lambda weights: torch.optim.AdamW(weights, 0.01, eps=EPSILON, weight_decay=DECAY),
    }[work.optimizer]
    optimizer = make(model.parameters())
    scheduler = ActCoolLR(optimizer, model, work.steps)
    for x, y in work.batches():
        optimizer.zero_grad()
        loss = torch.nn.functional.cross_entropy(model(torch.from_numpy(x)), torch.from_numpy(y))
        loss.backward()
        optimizer.step()
        scheduler.step()
    with torch.no_grad():
        return model(torch.from_numpy(work.test_images)).numpy(), scheduler.n_probes


def train_jax(work: Task) -> tuple[np.ndarray, int]:
    """Train in JAX, as `train_torch`."""
    import jax
    import jax.numpy as jnp
    import optax
    from compiled.jax_overhead import f1

    from reluflow_jax import ActCool

    weights = jax.tree.map(jnp.asarray, work.weights)
    inner = {
        "SGD": optax.sgd(1.0, momentum=MOMENTUM),
        "AdamW": optax.adamw(1.0, eps=EPSILON, weight_decay=DECAY),
    }[work.optimizer]
    cool = ActCool(f1, weights, work.images[:BATCH], total_steps=work.steps)
    optimizer = cool.wrap(inner)
    state = optimizer.init(weights)

    def train(weights: Any, state: Any, x: Any, y: Any) -> Any:
        def loss(weights: Any) -> Any:
            losses = optax.softmax_cross_entropy_with_integer_labels(f1(weights, x), y)
            return losses.mean()

        gradients = jax.grad(loss)(weights)
        changes, state = optimizer.update(gradients, state, weights, inputs=(x,))
        return optax.apply_updates(weights, changes), state

    step = cool.jit(train, donate_argnums=(0, 1))
    for x, y in work.batches():
        weights, state = step(weights, state, x, y)
    outputs = np.asarray(jax.jit(f1)(weights, work.test_images))
    return outputs, cool.controller(state).n_probes


def train_keras(work: Task) -> tuple[np.ndarray, int]:
    """Train in Keras on the backend of KERAS_BACKEND, as `train_torch`."""
    import keras

    from reluflow_keras import ActCool

    if keras.backend.backend() == "torch":
        import torch

        torch.set_num_threads(1)
    layers = [keras.layers.Dense(units, "relu") for units in SIZES[1:-1]]
    model = keras.Sequential([keras.Input(SIZES[:1]), *layers, keras.layers.Dense(SIZES[-1])])
    model.set_weights([array for layer in work.weights for array in layer])
    optimizer = {
        "SGD": lambda: keras.optimizers.SGD(0.01, momentum=MOMENTUM),
        "AdamW": lambda: keras.optimizers.AdamW(0.01, DECAY, epsilon=EPSILON),
    }[work.optimizer]()
    model.compile(optimizer, keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    cooling = ActCool(work.steps)
    model.fit(work.batches(), steps_per_epoch=work.steps, epochs=1, verbose=0, callbacks=[cooling])
    assert cooling.controller is not None
    outputs = model.predict(work.test_images, batch_size=1000, verbose=0)
    return np.asarray(outputs), cooling.controller.n_probes


def runs_of(bridge: str, optimizer: str, seeds: int, images: int, epochs: int) -> list[Run]:
    """Train with one bridge in this process."""
    train = {"torch": train_torch, "jax": train_jax}.get(bridge, train_keras)
    found = []
    for seed in range(seeds):
        work = task(seed, optimizer, images, epochs)
        start = time.perf_counter()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that gradients vanish
            outputs, probes = train(work)
        accuracy = float((outputs.argmax(1) == work.test_labels).mean())
        found.append(Run(accuracy, probes, time.perf_counter() - start))
        print(f"{bridge}, {optimizer}, seed {seed}: {found[-1]}", file=sys.stderr, flush=True)
    return found


def runs_apart(bridge: str, optimizer: str, options: argparse.Namespace) -> list[Run] | None:
    """Train with one bridge in a process of its own; None where it is not installed."""
    kind, _, backend = bridge.partition(" ")
    sizes = [options.seeds, options.images, options.epochs]
    args = [bridge, optimizer, *map(str, sizes)]
    packages = [kind, *([backend] if backend else [])]
    runs = run_apart(__file__, packages, backend or "torch", args)
    return None if runs is None else [Run(**each) for each in runs]


def result(bridge: str, optimizer: str, runs: list[Run], options: argparse.Namespace) -> Any:
    """Return what is kept of the trainings of a bridge."""
    accuracies = [each.accuracy for each in runs]
    spread = statistics.stdev(accuracies) if len(accuracies) > 1 else 0.0
    return {
        "bridge": bridge,
        "optimizer": optimizer,
        "images": options.images,
        "epochs": options.epochs,
        "mean": statistics.fmean(accuracies),
        "spread": spread,
        "runs": [asdict(each) for each in runs],
    }


def told(found: Any) -> str:
    """Return a result in words."""
    each = " ".join(f"{100 * run['accuracy']:.2f}" for run in found["runs"])
    return (
        f"{found['bridge']:17s} {found['optimizer']:6s} {100 * found['mean']:.2f} "
        f"+-{100 * found['spread']:.2f} % ({each})"
    )


def table(results: Any) -> str:
    """Return the table of the page: a row per bridge, two columns per optimiser."""
    names = list(dict.fromkeys(each["optimizer"] for each in results))
    first = results[0]
    lines = [
        "",
        f"| {first['images']:,} images, {first['epochs']} epochs, test accuracy in % of "
        f"{len(first['runs'])} seeds | {' | '.join(names)} |",
        "|---" * (1 + len(names)) + "|",
    ]
    found = {(each["bridge"], each["optimizer"]): each for each in results}
    for bridge in dict.fromkeys(each["bridge"] for each in results):
        cells = [found[bridge, name] for name in names if (bridge, name) in found]
        shown = [
            f"{100 * each['mean']:.2f}, spread {100 * each['spread']:.2f} ("
            + ", ".join(f"{100 * run['accuracy']:.2f}" for run in each["runs"])
            + ")"
            for each in cells
        ]
        lines.append(f"| {bridge} | {' | '.join(shown)} |")
    return "\n".join(lines)


def options_of(parser: argparse.ArgumentParser) -> None:
    """Add the options that this benchmark alone has."""
    parser.add_argument("--only", nargs="+", choices=BRIDGES, default=BRIDGES)
    parser.add_argument("--optimizers", nargs="+", choices=OPTIMIZERS, default=OPTIMIZERS)
    parser.add_argument("--seeds", type=int, default=SEEDS)
    parser.add_argument("--images", type=int, default=IMAGES, help="to train on, of 55,000")
    parser.add_argument("--epochs", type=int, default=EPOCHS)
    parser.add_argument("--page", action="store_true", help=f"fill the table of {PAGE.name}")
    parser.add_argument("--apart", nargs=5, help=argparse.SUPPRESS)


def main() -> None:
    options = arguments(__doc__ or "", rounds=1, more=options_of)
    if options.apart:
        bridge, optimizer, *sizes = options.apart
        runs = runs_of(bridge, optimizer, *map(int, sizes))
        print(json.dumps([asdict(each) for each in runs]))
        return
    results = []
    for optimizer, bridge in itertools.product(options.optimizers, options.only):
        found = runs_apart(bridge, optimizer, options)
        if found is None:
            continue
        results.append(result(bridge, optimizer, found, options))
        print(told(results[-1]), flush=True)
        keep(options.json, results)
    if options.page:
        fill_page(PAGE, "bridges", options.json, table)


if __name__ == "__main__":
    main()
