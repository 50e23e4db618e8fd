"""A layer that moves points of its input space as a ReLU folds them (thesis A.3)."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from reluflow.errors import OptionError


class ExtrinsicReLU(nn.Module):
    """The extrinsic linear layer with ReLU, ELRA: `[x, 1] + [x, 1] W (A - I) diag(s) W^T diag(s')`.

    A is diagonal, 1 where `[x, 1] W` is above 0 and 0 elsewhere; no gradient flows into it. The
    layer needs `(n + 1) m + m + n + 1` parameters, however many filters follow each other.

    Args:
        features: n, of the input.
        filters: m.
        homogeneous: whether the coordinate 1 is added, which gives filters a bias and the output
            n + 1 features; False: x stands for `[x, 1]` throughout, and the output has n features.

    Attributes:
        weight: W, `(n + 1, m)`; at first normal with variance 1 / m, so that W W^T is about I.
        inner: s, `(m,)`, at first 1.
        outer: s', `(n + 1,)`, at first 1.

    Raises:
        OptionError: less than one feature or filter.

    Example:
        >>> layer = ExtrinsicReLU(2, 64)
        >>> layer(torch.zeros(5, 2)).shape, sum(w.numel() for w in layer.parameters())
        (torch.Size([5, 3]), 259)
        >>> plain = nn.Sequential(*[ExtrinsicReLU(2, 600, homogeneous=False) for _ in range(3)])
        >>> sum(w.numel() for w in plain.parameters())
        5406

    Reference: thesis A.3, Definition 10.
    """

    def __init__(self, features: int, filters: int, *, homogeneous: bool = True) -> None:
        super().__init__()
        for name, value in (("features", features), ("filters", filters)):
            if value < 1:
                raise OptionError(f"{name} is {value!r}; give a whole number from 1 on.")
        size = features + homogeneous
        self.homogeneous = homogeneous
        self.weight = nn.Parameter(torch.randn(size, filters) / math.sqrt(filters))
        self.inner = nn.Parameter(torch.ones(filters))
        self.outer = nn.Parameter(torch.ones(size))

    def forward(self, x: Tensor) -> Tensor:
        """Map `(..., n)` to `(..., n + 1)`, or to `(..., n)` without the added coordinate."""
        if self.homogeneous:
            x = torch.cat([x, x.new_ones(*x.shape[:-1], 1)], -1)
        along = x @ self.weight
        # A - I is -1 where a filter is not active, else 0
        moved = torch.where(along > 0, 0.0, -along) * self.inner
        return x + moved @ self.weight.T * self.outer

    def extra_repr(self) -> str:
        """Return the sizes."""
        size, filters = self.weight.shape
        return f"{size - self.homogeneous}, {filters}, homogeneous={self.homogeneous}"
