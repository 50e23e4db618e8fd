"""Residual units: ReLU behind the convolutions (version 1) or before them (version 2)."""

from __future__ import annotations

from torch import Tensor, nn

from reluflow_torch.zoo.layers import ZeroPadded, conv, norm_of

EXPANSION = 4
"""Channels out of a bottleneck over those of its 3 x 3 convolution."""


class Unit(nn.Module):
    """Two 3 x 3 convolutions, or three of which only the middle one is: 1 x 1, 3 x 3, 1 x 1.

    Args:
        n_in: channels in.
        width: channels of the 3 x 3 convolutions; a bottleneck gives four times as many.
        stride: of the first 3 x 3 convolution.
        bottleneck: three convolutions instead of two.
        residual: whether the input is added.
        norm: whether there is batch normalisation; without it the convolutions have biases.
        projects: whether a shortcut that changes width or size has weights.

    Reference: He et al., "Deep Residual Learning" (2015), Fig. 5.
    """

    def __init__(
        self,
        n_in: int,
        width: int,
        stride: int,
        *,
        bottleneck: bool = False,
        residual: bool = True,
        norm: bool = True,
        projects: bool = False,
    ) -> None:
        super().__init__()
        self.n_out = width * EXPANSION if bottleneck else width
        self.residual, self.norm = residual, norm
        self.projects = projects and residual and (n_in != self.n_out or stride > 1)
        self.shortcut: nn.Module = ZeroPadded(stride, max(0, self.n_out - n_in))
        if self.projects:
            self.shortcut = conv(n_in, self.n_out, 1, stride, bias=not norm)
        sizes = [(width, 1, 1), (width, 3, stride), (self.n_out, 1, 1)]
        self._build(n_in, sizes if bottleneck else [(width, 3, stride), (width, 3, 1)])

    def _build(self, n_in: int, sizes: list[tuple[int, int, int]]) -> None:
        raise NotImplementedError

    def _conv(self, n_in: int, size: tuple[int, int, int]) -> nn.Conv2d:
        return conv(n_in, *size, bias=not self.norm)


class UnitV1(Unit):
    """relu(bn(conv(relu(bn(conv(x))))) + shortcut(x)); a shortcut with weights is normalised too.

    Example:
        >>> import torch
        >>> UnitV1(16, 32, 2)(torch.zeros(4, 16, 8, 8)).shape
        torch.Size([4, 32, 4, 4])
    """

    def _build(self, n_in: int, sizes: list[tuple[int, int, int]]) -> None:
        self.layers = nn.Sequential()
        for size in sizes:
            self.layers.extend([self._conv(n_in, size), norm_of(size[0], self.norm), nn.ReLU()])
            n_in = size[0]
        self.relu = self.layers.pop(-1)
        if self.projects:
            self.shortcut = nn.Sequential(self.shortcut, norm_of(n_in, self.norm))

    def forward(self, x: Tensor) -> Tensor:
        """Map `(n, n_in, h, w)` to `(n, n_out, h / stride, w / stride)`."""
        branch = self.layers(x)
        result: Tensor = self.relu(branch + self.shortcut(x) if self.residual else branch)
        return result


class UnitV2(Unit):
    """conv(relu(bn(conv(relu(bn(x)))))) + shortcut(x); one with weights reads relu(bn(x)).

    Example:
        >>> import torch
        >>> UnitV2(16, 16, 2, bottleneck=True, projects=True)(torch.zeros(4, 16, 8, 8)).shape
        torch.Size([4, 64, 4, 4])

    Reference: He et al., "Identity Mappings in Deep Residual Networks" (2016), Fig. 1.
    """

    def _build(self, n_in: int, sizes: list[tuple[int, int, int]]) -> None:
        self.first = nn.Sequential(norm_of(n_in, self.norm), nn.ReLU())
        self.layers = nn.Sequential()
        for number, size in enumerate(sizes):
            if number:
                self.layers.extend([norm_of(n_in, self.norm), nn.ReLU()])
            self.layers.append(self._conv(n_in, size))
            n_in = size[0]

    def forward(self, x: Tensor) -> Tensor:
        """Map `(n, n_in, h, w)` to `(n, n_out, h / stride, w / stride)`."""
        active = self.first(x)
        branch: Tensor = self.layers(active)
        return branch + self.shortcut(active if self.projects else x) if self.residual else branch
