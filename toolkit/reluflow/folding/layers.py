"""Affine layers, and the way back through them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reluflow.errors import DataError

Values = NDArray[np.float64]
_DENSE_AXES = 2


@dataclass(frozen=True, slots=True, eq=False)
class AffineLayer:
    """A dense layer `x W + b`, or a convolution.

    Attributes:
        weight: W, `(n_in, n_out)`; of a convolution its kernel, `(n_out, n_in, height, width)`.
        bias: b, `(n_out,)`.
        in_shape: of one input; the way back ends in it.
        out_shape: of one output.
        strides: of a convolution.
        pads: rows and columns of zeros around its input: top, left, bottom, right.

    Example:
        >>> layer = AffineLayer(np.eye(2), np.zeros(2), (2,), (2,))
        >>> project_back(np.array([[3.0, 4.0]]), [layer]).tolist()
        [[3.0, 4.0]]
    """

    weight: Values
    bias: Values
    in_shape: tuple[int, ...]
    out_shape: tuple[int, ...]
    strides: tuple[int, int] = (1, 1)
    pads: tuple[int, int, int, int] = (0, 0, 0, 0)

    @property
    def is_dense(self) -> bool:
        """Whether it is no convolution."""
        return self.weight.ndim == _DENSE_AXES


def project_back(y: NDArray[Any], layers: Sequence[AffineLayer]) -> Values:
    """Return the extrinsic projection of activations: y taken back through the layers before it.

    One dense layer gives `(y - b) W^+`, with the pseudo-inverse; several do so from the last to the
    first. A convolution is taken back by its transposed convolution, `(y - b)` times the kernel's
    transpose, which is not its inverse but an approximation.

    Args:
        y: `(n, ...)` activations behind the last layer.
        layers: from the input on.

    Returns:
        `(n, *in_shape)` of the first layer.

    Raises:
        DataError: y does not have the shape that the last layer makes.

    Example:
        >>> layer = AffineLayer(np.array([[1.0, -1.0]]), np.zeros(2), (1,), (2,))
        >>> relu = np.maximum(np.array([[2.0], [-4.0]]) @ layer.weight, 0)
        >>> project_back(relu, [layer]).round(9).tolist()  # two filters on a line keep half
        [[1.0], [-2.0]]

    Reference: thesis A.2, Definitions 7 and 9, eq. A.10.
    """
    back: Values = np.asarray(y, np.float64)
    for layer in reversed(layers):
        if back[:1].size not in (0, math.prod(layer.out_shape)):
            raise DataError(
                f"y has {back[:1].size} values per sample, but the layer makes "
                f"{list(layer.out_shape)}; give the activations behind the last layer."
            )
        back = back.reshape(len(back), *layer.out_shape)
        back = _dense_back(back, layer) if layer.is_dense else _conv_back(back, layer)
        back = back.reshape(len(back), *layer.in_shape)
    return back


def _dense_back(y: Values, layer: AffineLayer) -> Values:
    back: Values = (y - layer.bias) @ np.linalg.pinv(layer.weight)
    return back


def _conv_back(y: Values, layer: AffineLayer) -> Values:
    y = y - layer.bias[:, None, None]
    channels, height, width = layer.in_shape
    top, left, bottom, right = layer.pads
    padded = np.zeros((len(y), channels, height + top + bottom, width + left + right))
    (down, along), (rows, columns) = layer.strides, y.shape[2:]
    for i, j in np.ndindex(layer.weight.shape[2:]):
        tap = np.einsum("nohw,oc->nchw", y, layer.weight[:, :, i, j])
        ends = i + down * (rows - 1) + 1, j + along * (columns - 1) + 1
        padded[:, :, i : ends[0] : down, j : ends[1] : along] += tap
    return padded[:, :, top : top + height, left : left + width]
