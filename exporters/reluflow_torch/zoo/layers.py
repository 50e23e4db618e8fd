"""Layers that several networks of the zoo are made of."""

from __future__ import annotations

from torch import Tensor, nn


class ZeroPadded(nn.Module):
    """Shortcut without weights: leaves out pixels, and adds channels of zeros behind the others.

    Args:
        stride: every how many pixels one stays, each way.
        more: channels that are added.

    Example:
        >>> import torch
        >>> ZeroPadded(2, 8)(torch.ones(1, 8, 4, 4)).sum((2, 3))[0, 6:10].tolist()
        [4.0, 4.0, 0.0, 0.0]

    Reference: He et al., "Deep Residual Learning" (2015), section 3.3, option A.
    """

    def __init__(self, stride: int, more: int) -> None:
        super().__init__()
        self.stride, self.more = stride, more

    def forward(self, x: Tensor) -> Tensor:
        """Map `(n, c, h, w)` to `(n, c + more, h / stride, w / stride)`."""
        kept = x[:, :, :: self.stride, :: self.stride] if self.stride > 1 else x
        return nn.functional.pad(kept, (0, 0, 0, 0, 0, self.more)) if self.more else kept


def conv(n_in: int, n_out: int, size: int, stride: int = 1, *, bias: bool = False) -> nn.Conv2d:
    """Return a square convolution that keeps the picture's size, apart from its stride.

    Args:
        n_in: channels in.
        n_out: channels out.
        size: of the filters, odd.
        stride: pixels between places.
        bias: whether it has biases.
    """
    return nn.Conv2d(n_in, n_out, size, stride, padding=size // 2, bias=bias)


def norm_of(channels: int, is_used: bool) -> nn.Module:
    """Return batch normalisation, or nothing in its place.

    Args:
        channels: of the pictures.
        is_used: which of both.
    """
    return nn.BatchNorm2d(channels) if is_used else nn.Identity()


def head(channels: int, classes: int) -> nn.Sequential:
    """Return the mean over all pixels and a dense layer.

    Args:
        channels: of the pictures.
        classes: logits.
    """
    return nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, classes))


def he(model: nn.Module) -> None:
    """Initialise the convolutions as He et al. do: normal, of variance 2 / (outputs of a weight).

    Args:
        model: changed in place.

    Reference: He et al., "Delving Deep into Rectifiers" (2015), eq. 14.
    """
    for layer in model.modules():
        if isinstance(layer, nn.Conv2d | nn.Conv1d):
            nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")
