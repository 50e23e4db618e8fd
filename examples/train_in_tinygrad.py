"""The recipe of train_in_numpy.py for a framework: tinygrad, which has no exporter of its own.

Run: python examples/train_in_tinygrad.py [FOLDER]; needs tinygrad.
"""

import sys
from pathlib import Path

import numpy as np
from tinygrad import Context, Tensor
from tinygrad.nn.optim import SGD
from train_in_numpy import BATCH, MOMENTUM, SIZES, Cooling, Weights, data, fresh, write

import reluflow

STEPS = 100


class Network:
    """The layers of train_in_numpy.py as tensors."""

    def __init__(self) -> None:
        """Begin with the weights of the other example."""
        self.weights = {name: Tensor(value) for name, value in fresh(0).items()}

    def __call__(self, x: Tensor) -> Tensor:
        """Return the logits of images."""
        for layer in range(len(SIZES) - 1):
            x = x @ self.weights[f"w{layer}"] + self.weights[f"b{layer}"]
            x = x if layer == len(SIZES) - 2 else x.relu()
        return x


def arrays(tensors: dict[str, Tensor]) -> Weights:
    """Return copies: the optimiser writes into the tensors."""
    return {name: np.array(tensor.numpy()) for name, tensor in tensors.items()}


def main(folder: Path) -> None:
    """Learn most of the images."""
    images, labels = data()
    random, network = np.random.default_rng(0), Network()
    optimizer = SGD(list(network.weights.values()), lr=0.0, momentum=MOMENTUM)
    first = write(arrays(network.weights), folder / "first.onnx")
    cooling = Cooling(first, SIZES[1:-1], STEPS)
    for _ in range(STEPS):
        batch = random.integers(0, 1600, BATCH)
        optimizer.zero_grad()
        output = network(Tensor(images[batch]))
        output.sparse_categorical_crossentropy(Tensor(labels[batch].astype(np.int32))).backward()
        before = arrays(network.weights)
        gradients = arrays({n: t.grad for n, t in network.weights.items() if t.grad is not None})

        # Called before the first step alone, when there is no velocity yet.
        def stepped(rate: float, w: Weights = before, g: Weights = gradients) -> Weights:
            return {name: value - np.float32(rate) * g[name] for name, value in w.items()}

        rate = cooling.rate(before, stepped, images[batch])
        optimizer.lr.assign(Tensor([rate], dtype=optimizer.lr.dtype)).realize()
        with Context(TRAINING=1):
            optimizer.step()
        if cooling.looks:
            cooling.see(before, arrays(network.weights), gradients, images[batch])
    right = (network(Tensor(images[1600:])).numpy().argmax(1) == labels[1600:]).mean()
    print(f"accuracy {right:.1%}, measured {cooling.controller.n_probes} of {STEPS} steps")
    write(arrays(network.weights), folder / "last.onnx")
    print(reluflow.compare(first, folder / "last.onnx", images[1600:]))


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "."))
