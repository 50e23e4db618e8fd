"""Training of the classifier of scenes on crops that are composed as it goes."""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np
import torch  # a recipe runs outside the toolkit
from _scene_net import STRIDE, SceneNet
from _scenes import VOID, Scene, cell_labels, halve, place_objects
from _textures import TRAINING_KINDS, draw_texture
from numpy.typing import NDArray
from torch import Tensor, nn

COVERAGES = (0.02, 0.3)
"""Of a crop; denser than a scene, so that a step sees many objects. What finds no place is left."""
POOL_SIDE = 480
"""Pixels along each axis of a drawn ground."""
GAINS, SHIFTS = (0.7, 1.3), (-0.1, 0.1)
"""Of the values of a ground, drawn for each crop."""


@dataclass(frozen=True)
class SceneSettings:
    """What decides the weights of a run, with the number of threads.

    Attributes:
        seed: of weights, grounds, objects and places.
        steps: of the optimiser.
        batch_size: crops per step; every other one at half the side.
        crop: pixels along each axis of a crop, as the network takes it.
        grounds: drawn before training, of each kind; a crop is cut out of one of them.
        max_lr: peak learning rate of OneCycle.
        weight_decay: of AdamW.
    """

    seed: int = 20260
    steps: int = 2400
    batch_size: int = 16
    crop: int = 128
    grounds: int = 24
    max_lr: float = 4e-3
    weight_decay: float = 0.02


class Crops:
    """Training crops: parts of the drawn grounds with objects of the training images.

    Args:
        settings: of the run.
        images: uint8 `(n, 28, 28)`.
        labels: int64 `(n,)`.
    """

    def __init__(
        self, settings: SceneSettings, images: NDArray[np.uint8], labels: NDArray[np.int64]
    ) -> None:
        self.settings, self.images, self.labels = settings, images, labels
        self.grounds = [
            (kind, draw_texture(kind, settings.seed + number, (POOL_SIDE, POOL_SIDE)))
            for kind in TRAINING_KINDS
            for number in range(settings.grounds)
        ]

    def batch(self, step: int) -> tuple[Tensor, Tensor]:
        """Returns the images and cell labels of a step; they hang on seed and step alone."""
        rng = np.random.default_rng([self.settings.seed, step])
        pictures, cells = [], []
        for number in range(self.settings.batch_size):
            scale = 1 + number % 2
            scene = self._crop(rng, scale)
            pictures.append(halve(scene.image) if scale == 2 else scene.image)
            cells.append(cell_labels(scene.labels, STRIDE * scale))
        return torch.from_numpy(np.stack(pictures)), torch.from_numpy(np.stack(cells)).long()

    def _crop(self, rng: np.random.Generator, scale: int) -> Scene:
        side = self.settings.crop * scale
        kind, whole = self.grounds[int(rng.integers(len(self.grounds)))]
        row, column = rng.integers(POOL_SIDE - side + 1, size=2)
        ground = whole[row : row + side, column : column + side]
        ground = np.rot90(ground, int(rng.integers(4)))
        toned = np.clip(ground * rng.uniform(*GAINS) + rng.uniform(*SHIFTS), 0, 1)
        coverage = rng.uniform(*COVERAGES)
        toned = np.ascontiguousarray(toned, np.float32)
        return place_objects(self.images, self.labels, coverage, rng, toned, kind)


def train(
    settings: SceneSettings, images: NDArray[np.uint8], labels: NDArray[np.int64]
) -> SceneNet:
    """Trains a network; what it is given decides its weights.

    Args:
        settings: of the run.
        images: uint8 `(n, 28, 28)`, of the training split.
        labels: int64 `(n,)`.

    Returns:
        The network in evaluation mode.
    """
    torch.manual_seed(settings.seed)
    model = SceneNet()
    model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    optimizer = torch.optim.AdamW(model.parameters(), weight_decay=settings.weight_decay)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, settings.max_lr, total_steps=settings.steps, pct_start=0.2
    )
    loss_of = nn.CrossEntropyLoss(ignore_index=VOID)
    crops = Crops(settings, images, labels)
    model.train()
    started, recent = time.monotonic(), []
    for step in range(settings.steps):
        pictures, cells = crops.batch(step)
        loss = loss_of(model(pictures.contiguous(memory_format=torch.channels_last)), cells)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        recent.append(loss.item())
        if (step + 1) % 50 == 0:
            elapsed = time.monotonic() - started
            print(
                f"step {step + 1}/{settings.steps}  loss {np.mean(recent):.4f}  {elapsed:.0f} s",
                flush=True,
            )
            recent.clear()
    return model.eval()
