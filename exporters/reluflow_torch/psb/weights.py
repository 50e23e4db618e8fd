"""The parametrisation that puts drawn weights in the place of a layer's own."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from reluflow.psb import random_bits32
from reluflow_torch.psb.drawing import drawn_weights

_DRAWN_FROM = 4
"""Samples from which on a systematic draw comes closer to the float network than rounding."""


@dataclass
class Settings:
    """How all layers of a model draw.

    Attributes:
        samples: n; 0 is n = 64 with the nearest sampler.
        p_bits: stored bits of a probability.
        sampler: "systematic", "binomial", "nearest", or None: the last one below 4 samples, the
            first one from there on.
        seed: of all draws.
    """

    samples: int
    p_bits: int
    sampler: str | None
    seed: int

    @property
    def drawn_by(self) -> str:
        """The sampler in use."""
        if self.sampler is not None:
            return self.sampler
        return "nearest" if self.samples < _DRAWN_FROM else "systematic"


def affine_of(norm: _BatchNorm) -> tuple[Tensor, Tensor]:
    """Return factor and shift of a normalisation by running statistics, float64 `(channels,)`."""
    assert norm.running_var is not None and norm.running_mean is not None
    factor = (norm.running_var.double() + norm.eps).rsqrt()
    if norm.weight is not None:
        factor = factor * norm.weight.detach().double()
    shift = -norm.running_mean.double() * factor
    if norm.bias is not None:
        shift = shift + norm.bias.detach().double()
    return factor, shift


class DrawnWeight(nn.Module):
    """Draws a weight at every use; the gradient passes as if it had not been drawn.

    With w = s 2^e (1 + p), e and s are constant in w up to the next octave, so that the gradient of
    p, straight through the draw, is that of w: s 2^e dp/dw = 1.

    Args:
        settings: shared by all layers of a model.
        number: of the layer; its random numbers are its own.
        norm: normalisation whose scale is part of the stored weight, as a conversion folds it.

    Attributes:
        runs: how often the weight was drawn.
    """

    def __init__(self, settings: Settings, number: int, norm: _BatchNorm | None) -> None:
        super().__init__()
        self.settings = settings
        self.number = number
        self.runs = 0
        self._norm = (norm,)  # in a tuple, so that it is no part of this module

    def forward(self, weight: Tensor) -> Tensor:
        """Return the weight as a run draws it, divided by the folded scale."""
        with torch.no_grad():
            scale = self._scale(weight)
            # A channel that is multiplied by 0 stays as it is: whatever is drawn has no effect.
            scale = torch.where(scale == 0, 1.0, scale)
            drawn = drawn_weights(
                weight.float() * scale,
                self.settings.samples,
                p_bits=self.settings.p_bits,
                sampler=self.settings.drawn_by,
                generator=self._generator(weight.device),
            )
            drawn = (drawn / scale).to(weight.dtype)
        # What is added is exactly 0; it carries the gradient.
        return drawn + (weight - weight.detach())

    def stored(self, weight: Tensor) -> Tensor:
        """Return what is coded, float32: the weight times the folded scale."""
        with torch.no_grad():
            return weight.float() * self._scale(weight)

    def _scale(self, weight: Tensor) -> Tensor:
        """Return what each output channel is multiplied by before it is coded, of weight's axes."""
        [norm] = self._norm
        if norm is None:
            return torch.ones([1] * weight.dim(), device=weight.device)
        return affine_of(norm)[0].float().reshape(-1, *[1] * (weight.dim() - 1))

    def _generator(self, device: torch.device) -> torch.Generator:
        """Return random numbers for the next run; the same for one seed, layer and run."""
        run = np.array([self.runs & 0xFFFFFFFF], np.uint32)
        self.runs += 1
        seed = int(random_bits32(run, self.settings.seed, self.number)[0])
        return torch.Generator(device).manual_seed(seed)

    def get_extra_state(self) -> Tensor:
        """Return what a checkpoint keeps, so that a resumed training draws on."""
        return torch.tensor(self.runs)

    def set_extra_state(self, state: Tensor) -> None:
        """Take over what a checkpoint kept."""
        self.runs = int(state)
