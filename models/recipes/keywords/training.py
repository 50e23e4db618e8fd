"""The training loop of the keyword network."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import torch  # a recipe runs outside the toolkit
from keywords.clips import KeywordSet
from torch import nn


@dataclass(frozen=True)
class KeywordSettings:
    """All that decides the weights, apart from espeak-ng, torch's version and the machine.

    Attributes:
        seed: of the clips, the initial weights and the order.
        times: that each voice says each keyword.
        copies: of each training word, each elsewhere in its second and in other noise.
        epochs: passes over the training clips.
        batch_size: clips per step; the last, smaller batch of an epoch is left out.
        max_lr: peak learning rate of OneCycle.
        weight_decay: of AdamW.
        label_smoothing: share of the target spread evenly over all classes.
        max_shift: largest shift in frames of 20 ms; what comes in is the edge.
    """

    seed: int = 20250
    times: int = 4
    copies: int = 6
    epochs: int = 8
    batch_size: int = 64
    max_lr: float = 0.01
    weight_decay: float = 1e-3
    label_smoothing: float = 0.05
    max_shift: int = 3


def train(
    settings: KeywordSettings, build: Callable[[], nn.Module], clips: KeywordSet
) -> nn.Module:
    """Returns a trained network.

    Args:
        settings: what decides the weights.
        build: makes it with fresh weights; called once the seed is set.
        clips: of training.
    """
    torch.manual_seed(settings.seed)
    model = build()
    inputs, labels = torch.from_numpy(clips.inputs), torch.from_numpy(clips.labels)
    steps = len(labels) // settings.batch_size
    optimizer = torch.optim.AdamW(
        model.parameters(), lr=settings.max_lr, weight_decay=settings.weight_decay
    )
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, max_lr=settings.max_lr, total_steps=settings.epochs * steps, pct_start=0.25
    )
    model.train()
    for epoch in range(settings.epochs):
        total, started = 0.0, time.monotonic()
        order = torch.randperm(len(labels))
        for step in range(steps):
            chosen = order[step * settings.batch_size : (step + 1) * settings.batch_size]
            shift = int(torch.randint(-settings.max_shift, settings.max_shift + 1, ()))
            frames = (torch.arange(inputs.shape[2]) - shift).clamp(0, inputs.shape[2] - 1)
            loss = nn.functional.cross_entropy(
                model(inputs[chosen][:, :, frames]),
                labels[chosen],
                label_smoothing=settings.label_smoothing,
            )
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            total += loss.item()
        seconds = time.monotonic() - started
        print(
            f"epoch {epoch + 1}/{settings.epochs}  loss {total / steps:.4f}  {seconds:.0f} s",
            flush=True,
        )
    return model
