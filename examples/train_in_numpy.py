"""Train at a falling temperature without a framework: the steps are measured through ONNX.

The recipe for any framework that has no bridge: export the network once, and give its weights as
arrays before and after the steps that the controller asks for.

Run: python examples/train_in_numpy.py [FOLDER]
"""

import sys
from collections.abc import Callable, Mapping
from itertools import pairwise
from pathlib import Path

import numpy as np
from onnx import TensorProto, helper, numpy_helper, save

import reluflow
from reluflow.temperature import CrossingCool, PowerSchedule, StepMeter, start_for_widths

Weights = dict[str, np.ndarray]
SIZES = (784, 64, 32, 10)
STEPS, BATCH, MOMENTUM = 400, 100, 0.9
IMAGES = Path(__file__).parents[1] / "models" / "fashion_mnist_test_2000.npz"


class Cooling:
    """ActCool for any training loop: `rate` before every step, `see` after those it asks for."""

    def __init__(self, network: Path, widths: tuple[int, ...], total_steps: int) -> None:
        self.meter = StepMeter(network)
        start = start_for_widths(widths, "temperature")
        self.controller = CrossingCool(PowerSchedule(start, gamma=2.0))
        self.total_steps = total_steps

    def rate(
        self, weights: Weights, stepped: Callable[[float], Weights], batch: np.ndarray
    ) -> float:
        """Return the rate of the next step; `stepped` gives the weights after one of any rate."""
        return self.controller.next_rate(
            self.controller.steps / self.total_steps,
            lambda rate: self.meter.curves(weights, stepped(rate), batch, rate),
        )

    @property
    def looks(self) -> bool:
        """Whether the step with the latest rate is to be measured."""
        return self.controller.wants_curves

    def see(
        self,
        before: Weights,
        after: Weights,
        gradients: Mapping[str, np.ndarray],
        batch: np.ndarray,
    ) -> None:
        """Take in what the step changed."""
        rate, part = float(self.controller.rate or 0.0), self.controller.part()
        self.controller.observe(
            self.meter.curves(before, after, batch, rate, part=part),
            weight_norm=length(before),
            gradient_norm=length(gradients),
        )


def length(arrays: Mapping[str, np.ndarray]) -> float:
    """Return the Euclidean norm of all arrays together."""
    return float(np.sqrt(sum(float(np.vdot(a, a)) for a in arrays.values())))


def write(weights: Weights, path: Path) -> Path:
    """Write the network to an ONNX file, as the exporter of a framework would."""
    nodes, x = [], "image"
    for layer in range(len(SIZES) - 1):
        last = layer == len(SIZES) - 2
        y = "logits" if last else f"before{layer}"
        nodes.append(helper.make_node("Gemm", [x, f"w{layer}", f"b{layer}"], [y]))
        if not last:
            x = f"hidden{layer}"
            nodes.append(helper.make_node("Relu", [y], [x], f"relu{layer}"))
    graph = helper.make_graph(
        nodes,
        "digits",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, ["N", SIZES[0]])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["N", SIZES[-1]])],
        [numpy_helper.from_array(value, name) for name, value in weights.items()],
    )
    save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    return path


def fresh(seed: int) -> Weights:
    """Return weights to begin with."""
    random, weights = np.random.default_rng(seed), {}
    for layer, (inputs, units) in enumerate(pairwise(SIZES)):
        scale = np.sqrt(2.0 / inputs)
        weights[f"w{layer}"] = (scale * random.normal(size=(inputs, units))).astype(np.float32)
        weights[f"b{layer}"] = np.zeros(units, np.float32)
    return weights


def logits(weights: Weights, x: np.ndarray) -> list[np.ndarray]:
    """Return the inputs of all layers, and the logits at the end."""
    values = [x]
    for layer in range(len(SIZES) - 1):
        x = x @ weights[f"w{layer}"] + weights[f"b{layer}"]
        x = x if layer == len(SIZES) - 2 else np.maximum(x, 0)
        values.append(x)
    return values


def gradients_of(weights: Weights, x: np.ndarray, labels: np.ndarray) -> Weights:
    """Return the derivatives of the mean cross entropy."""
    *inputs, out = logits(weights, x)
    delta = np.exp(out - out.max(1, keepdims=True))
    delta /= delta.sum(1, keepdims=True)
    delta[np.arange(len(labels)), labels] -= 1.0
    delta /= len(labels)
    found: Weights = {}
    for layer in reversed(range(len(inputs))):
        found[f"w{layer}"], found[f"b{layer}"] = inputs[layer].T @ delta, delta.sum(0)
        delta = (delta @ weights[f"w{layer}"].T) * (inputs[layer] > 0)
    return found


def data() -> tuple[np.ndarray, np.ndarray]:
    """Return images as rows, and their labels."""
    with np.load(IMAGES) as file:
        return file["image"].reshape(-1, SIZES[0]), file["label"]


def main(folder: Path) -> None:
    """Learn most of the images, and compare what the network does to the others."""
    images, labels = data()
    random, weights = np.random.default_rng(0), fresh(0)
    velocity = {name: np.zeros_like(value) for name, value in weights.items()}
    cooling = Cooling(write(weights, folder / "first.onnx"), SIZES[1:-1], STEPS)
    for _ in range(STEPS):
        batch = random.integers(0, 1600, BATCH)
        gradients = gradients_of(weights, images[batch], labels[batch])
        velocity = {name: MOMENTUM * velocity[name] + gradients[name] for name in weights}

        def stepped(rate: float, old: Weights = weights, way: Weights = velocity) -> Weights:
            return {name: w - np.float32(rate) * way[name] for name, w in old.items()}

        before, weights = weights, stepped(cooling.rate(weights, stepped, images[batch]))
        if cooling.looks:
            cooling.see(before, weights, gradients, images[batch])
    right = (logits(weights, images[1600:])[-1].argmax(1) == labels[1600:]).mean()
    print(f"accuracy {right:.1%}, measured {cooling.controller.n_probes} of {STEPS} steps")
    write(weights, folder / "last.onnx")
    print(reluflow.compare(folder / "first.onnx", folder / "last.onnx", images[1600:]))


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "."))
