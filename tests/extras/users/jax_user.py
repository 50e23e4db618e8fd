"""A user of the extra jax alone trains at a temperature and exports; arguments: data, folder."""

import sys
from typing import Any

import jax
import numpy as np
import optax
from flax import nnx

from reluflow_jax import ActCool, count_patterns, distance, export

BATCH, EPOCHS = 50, 4
data, folder = sys.argv[1:]
with np.load(data) as stored:
    images, labels = stored["image"].reshape(-1, 784), stored["label"]
batches = [slice(start, start + BATCH) for start in range(0, 1500, BATCH)]
keys = nnx.Rngs(0)
model = nnx.Sequential(
    nnx.Linear(784, 64, rngs=keys),
    nnx.relu,
    nnx.Linear(64, 32, rngs=keys),
    nnx.relu,
    nnx.Linear(32, 10, rngs=keys),
)
graph, start = nnx.split(model)


def forward(weights: Any, x: Any) -> Any:
    """Return the logits of a batch."""
    return nnx.merge(graph, weights, copy=True)(x)


def loss(weights: Any, x: Any, y: Any) -> Any:
    """Return the mean cross entropy."""
    return optax.softmax_cross_entropy_with_integer_labels(forward(weights, x), y).mean()


cool = ActCool(forward, start, images[:BATCH], total_steps=EPOCHS * len(batches))
optimizer = cool.wrap(optax.adam(1.0))


@cool.jit
def train(weights: Any, state: Any, x: Any, y: Any) -> Any:
    """Make one step."""
    gradients = jax.grad(loss)(weights, x, y)
    changes, state = optimizer.update(gradients, state, weights, inputs=(x,))
    return optax.apply_updates(weights, changes), state


weights, state = start, optimizer.init(start)
for _ in range(EPOCHS):
    for batch in batches:
        weights, state = train(weights, state, images[batch], labels[batch])
for name, each in (("early", start), ("late", weights)):
    export(nnx.merge(graph, each, copy=True), f"{folder}/{name}.onnx", images[:BATCH])
assert distance(forward, start, weights, images[:200]).mean_distance > 0.1
assert len(count_patterns(forward, weights, [images[:200]])) == 2
