"""What counts as right in a scene."""

from __future__ import annotations

import numpy as np
import pytest
from _scene_measure import SceneScore, accuracy, score_scene
from _scenes import GROUND, VOID, Scene, cell_labels, compose
from make_scenes import shipped_objects
from numpy.typing import NDArray


@pytest.fixture(scope="module")
def scene() -> Scene:
    images, labels = shipped_objects()
    return compose(images[:200], labels[:200], coverage=0.06, seed=4, size=(128, 256))


def perfect(scene: Scene, side: int) -> NDArray[np.float64]:
    cells = cell_labels(scene.labels, side)
    cells = np.where(cells == VOID, GROUND, cells)
    return np.moveaxis(8.0 * np.eye(GROUND + 1)[cells], -1, 0)


@pytest.mark.parametrize("side", [1, 2, 4, 8])
def test_the_labels_themselves_are_all_right(scene: Scene, side: int) -> None:
    found = score_scene(perfect(scene, side), scene)
    thin = {4: 1, 8: 2}.get(side, 0)  # objects without a cell that they cover by a quarter
    assert (~found.right).sum() <= thin
    assert found.n_false == 0
    assert found.n_ground == (cell_labels(scene.labels, side) == GROUND).sum() > 0


def test_one_wrong_object_and_one_wrong_cell_are_counted(scene: Scene) -> None:
    logits = perfect(scene, 4)
    row, column = scene.places[2] // 4
    logits[:, row : row + 8, column : column + 8] = 0
    logits[(scene.classes[2] + 1) % 10, row : row + 8, column : column + 8] = 8
    ground = np.argwhere(cell_labels(scene.labels, 4) == GROUND)
    inside = (np.abs(ground - (row + 3.5, column + 3.5)) <= 3.5).all(1)
    away = ground[~inside][0]
    logits[:, *away] = 0
    logits[3, *away] = 1
    found = score_scene(logits, scene)
    assert not found.right[2]
    assert found.right.sum() >= len(found.right) - 2
    assert found.n_false == 1 + inside.sum()


def test_an_object_taken_for_ground_is_wrong(scene: Scene) -> None:
    logits = np.zeros((GROUND + 1, 32, 64))
    logits[GROUND] = 1
    found = score_scene(logits, scene)
    assert not found.right.any()
    assert found.n_false == 0


def test_the_mean_probability_decides_not_the_mean_score(scene: Scene) -> None:
    """One cell with an enormous score does not outvote the others."""
    logits = perfect(scene, 2)
    row, column = np.argwhere(scene.number == 0)[50] // 2
    logits[(scene.classes[0] + 5) % 10, row, column] = 1e6
    assert score_scene(logits, scene).right[0]


@pytest.mark.parametrize("shape", [(11, 32, 63), (10, 32, 64), (11, 30, 64)])
def test_a_map_of_another_scene_is_refused(scene: Scene, shape: tuple[int, ...]) -> None:
    with pytest.raises(SystemExit, match=r"a scene of 128 x 256 pixels needs 11 scores"):
        score_scene(np.zeros(shape), scene)


def test_means_over_objects_and_over_scenes_differ() -> None:
    scores = [
        SceneScore(np.array([True]), 100, 1),
        SceneScore(np.array([True, False, False]), 300, 3),
    ]
    found = accuracy(scores)
    assert (found.n_objects, found.objects) == (4, 0.5)
    assert found.scenes == pytest.approx((1 + 1 / 3) / 2)
    assert found.false_ground == 0.01
