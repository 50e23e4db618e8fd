"""What a map of scores gets right in a scene: classes of objects, cells of ground."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from _scenes import CELL_SHARE, GROUND, SIDE, Scene, cell_labels, cell_shares
from numpy.typing import NDArray


@dataclass(frozen=True)
class SceneScore:
    """How much of one scene is right.

    Attributes:
        right: bool `(n,)`: whether each object got its class.
        n_ground: cells without any pixel of an object.
        n_false: those of them that were called an object.
    """

    right: NDArray[np.bool_]
    n_ground: int
    n_false: int


@dataclass(frozen=True)
class Accuracy:
    """Measures of a set of scenes, fractions in [0, 1].

    Attributes:
        n_objects: number of objects in all scenes.
        objects: share of all objects that got their class.
        scenes: mean over scenes of the share of the scene's objects that got their class.
        false_ground: share of all cells of ground that were called an object.
    """

    n_objects: int
    objects: float
    scenes: float
    false_ground: float


def score_scene(logits: NDArray[np.floating], scene: Scene) -> SceneScore:
    """Judges one map of scores.

    The class of an object is the one with the largest mean probability (softmax over the eleven
    scores) over its cells, those that it covers by a quarter or more; of a thin object without
    such a cell, those that it covers most. The ground counts as an answer, a wrong one.

    Args:
        logits: `(11, rows, columns)`, the ground last.
        scene: to which they belong.

    Returns:
        What is right.

    Raises:
        SystemExit: the map has another shape than the scene has cells.
    """
    height, width = scene.labels.shape
    side = round(height / logits.shape[1])
    if logits.shape != (GROUND + 1, -(-height // side), -(-width // side)):
        raise SystemExit(
            f"logits are {list(logits.shape)}, but a scene of {height} x {width} pixels needs "
            f"{GROUND + 1} scores for each of its square cells; give a map of this scene."
        )
    above = np.exp(logits - logits.max(0))
    probabilities = above / above.sum(0)
    right = [
        _class_in(probabilities, scene, number, side) == label
        for number, label in enumerate(scene.classes)
    ]
    ground = cell_labels(scene.labels, side) == GROUND
    called = probabilities.argmax(0) != GROUND
    return SceneScore(np.array(right, bool), int(ground.sum()), int((called & ground).sum()))


def _class_in(probabilities: NDArray[np.floating], scene: Scene, number: int, side: int) -> int:
    """Returns the answer for one object: a class, or `GROUND`."""
    row, column = scene.places[number] // side
    last = (scene.places[number] + SIDE - 1) // side + 1
    box = (slice(row, last[0]), slice(column, last[1]))
    pixels = tuple(slice(part.start * side, part.stop * side) for part in box)
    shares = cell_shares(scene.number[pixels] == number, side)
    cells = shares >= min(CELL_SHARE, shares.max())
    return int(probabilities[:, *box][:, cells].mean(1).argmax())


def accuracy(scores: Iterable[SceneScore]) -> Accuracy:
    """Adds up the scenes of a set.

    Args:
        scores: one per scene, at least one, each with an object.

    Returns:
        The measures of the set.
    """
    known = list(scores)
    right = np.concatenate([score.right for score in known])
    return Accuracy(
        n_objects=len(right),
        objects=float(right.mean()),
        scenes=float(np.mean([score.right.mean() for score in known])),
        false_ground=sum(s.n_false for s in known) / max(sum(s.n_ground for s in known), 1),
    )
