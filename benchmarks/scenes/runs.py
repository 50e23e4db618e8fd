"""Attention over scenes: which pass comes first, how it is run, how long it takes."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scenes.data import halved

from reluflow.attention import AttentionSession, Pass, RegionOptions, open_map, open_pass
from reluflow.graph import Model, find_psb

OUTPUT = "logits"
FINE, SAMPLES = "int16", 16
"""Form and number of samples of pass 2, and of the dense pass."""
PASSES: dict[str, tuple[str, int, bool]] = {
    "bytes at half the side": ("bytes of halves", 16, True),
    "int16, 1 sample": ("int16", 1, False),
}
"""Pass 1 by its name in the tables: form, number of samples, whether it takes half the side."""

Picture = NDArray[np.float32]


@dataclass(frozen=True)
class Found:
    """What attention gave for one scene.

    Attributes:
        before: scores of pass 1, `(11, h, w)`.
        after: those of both passes.
        coverage: share of the pixels of the scores that pass 2 computed.
        share: of the dense pass's products that pass 2 computed.
        computed: bool, the pixels of the scores that pass 2 computed.
    """

    before: NDArray[Any]
    after: NDArray[Any]
    coverage: float
    share: float
    computed: NDArray[np.bool_]


class Attention:
    """One pass 1 with its pass 2, and the dense pass to compare them with.

    Args:
        made: forms of the network.
        name: one of `PASSES`.
        threads: of ONNX Runtime.
    """

    def __init__(self, made: Mapping[str, Model], name: str, threads: int = 1) -> None:
        form, self._samples, self._half = PASSES[name]
        self._fine, first = made[FINE], made[form]
        self._dense = open_pass(self._fine, SAMPLES, threads=threads)
        self._alone = open_pass(first, self._samples, threads=threads)
        unsure = open_map(first, {"image": (1, 1, 64, 64)}, tensor=OUTPUT, reading="softmax")
        coarse = None if form == FINE else first
        self._session = AttentionSession(
            self._fine, coarse, half=self._half, unsure=unsure, threads=threads
        )

    def run(self, image: Picture, options: RegionOptions) -> Found:
        """Answer one scene `(1, h, w)`."""
        run = self._session.run({"image": image[None]}, (self._samples, SAMPLES), options)
        before, after, masks = run.first[OUTPUT][0], run.answers[OUTPUT][0], run.masks
        computed = masks[OUTPUT][0]
        products = [(node.weights, masks[node.output]) for node in find_psb(self._fine)]
        made = sum(weights * int(mask.sum()) for weights, mask in products)
        share = made / sum(weights * mask.size for weights, mask in products)
        return Found(before, after, float(computed.mean()), share, computed)

    def alone(self, image: Picture, options: RegionOptions) -> None:
        """Do what `run` does for an answer, and no more: this is timed."""
        self._session.run({"image": image[None]}, (self._samples, SAMPLES), options)

    def dense(self, image: Picture) -> NDArray[Any]:
        """Return the scores of pass 2 computed everywhere."""
        return _scores(self._dense, image)

    def first(self, image: Picture) -> None:
        """Run pass 1 alone: this is timed."""
        _scores(self._alone, halved(image) if self._half else image)


def seconds_of(call: Callable[[], object]) -> float:
    """Return the CPU seconds of a call; in one thread other work does not count."""
    began = time.process_time()
    call()
    return time.process_time() - began


def _scores(one: Pass, image: Picture) -> NDArray[Any]:
    (outputs,), _ = one.run({"image": image[None]})
    return outputs[OUTPUT][0]
