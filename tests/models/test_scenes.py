"""The composer of wide scenes: what it puts where, what it labels, what it refuses."""

from __future__ import annotations

import numpy as np
import pytest
from _scenes import (
    DARKEST,
    GAP,
    GROUND,
    SIDE,
    VOID,
    Scene,
    cell_labels,
    cell_shares,
    compose,
    halve,
    scene_set,
)
from _textures import CONTRASTS, KINDS, TEST_KINDS, TRAINING_KINDS, UNSEEN_KINDS, draw_texture
from make_scenes import as_arrays, shipped_objects
from numpy.typing import NDArray

Objects = tuple[NDArray[np.uint8], NDArray[np.int64]]


@pytest.fixture(scope="module")
def objects() -> Objects:
    images, labels = shipped_objects()
    return images[:300], labels[:300]


@pytest.fixture(scope="module")
def scenes(objects: Objects) -> list[Scene]:
    return list(scene_set(*objects, n=5, seed=3, size=(130, 402)))


def test_objects_cover_what_was_asked_for_and_not_one_more(
    objects: Objects, scenes: list[Scene]
) -> None:
    largest = max(int((image >= DARKEST).sum()) for image in objects[0])
    for scene, wanted in zip(scenes, np.linspace(0.01, 0.1, 5), strict=True):
        assert wanted <= scene.coverage < wanted + largest / scene.labels.size
        assert scene.coverage == (scene.labels != GROUND).mean()


def test_a_pixel_has_the_value_and_the_label_of_its_object(
    objects: Objects, scenes: list[Scene]
) -> None:
    images, labels = objects
    for scene in scenes:
        for number, ((row, column), label) in enumerate(
            zip(scene.places, scene.classes, strict=True)
        ):
            box = (slice(row, row + SIDE), slice(column, column + SIDE))
            inside = scene.number[box] == number
            stored = np.rint(scene.image[0][box] * 255) * inside
            of_class = images[labels == label].astype(float)
            kept = of_class * (of_class >= DARKEST)
            kept = np.concatenate([kept, kept[..., ::-1]])
            assert (kept == stored).all((1, 2)).any()
            assert (scene.labels[box][inside] == label).all()
            assert (scene.number == number).sum() == inside.sum()


def test_the_ground_is_what_its_texture_has(scenes: list[Scene], objects: Objects) -> None:
    empty = compose(*objects, coverage=1e-6, seed=8, size=(60, 90), kinds=("rings",))
    assert len(empty.classes) == 1
    for scene in scenes:
        ground = scene.image[0][scene.number < 0]
        assert np.ptp(ground) >= CONTRASTS[0] * 0.99
        assert ground.std() > 0.01
        assert (0 <= scene.image).all() and (scene.image <= 1).all()
        assert scene.image.dtype == np.float32


def test_boxes_keep_their_distance(scenes: list[Scene]) -> None:
    for scene in scenes:
        apart = np.abs(scene.places[:, None] - scene.places[None]).max(-1)
        np.fill_diagonal(apart, 10**6)
        assert apart.min() >= SIDE + GAP
        assert (scene.places >= 0).all()
        assert (scene.places + SIDE <= scene.labels.shape).all()


def test_a_seed_is_a_scene(objects: Objects) -> None:
    def made(seed: int) -> Scene:
        return compose(*objects, coverage=0.05, seed=seed, size=(96, 128))

    first, again, other = made(5), made(5), made(6)
    assert np.array_equal(first.image, again.image)
    assert np.array_equal(first.number, again.number)
    assert not np.array_equal(first.number, other.number)


def test_sets_take_the_kinds_in_turn_in_their_own_order(objects: Objects) -> None:
    kinds = TEST_KINDS[:4]
    found = [
        [scene.kind for scene in scene_set(*objects, n=6, seed=seed, size=(128, 192), kinds=kinds)]
        for seed in range(4)
    ]
    for each in found:
        assert set(each[:4]) == set(kinds)
        assert each[4:] == each[:2]
    assert len({tuple(each) for each in found}) > 1


def test_some_kinds_of_ground_are_only_in_the_test() -> None:
    assert not set(TRAINING_KINDS) & set(UNSEEN_KINDS)
    assert set(TRAINING_KINDS) | set(UNSEEN_KINDS) == set(TEST_KINDS) == set(KINDS)


@pytest.mark.parametrize("kind", KINDS)
def test_a_texture_is_seeded_and_not_trivial(kind: str) -> None:
    drawn = [draw_texture(kind, seed, (60, 90)) for seed in (1, 1, 2)]
    assert np.array_equal(drawn[0], drawn[1])
    assert not np.array_equal(drawn[0], drawn[2])
    for each in drawn:
        assert each.shape == (60, 90)
        assert each.dtype == np.float32
        assert 0 <= each.min() <= each.max() - CONTRASTS[0] * 0.99 and each.max() <= 1
        assert len(np.unique(each)) > 2


def by_hand(labels: NDArray[np.uint8], side: int, row: int, column: int) -> int:
    cell = labels[row * side : (row + 1) * side, column * side : (column + 1) * side]
    counts = [int((cell == label).sum()) for label in range(GROUND)]
    if not any(counts):
        return GROUND
    return int(np.argmax(counts)) if max(counts) * 4 >= side * side else VOID


@pytest.mark.parametrize("side", [4, 8, 5])
def test_the_label_of_a_cell_is_that_of_its_pixels(scenes: list[Scene], side: int) -> None:
    labels = scenes[4].labels
    found = cell_labels(labels, side)
    assert found.shape == (-(-labels.shape[0] // side), -(-labels.shape[1] // side))
    wanted = [[by_hand(labels, side, r, c) for c in range(found.shape[1])] for r in range(9)]
    assert np.array_equal(found[:9], wanted)
    assert {GROUND, VOID} < set(found.flat)


def test_the_share_of_a_cell() -> None:
    mask = np.zeros((5, 6), bool)
    mask[0, :3] = mask[4, 5] = True
    assert np.array_equal(cell_shares(mask, 4), [[3 / 16, 0], [0, 1 / 16]])


@pytest.mark.parametrize("shape", [(1, 4, 6), (2, 1, 5, 7), (3, 3)])
def test_half_the_side_is_the_mean_of_four(shape: tuple[int, ...]) -> None:
    image = np.random.default_rng(1).random(shape, np.float32)
    found = halve(image)
    assert found.shape == (*shape[:-2], shape[-2] // 2, shape[-1] // 2)
    assert found.dtype == np.float32
    assert found[..., 0, 0] == pytest.approx(image[..., :2, :2].mean((-1, -2)))


def test_arrays_of_a_set(scenes: list[Scene]) -> None:
    arrays = as_arrays(scenes)
    assert arrays["image"].shape == (5, 1, 130, 402)
    assert len(arrays["scene"]) == len(arrays["classes"]) == len(arrays["places"])
    for number, scene in enumerate(scenes):
        assert np.array_equal(arrays["classes"][arrays["scene"] == number], scene.classes)


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        ({"coverage": 0.0}, r"coverage is 0.0; give a share above 0"),
        ({"coverage": 1.5}, r"coverage is 1.5; give a share"),
        ({"coverage": 0.9}, r"coverage is 0.9, but only 0.\d+ found a place in 96 x 128 pixels"),
        ({"size": (20, 400)}, r"size is \(20, 400\); give rows and columns, each at least 28"),
        ({"size": (96, 128, 3)}, r"size is .*give rows and columns"),
        ({"kinds": ()}, r"kinds are none; name at least one texture"),
        ({"kinds": ("marble",)}, r"kind is 'marble', but the textures are clouds, "),
        ({"images": np.zeros((3, 28, 28))}, r"images are float64 \[3, 28, 28\]; give uint8"),
        ({"images": np.zeros((3, 20, 28), np.uint8)}, r"images are uint8 \[3, 20, 28\]"),
        ({"images": np.zeros((0, 28, 28), np.uint8)}, r"images are uint8 \[0, 28, 28\]"),
        ({"labels": np.zeros(3, int)}, r"labels are \[3\] from 0 to 0; give one for each of"),
        ({"labels": np.full(300, 10)}, r"labels are \[300\] from 10 to 10"),
        ({"labels": np.full(300, -1)}, r"labels are \[300\] from -1 to -1"),
    ],
)
def test_bad_arguments_get_a_sentence(
    objects: Objects, changed: dict[str, object], sentence: str
) -> None:
    arguments: dict[str, object] = {
        "images": objects[0],
        "labels": objects[1],
        "coverage": 0.05,
        "seed": 0,
        "size": (96, 128),
    }
    with pytest.raises(SystemExit, match=sentence):
        compose(**(arguments | changed))  # type: ignore[arg-type]


def test_a_set_needs_scenes_and_textures(objects: Objects) -> None:
    with pytest.raises(SystemExit, match=r"n is 0; give a number of scenes from 1 on"):
        list(scene_set(*objects, n=0, seed=0))
    with pytest.raises(SystemExit, match=r"kinds are none; name at least one"):
        list(scene_set(*objects, n=1, seed=0, kinds=()))
