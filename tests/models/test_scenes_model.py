"""The shipped classifier of scenes agrees with its card."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from _scene_measure import accuracy, score_scene
from _scenes import Scene, halve, scene_set
from make_scenes import shipped_objects

FILE = Path(__file__).resolve().parents[2] / "models" / "fashion_scenes.onnx"
CARD = FILE.with_suffix(".md").read_text(encoding="utf-8")
N_FEW, SEED = 4, 1
"""The small set of scenes that the card names."""


def cells_of(name: str) -> list[str]:
    (row,) = re.findall(rf"^\| {re.escape(name)} \| (.*) \|$", CARD, re.MULTILINE)
    return [cell.strip("` ") for cell in row.split("|")]


@pytest.fixture(scope="module")
def session() -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(FILE, options, providers=["CPUExecutionProvider"])


@pytest.fixture(scope="module")
def scenes() -> list[Scene]:
    return list(scene_set(*shipped_objects(), N_FEW, SEED))


def test_nodes_and_interface_are_the_cards() -> None:
    model = onnx.load(FILE)
    onnx.checker.check_model(model, full_check=True)
    counts = Counter(node.op_type for node in model.graph.node)
    assert {op: [str(count)] for op, count in counts.items()} == {op: cells_of(op) for op in counts}
    assert counts == {"Conv": 8, "BatchNormalization": 7, "Relu": 7}
    assert f"Opset {model.opset_import[0].version}, IR version {model.ir_version}," in CARD


@pytest.mark.parametrize("sizes", [(1, 64, 96), (2, 33, 130), (3, 28, 28)])
def test_rows_and_columns_are_free(
    session: onnxruntime.InferenceSession, sizes: tuple[int, int, int]
) -> None:
    n, rows, columns = sizes
    image = np.random.default_rng(2).random((n, 1, rows, columns), np.float32)
    (logits,) = session.run(None, {"image": image})
    assert logits.shape == (n, 11, -(-rows // 4), -(-columns // 4))


def test_accuracy_on_a_few_scenes_is_the_cards(
    session: onnxruntime.InferenceSession, scenes: list[Scene]
) -> None:
    """Two objects either way leave room for another machine's rounding of a near tie."""
    right, of = map(int, cells_of("`fashion_scenes.onnx`")[2].split(" of "))
    maps = [session.run(None, {"image": scene.image[None]})[0][0] for scene in scenes]
    found = accuracy(score_scene(each, scene) for each, scene in zip(maps, scenes, strict=True))
    assert found.n_objects == of
    assert abs(found.objects * of - right) <= 2
    assert found.false_ground < 0.02
    full = float(cells_of("as composed")[1])
    assert full >= 0.8
    assert abs(right / of - full) < 3 * np.sqrt(full * (1 - full) / of)


def test_half_the_side_works_too_but_not_as_well(
    session: onnxruntime.InferenceSession, scenes: list[Scene]
) -> None:
    maps = [session.run(None, {"image": halve(scene.image)[None]})[0][0] for scene in scenes]
    found = accuracy(score_scene(each, scene) for each, scene in zip(maps, scenes, strict=True))
    full, half = (float(cells_of(name)[1]) for name in ("as composed", "at half the side"))
    assert full > half > 0.6
    assert abs(found.objects - half) < 3 * np.sqrt(half * (1 - half) / found.n_objects)
