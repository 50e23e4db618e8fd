"""Running a model from layer to layer over the same data, while its layers change."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from reluflow.data import DataSource
from reluflow.graph import Model
from reluflow.graph.tuning.layers import tensors_needed
from reluflow.graph.tuning.part import take_part
from reluflow.sessions import open_session

KEPT_BYTES = 2**29
"""Of the tensors of all inputs that are kept between two layers, 512 MB: beyond, a layer's inputs
are computed from those of an earlier one, or from the model's."""


class Stream:
    """Delivers the inputs of one layer after the other.

    The tensors that later layers need are kept where they take at most `KEPT_BYTES`, so that each
    node runs once per input; a layer must have its final numbers before the next one is asked for.

    Args:
        source: representative inputs, read again for every layer.
        size: inputs per run.
        threads: of ONNX Runtime.
        most: bytes that may be kept.
    """

    def __init__(
        self, source: DataSource, size: int, threads: int | None, most: int = KEPT_BYTES
    ) -> None:
        self._source, self._size, self._threads, self._most = source, size, threads, most
        self._kept: list[dict[str, np.ndarray]] = []

    def tensors(
        self, model: Model, layer: str, names: Sequence[str]
    ) -> Iterator[tuple[np.ndarray, ...]]:
        """Yield tensors that are known when a layer starts, batch by batch.

        Args:
            model: with its final numbers in all layers before this one.
            layer: the tensor that it makes.
            names: the tensors.
        """
        known = self._kept[0] if self._kept else {}
        own = {spec.name for spec in model.inputs}
        later = tensors_needed(model, layer)
        wanted = [name for name in dict.fromkeys((*names, *later)) if name not in {*known, *own}]
        part = take_part(model, known, wanted) if wanted else None
        session = open_session(part.model, threads=self._threads) if part else None
        kept: list[dict[str, np.ndarray]] | None = []
        total = 0.0
        for number, batch in enumerate(self._source.batches(self._size)):
            found = {**batch, **(self._kept[number] if known else {})}
            if part and session:
                made = session.run({name: found[name] for name in part.done})
                found.update(zip(session.outputs, made, strict=True))
            now = {name: found[name] for name in later}
            total += sum(_bytes(each) for each in now.values())
            if kept is None or total > self._most:
                kept = None
            else:
                kept.append(now)
            yield tuple(found[name] for name in names)
        if kept is not None:
            self._kept = kept


def _bytes(value: object) -> float:
    """Return the size of an array; what is none cannot be kept."""
    return value.nbytes if isinstance(value, np.ndarray) and value.dtype != object else np.inf
