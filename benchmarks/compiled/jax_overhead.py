r"""Time of a compiled training in JAX with ActCool over that without, in one run.

Three equal networks take turns, a block of eight steps each, on the same batches: with a rate that
stays, with a step that `cool.jit` compiles twice, and with one that `jax.jit` compiles with the
branch of a probe inside. "Without a probe" is the middle of the ratios of blocks that hold none;
"steady state" is the ratio of all time after the first fifth of the blocks, which also hold
what is compiled. Both are told for the clock and for the CPU time of all threads.

    PYTHONPATH=benchmarks python benchmarks/compiled/jax_overhead.py \
        --json benchmarks/records/jax_overhead.json

takes about ten minutes on two idle cores.
"""

from __future__ import annotations

import argparse
import itertools
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from _support import arguments, keep
from actcool_overhead import BATCH, BLOCK, learnable_data
from compiled._cost import cost_of, told

from reluflow_jax import ActCool

PLAIN, TWICE, BRANCH = "none", "compiled twice", "one branch"
STEPS = 1000
LEARNING_RATE = 0.01
DEPTH, WIDTH = 5, 512
CHANNELS = (16, 32, 64)


@dataclass(frozen=True)
class Network:
    """A network to train.

    Attributes:
        name: of the row.
        weights: makes them.
        forward: takes weights and images.
        share: of the steps that are asked for.
    """

    name: str
    weights: Callable[[np.random.Generator], Any]
    forward: Callable[[Any, Any], Any]
    share: float = 1.0


def dense(draw: np.random.Generator, inputs: int, units: int) -> Any:
    """Return weights and biases of a dense layer."""
    weights = draw.standard_normal((inputs, units)) * np.sqrt(2.0 / inputs)
    return jnp.asarray(weights, jnp.float32), jnp.zeros(units)


def kernel(draw: np.random.Generator, size: int, inputs: int, outputs: int) -> Any:
    """Return the kernel of a convolution."""
    scale = np.sqrt(2.0 / (size * size * inputs))
    return jnp.asarray(draw.standard_normal((size, size, inputs, outputs)) * scale, jnp.float32)


def f1_weights(draw: np.random.Generator) -> Any:
    """Return the weights of F1 (thesis 3.1.3)."""
    sizes = [784, *[WIDTH] * DEPTH, 10]
    return [dense(draw, *pair) for pair in itertools.pairwise(sizes)]


def f1(weights: Any, x: Any) -> Any:
    """Return the outputs of F1."""
    x = x.reshape(len(x), -1)
    *hidden, (last, bias) = weights
    for w, b in hidden:
        x = jax.nn.relu(x @ w + b)
    return x @ last + bias


def resnet_weights(draw: np.random.Generator) -> Any:
    """Return the weights of a residual network of eight layers, with batch normalisation."""
    scale = lambda channels: (jnp.ones(channels), jnp.zeros(channels))  # noqa: E731
    weights: dict[str, Any] = {
        "stem": (kernel(draw, 3, 1, CHANNELS[0]), scale(CHANNELS[0])),
        "blocks": [],
        "last": dense(draw, CHANNELS[-1], 10),
    }
    inputs = CHANNELS[0]
    for channels in CHANNELS:
        block = {
            "first": (kernel(draw, 3, inputs, channels), scale(channels)),
            "second": (kernel(draw, 3, channels, channels), scale(channels)),
        }
        if channels != inputs:
            block["short"] = (kernel(draw, 1, inputs, channels), scale(channels))
        weights["blocks"].append(block)
        inputs = channels
    return weights


def normed(weights: Any, x: Any, stride: int = 1) -> Any:
    """Return a convolution, normalised by the batch."""
    kernels, (gain, shift) = weights
    layout = ("NHWC", "HWIO", "NHWC")
    y = jax.lax.conv_general_dilated(x, kernels, (stride, stride), "SAME", dimension_numbers=layout)
    mean, variance = y.mean((0, 1, 2)), y.var((0, 1, 2))
    return (y - mean) * jax.lax.rsqrt(variance + 1e-5) * gain + shift


def resnet(weights: Any, x: Any) -> Any:
    """Return the outputs of the residual network."""
    x = jax.nn.relu(normed(weights["stem"], x))
    for block in weights["blocks"]:
        stride = 2 if "short" in block else 1
        short = normed(block["short"], x, stride) if "short" in block else x
        y = jax.nn.relu(normed(block["first"], x, stride))
        x = jax.nn.relu(short + normed(block["second"], y))
    last, bias = weights["last"]
    return x.mean((1, 2)) @ last + bias


NETWORKS = (
    Network("F1", f1_weights, f1),
    Network("F1, longer", f1_weights, f1, share=4.0),
    Network("ResNet-8", resnet_weights, resnet, share=0.2),
)


class Side:
    """One of the trainings that take turns.

    Args:
        network: to train.
        kind: how its step is compiled.
        images: of a batch.
        total: number of steps.
    """

    def __init__(self, network: Network, kind: str, images: Any, total: int) -> None:
        self.weights = network.weights(np.random.default_rng(0))
        self.cool: ActCool | None = None
        optimizer = optax.with_extra_args_support(optax.sgd(LEARNING_RATE))
        if kind != PLAIN:
            self.cool = ActCool(network.forward, self.weights, images, total_steps=total)
            optimizer = self.cool.wrap(optax.sgd(1.0))
        self.state = optimizer.init(self.weights)
        self.is_steered_here = kind == BRANCH
        self.done = 0
        self.times: list[float] = []
        self.cpu: list[float] = []
        self.probes: list[int] = []
        self.value = jnp.zeros(())

        def train(weights: Any, state: Any, x: Any, y: Any) -> Any:
            def loss(weights: Any) -> Any:
                outputs = network.forward(weights, x)
                return optax.softmax_cross_entropy_with_integer_labels(outputs, y).mean()

            value, gradients = jax.value_and_grad(loss)(weights)
            inputs = {} if kind == PLAIN else {"inputs": (x,)}
            changes, state = optimizer.update(gradients, state, weights, **inputs)
            return optax.apply_updates(weights, changes), state, value

        if self.cool is not None and kind == TWICE:
            self.train: Callable[..., Any] = self.cool.jit(train, donate_argnums=(0, 1))
        else:
            self.train = jax.jit(train, donate_argnums=(0, 1))

    def block(self, batches: list[Any]) -> None:
        """Train on some batches and note the time."""
        start, start_cpu = time.perf_counter(), time.process_time()
        for x, y in batches:
            self.weights, self.state, self.value = self.train(self.weights, self.state, x, y)
            self.done += 1
            if self.cool is not None and self.is_steered_here:
                self.state = self.cool.steer(self.state, self.done)
        jax.block_until_ready((self.weights, self.state))
        self.times.append(time.perf_counter() - start)
        self.cpu.append(time.process_time() - start_cpu)
        if self.cool is not None:
            self.probes.append(self.cool.controller(self.state).n_probes)


def measure(network: Network, rounds: int) -> Iterator[dict[str, Any]]:
    """Train all sides in turns; each begins as often as the others."""
    blocks = max(5, round(rounds * network.share))
    found = learnable_data(4096, (1, 28, 28))
    images, labels = (part.numpy() for part in found)
    images = images.transpose(0, 2, 3, 1)
    kinds = [PLAIN, TWICE, BRANCH]
    sides = {kind: Side(network, kind, images[:BATCH], blocks * BLOCK) for kind in kinds}
    draw = np.random.default_rng(2)
    for turn in range(blocks):
        batches = []
        for _ in range(BLOCK):
            index = draw.integers(0, len(images), BATCH)
            batches.append((jnp.asarray(images[index]), jnp.asarray(labels[index])))
        jax.block_until_ready(batches)
        for kind in np.roll(kinds, turn):
            sides[str(kind)].block(batches)
    plain = sides[PLAIN]
    for kind in (TWICE, BRANCH):
        side = sides[kind]
        cost = cost_of(side, plain, (float(side.value), float(plain.value)))
        yield {"model": network.name, "step": kind, **asdict(cost)}


def options_of(parser: argparse.ArgumentParser) -> None:
    """Add the option that this benchmark alone has."""
    names = [network.name for network in NETWORKS]
    parser.add_argument("--only", choices=names, help="measure one network")


def main() -> None:
    options = arguments(__doc__ or "", rounds=STEPS // BLOCK, more=options_of)
    results = []
    for network in NETWORKS:
        if options.only not in (None, network.name):
            continue
        for found in measure(network, options.rounds):
            results.append(found)
            print(told(f"{found['model']:9s} {found['step']:15s}", found), flush=True)
        keep(options.json, results)


if __name__ == "__main__":
    main()
