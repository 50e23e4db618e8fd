"""The card of the classifier of scenes: its file, what it takes, how it was measured and made."""

from __future__ import annotations

import platform
from collections import Counter
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from _card import sha256_of
from _fashion_mnist import CLASS_NAMES
from _scene_measure import Accuracy, accuracy, score_scene
from _scene_training import SceneSettings
from _scenes import Scene, halve, scene_set
from _textures import UNSEEN_KINDS
from numpy.typing import NDArray

N_SCENES, SEED = 40, 0
"""The set of scenes of the card's accuracy."""
N_FEW = 4
"""The set of the accuracy that tests look at again."""


@dataclass(frozen=True)
class SceneFacts:
    """What the card states about the file.

    Attributes:
        n_bytes: its size in bytes.
        sha256: of its bytes, in hexadecimal.
        n_parameters: trained values.
        op_counts: number of nodes of each operator.
        opset: of the default domain.
        ir_version: of the file.
        full: accuracy on the set of scenes.
        unseen: accuracy on those of them whose kind of ground was not in training.
        half: accuracy on the same scenes at half the side.
        few_right: objects of a small set that get their class, and how many it has.
    """

    n_bytes: int
    sha256: str
    n_parameters: int
    op_counts: dict[str, int]
    opset: int
    ir_version: int
    full: Accuracy
    unseen: Accuracy
    half: Accuracy
    few_right: tuple[int, int]


def accuracy_of(path: Path, scenes: list[Scene], *, half: bool = False) -> Accuracy:
    """Measures a file in ONNX Runtime on the CPU, one scene at a time.

    Args:
        path: a model with input `image` and output `logits`.
        scenes: at least one.
        half: whether it is given the scenes at half the side.

    Returns:
        What it gets right.
    """
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    return accuracy(
        score_scene(session.run(["logits"], {"image": picture[None]})[0][0], scene)
        for scene in scenes
        for picture in (halve(scene.image) if half else scene.image,)
    )


def scene_facts(path: Path, images: NDArray[np.uint8], labels: NDArray[np.int64]) -> SceneFacts:
    """Measures a model file on scenes of the shipped test images.

    Args:
        path: the .onnx file.
        images: uint8 `(2000, 28, 28)`.
        labels: int64 `(2000,)`.
    """
    proto = onnx.load(path)
    sizes = {tensor.name: int(np.prod(tensor.dims)) for tensor in proto.graph.initializer}
    running = ("running_mean", "running_var")
    scenes = list(scene_set(images, labels, N_SCENES, SEED))
    few = accuracy_of(path, list(scene_set(images, labels, N_FEW, SEED + 1)))
    return SceneFacts(
        n_bytes=path.stat().st_size,
        sha256=sha256_of(path),
        n_parameters=sum(size for name, size in sizes.items() if not name.endswith(running)),
        op_counts=dict(Counter(node.op_type for node in proto.graph.node)),
        opset=next(entry.version for entry in proto.opset_import if not entry.domain),
        ir_version=proto.ir_version,
        full=accuracy_of(path, scenes),
        unseen=accuracy_of(path, [scene for scene in scenes if scene.kind in UNSEEN_KINDS]),
        half=accuracy_of(path, scenes, half=True),
        few_right=(round(few.objects * few.n_objects), few.n_objects),
    )


def card_text(facts: SceneFacts, settings: SceneSettings, threads: int, command: str) -> str:
    """Writes the Markdown card: what, interface, measures, data, recipe, versions, licence.

    Args:
        facts: of the file.
        settings: those of the run.
        threads: of torch.
        command: that makes the file.

    Returns:
        The text of the card.
    """
    packages = ("torch", "onnx", "onnxruntime", "numpy", "scipy")
    return CARD.format(
        facts=facts,
        nodes="\n".join(f"| {op} | {count} |" for op, count in sorted(facts.op_counts.items())),
        few="{} of {}".format(*facts.few_right),
        accuracies="\n".join(
            f"| {name} | {found.n_objects} | {found.objects:.4f} | {found.scenes:.4f} "
            f"| {found.false_ground:.4f} |"
            for name, found in (
                ("as composed", facts.full),
                ("those on unseen kinds of ground", facts.unseen),
                ("at half the side", facts.half),
            )
        ),
        n_few=N_FEW,
        few_seed=SEED + 1,
        n_scenes=N_SCENES,
        seed=SEED,
        classes=", ".join(CLASS_NAMES),
        unseen=" and ".join(UNSEEN_KINDS),
        settings="\n".join(f"| {name} | {value} |" for name, value in asdict(settings).items()),
        command=command,
        threads=threads,
        python=platform.python_version(),
        machine=platform.machine(),
        versions=", ".join(f"{package} {version(package)}" for package in packages),
    )


CARD = """# fashion_scenes

A fully convolutional classifier of wide scenes: pictures of FashionMNIST on a textured ground. For
each 4 x 4 pixels it gives scores of the ten classes and of the ground. Seven 3 x 3 convolutions,
the first two with stride 2, and one of 1 x 1; each value of the output sees 47 x 47 pixels. Batch
normalisation stays in the file as nodes of its own. It was trained at full and at half the side,
so that it also works on a scene whose side was halved.

| file | bytes | objects right | of a few scenes | sha256 |
| --- | --- | --- | --- | --- |
| `fashion_scenes.onnx` | {facts.n_bytes:,} | {facts.full.objects:.4f} | {few} | `{facts.sha256}` |

Measured in ONNX Runtime (CPU, float32) on {n_scenes} scenes of 256 x 1024 pixels, set {seed}, and
on {n_few} scenes of set {few_seed} (`make_scenes.py --seed`). An object is right where the largest
mean probability over its cells is that of its class; the ground as an answer is wrong.

| scenes | objects | objects right | mean over scenes | ground called an object |
| --- | --- | --- | --- | --- |
{accuracies}

## Interface

* Input `image`: float32 `[N, 1, rows, columns]`, the grey value over 255, so in [0, 1]; N, rows and
  columns are free.
* Output `logits`: float32 `[N, 11, rows / 4, columns / 4]`, rounded up, in the order
  {classes}, ground.
* Opset {facts.opset}, IR version {facts.ir_version}, {facts.n_parameters:,} trained parameters.

| operator | nodes |
| --- | --- |
{nodes}

## Data

Scenes that `_scenes.py` composes: objects of FashionMNIST (Zalando SE, 2017, MIT licence) on
grounds that `_textures.py` draws. Training used the 60,000 training images; the measured scenes
have the first 2,000 test images, on other textures of the same kinds and on kinds that training had
none of ({unseen}). None of them took part in training. An earlier recipe, with
fewer kinds of ground and more contrast, was measured on such scenes, and changed for what that
showed: the kinds called unseen are two that it did well on.

## Recipe

    {command}

AdamW and OneCycle on crops that are composed as it goes, every other one at half the side. The last
step is shipped.

| setting | value |
| --- | --- |
{settings}

Made with {versions}, Python {python}, on the CPU
({machine}) with {threads} threads. The same versions, processor and thread count give the same
weights; elsewhere the order of floating-point sums differs, and with it the last digits, the
hashes and, slightly, the accuracy.

## Licence

The weights are Apache-2.0, as reluflow is. The data are under the MIT licence.
"""
