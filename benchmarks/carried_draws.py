"""The effect of carrying systematic draws along the channel, and of rounding to nearest.

Accuracy of the shipped ResNet-8 with p in 4 bits on the 2,000 shipped images, at few samples:
carried draws (what the operators do), independent ones (a u for each weight, `floor(n p + u)`)
and nearest. Independent draws are stored as the weights of a model that rounds to nearest,
each as k / n, so that all three run through the same operators.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from _support import keep
from onnx import numpy_helper

from reluflow.graph import Model, PsbOptions, fold_batchnorm, load, psb_inputs, to_psb, with_sampler
from reluflow.sessions import open_session

MODELS = Path(__file__).resolve().parents[1] / "models"
SAMPLES = (1, 2, 4)
P_BITS = 4
BATCH = 250


def independent(model: Model, n: int, seed: int) -> Model:
    """Return the float model with weights s 2^e (1 + k / n), k drawn for each weight alone."""
    rng = np.random.default_rng(seed)
    folded = fold_batchnorm(model).model
    for tensor in folded._proto.graph.initializer:
        weights = numpy_helper.to_array(tensor)
        if weights.ndim < 2 or weights.dtype != np.float32:
            continue
        size = np.abs(weights.astype(np.float64))
        e = np.floor(np.log2(np.where(size > 0, size, 1)))
        p = np.round((size / np.exp2(e) - 1) * 2**P_BITS) / 2**P_BITS
        k = np.floor(n * p + rng.random(p.shape))
        drawn = np.where(size > 0, np.sign(weights) * np.exp2(e) * (1 + k / n), 0)
        tensor.CopyFrom(numpy_helper.from_array(drawn.astype(np.float32), tensor.name))
    return folded


def accuracies(
    model: Model, images: np.ndarray, labels: np.ndarray, n: int, seeds: int
) -> list[float]:
    """Return the accuracy at n samples, one per seed."""
    session = open_session(model, threads=1, library=True)
    samples, seed = psb_inputs(model)
    found = []
    for number in range(seeds):
        right = 0
        for start in range(0, len(images), BATCH):
            batch = images[start : start + BATCH]
            chosen = {samples: np.array(n, np.int64), seed: np.array(number, np.int64)}
            (scores,) = session.run({model.inputs[0].name: batch, **chosen})
            right += int((scores.argmax(1) == labels[start : start + BATCH]).sum())
        found.append(right / len(images))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--seeds", type=int, default=8)
    parser.add_argument("--json", type=Path, help="keep the results in this file")
    options = parser.parse_args()
    model = load(MODELS / "fashion_resnet8.onnx")
    shipped = np.load(MODELS / "fashion_mnist_test_2000.npz")
    images, labels = shipped["image"], shipped["label"]
    ours = to_psb(model, PsbOptions(p_bits=P_BITS)).model
    rounding = with_sampler(ours, "nearest").model
    rows = []
    print("| n | carried | independent | nearest |\n|---|---|---|---|")
    for n in SAMPLES:
        alone = (
            to_psb(independent(model, n, seed), PsbOptions(p_bits=16, sampler="nearest")).model
            for seed in range(options.seeds)
        )
        found = {
            "carried": accuracies(ours, images, labels, n, options.seeds),
            "independent": [accuracies(each, images, labels, 64, 1)[0] for each in alone],
            "nearest": accuracies(rounding, images, labels, n, 1),
        }
        means = {how: float(np.mean(values)) for how, values in found.items()}
        cells = [f"{100 * np.mean(v):.2f} ± {100 * np.std(v):.2f}" for v in found.values()]
        print(f"| {n} | " + " | ".join(cells) + " |", flush=True)
        deviations = {how: float(np.std(values)) for how, values in found.items()}
        rows.append({"n": n, "means": means, "deviations": deviations, "values": found})
        keep(options.json, {"p_bits": P_BITS, "seeds": options.seeds, "rows": rows})


if __name__ == "__main__":
    main()
