"""Early exit: a run with few samples, and one with more only where the first is not sure."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reluflow.attention.threshold import threshold_for_loss
from reluflow.edge.program import EdgeProgram, EdgeTensor
from reluflow.edge.run import input_bytes, run
from reluflow.errors import OptionError

MOST_MARGIN = (1 << 32) - 1
_LEAST_CLASSES = 2


@dataclass(frozen=True, slots=True)
class EdgeCascade:
    """A cascade of a program; `choose_cascade` makes it.

    Attributes:
        output: name of the output whose numbers are compared.
        samples: of both passes.
        margin: a first pass is sure where its largest number is larger than the second largest by
            this much or more.
        stops: share of the inputs it was chosen on for which one pass is enough.
        differs: share of them whose class is another than that of the second pass alone.
        inputs: how many they were.
        seed: of the first of them; each takes the next.

    Example:
        >>> EdgeCascade("logits", (2, 16), margin=4, stops=0.8, differs=0.0, inputs=30).samples
        (2, 16)
    """

    output: str
    samples: tuple[int, int]
    margin: int
    stops: float
    differs: float
    inputs: int
    seed: int = 0

    def shift_adds(self, program: EdgeProgram) -> float:
        """Return the shift-adds of an inference, on average over the inputs it was chosen on.

        Args:
            program: that it runs.
        """
        first, second = (program.shift_adds(n) for n in self.samples)
        return first + (1 - self.stops) * second


def margin_of(values: NDArray[Any]) -> int:
    """Return the distance of the two largest numbers; equal ones have none.

    Args:
        values: whole numbers, at least two.

    Example:
        >>> margin_of(np.array([[3, -2, 8, 1]], np.int32))
        5
    """
    second, first = np.sort(values.reshape(-1).astype(np.int64))[-2:].tolist()
    return int(first - second)


def run_cascade(
    program: EdgeProgram,
    cascade: EdgeCascade,
    feeds: Mapping[str, NDArray[Any]],
    seed: int = 0,
) -> tuple[dict[str, NDArray[Any]], int]:
    """Return the outputs of one inference and the number of passes, as the C computes them.

    Args:
        program: of `lower`.
        cascade: of `choose_cascade`.
        feeds: as for `run`.
        seed: of the draws of both passes.

    Example:
        >>> import reluflow
        >>> from reluflow.edge import lower
        >>> made = reluflow.convert(
        ...     "models/fashion_convnet8.onnx", check=False, x_bits=8, limit=8,
        ...     calibration="models/fashion_mnist_test_2000.npz")
        >>> image = {"image": np.load("models/fashion_mnist_test_2000.npz")["image"][:1]}
        >>> easy = EdgeCascade("logits", (1, 16), 0, 1.0, 0.0, 1)
        >>> run_cascade(lower(made.model), easy, image)[1]
        1

    Reference: docs/edge.md; thesis 4.2.5.
    """
    fed = input_bytes(program, feeds)
    first = run(program, fed, cascade.samples[0], seed)
    if margin_of(first[cascade.output]) >= cascade.margin:
        return first, 1
    return run(program, fed, cascade.samples[1], seed), 2


def choose_cascade(
    program: EdgeProgram,
    inputs: Iterable[Mapping[str, NDArray[Any]]],
    samples: tuple[int, int],
    loss: float,
    seed: int = 0,
    confidence: float = 0.95,
) -> EdgeCascade:
    """Return a cascade with the smallest margin that keeps the class of the second pass.

    Input k is run with seed + k, once with each number of samples. It is lost where both passes
    give another class. At that confidence no more than `loss` of such inputs are lost
    (`reluflow.attention.threshold_for_loss`); no labels are needed.

    Args:
        program: of `lower`.
        inputs: that the margin is chosen on, as for `run`.
        samples: of both passes.
        loss: the largest share of inputs with another class.
        seed: of the first input.
        confidence: with which that loss is kept, in (0, 1).

    Raises:
        OptionError: no output has one number for each class, or too few inputs to keep a loss.

    Example:
        >>> import reluflow
        >>> from reluflow.edge import lower
        >>> data = "models/fashion_mnist_test_2000.npz"
        >>> made = reluflow.convert("models/fashion_convnet8.onnx", check=False, x_bits=8, limit=8,
        ...     calibration=data)
        >>> program = lower(made.model)
        >>> images = [{"image": image[None]} for image in np.load(data)["image"][:30]]
        >>> cascade = choose_cascade(program, images, samples=(2, 16), loss=0.2)
        >>> cascade.inputs, cascade.shift_adds(program) < program.shift_adds(16)
        (30, True)
    """
    output = _scores(program).name
    margins: list[int] = []
    changed: list[bool] = []
    for k, each in enumerate(inputs):
        fed = input_bytes(program, each)
        first, second = (run(program, fed, n, seed + k)[output] for n in samples)
        margins.append(margin_of(first))
        changed.append(int(first.argmax()) != int(second.argmax()))
    n = len(margins)
    least = math.ceil(math.log(1 - confidence) / math.log(1 - loss)) if 0 < loss < 1 else 1
    if n < least or not n:
        raise OptionError(
            f"loss is {loss}, but a cascade was to be chosen on {n} inputs; give at least "
            f"{max(1, least)} calibration inputs, or a larger loss."
        )
    given = np.array(margins, np.float64)
    harmed = np.array(changed, np.bool_)
    threshold = threshold_for_loss(-given, harmed, loss, confidence if loss < 1 else None)
    margin = MOST_MARGIN if math.isinf(threshold) else int(-threshold)
    stops = given >= margin
    return EdgeCascade(
        output, samples, margin, float(stops.mean()), float((harmed & stops).mean()), n, seed
    )


def _scores(program: EdgeProgram) -> EdgeTensor:
    """Return the first output with one whole number for each class."""
    for name in program.outputs:
        tensor = program.tensors[name]
        if not tensor.is_bytes and tensor.count == max(tensor.shape) >= _LEAST_CLASSES:
            return tensor
    listed = ", ".join(f"{n!r} {list(program.tensors[n].shape)}" for n in program.outputs)
    raise OptionError(
        f"a cascade needs an output with one number for each class; the model has {listed}. Give a "
        "classifier whose logits or probabilities are an output, or leave the cascade out."
    )
