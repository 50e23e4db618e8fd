"""Lemmas 1 to 3 of the thesis' A.2, with the errata: what a projection back keeps."""

from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from reluflow.errors import DataError
from reluflow.folding import AffineLayer, project_back

Values = NDArray[np.float64]


@dataclass
class Net:
    """relu(x W + b) V + c."""

    w: Values
    b: Values
    v: Values
    c: Values

    def hidden(self, x: Values) -> Values:
        return np.maximum(x @ self.w + self.b, 0)

    def back(self, x: Values) -> Values:
        shapes = (len(self.w),), (len(self.b),)
        return project_back(self.hidden(x), [AffineLayer(self.w, self.b, *shapes)])

    def differs(self, x: Values, c: Values) -> float:
        """How far the output is from that of the projection with V' = W V and a shift c."""
        found = self.back(x) @ self.w @ self.v + c
        return float(np.abs(found - self.hidden(x) @ self.v - self.c).max(initial=0))


@st.composite
def nets(draw: st.DrawFn, *, narrow: bool = False) -> Net:
    d1 = draw(st.integers(1, 5))
    d2 = draw(st.integers(1, d1 if narrow else 8))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    net = Net(
        rng.standard_normal((d1, d2)),
        rng.standard_normal(d2),
        rng.standard_normal((d2, 3)),
        rng.standard_normal(3),
    )
    assume(np.linalg.cond(net.w) < 1e4)
    return net


def points(net: Net, seed: int = 0) -> Values:
    return 4 * np.random.default_rng(seed).standard_normal((400, len(net.w)))


@settings(deadline=None, max_examples=60)
@given(nets())
def test_lemma_1_the_identity_cell_keeps_everything(net: Net) -> None:
    net.b += 4  # so that the cell is met
    x = points(net)
    inside = x[(net.hidden(x) > 0).all(1)]
    assume(len(inside))
    assert net.differs(inside, net.b @ net.v + net.c) < 1e-6  # c' = b V + c, not c
    assert np.allclose(net.back(inside), inside @ net.w @ np.linalg.pinv(net.w))


@settings(deadline=None, max_examples=60)
@given(nets(), st.integers(0, 2**32 - 1))
def test_lemma_2_so_does_the_zero_cell_with_a_bias_from_the_inputs(net: Net, seed: int) -> None:
    net.b = np.random.default_rng(seed).standard_normal(len(net.w)) @ net.w
    x = points(net)
    on = net.hidden(x) > 0
    both = x[on.all(1) | (~on).all(1)]
    assume(len(both))
    shift = net.b @ np.linalg.pinv(net.w) @ net.w @ net.v + net.c
    assert net.differs(both, shift) < 1e-6


@settings(deadline=None, max_examples=60)
@given(nets(narrow=True))
def test_lemma_3_independent_filters_keep_every_input(net: Net) -> None:
    assert net.differs(points(net), net.b @ net.v + net.c) < 1e-5


def test_other_cells_lose_what_more_filters_than_inputs_knew() -> None:
    net = Net(np.array([[1.0, -1.0]]), np.zeros(2), np.eye(2), np.zeros(2))
    x = np.array([[2.0], [-4.0]])
    assert np.allclose(net.back(x), [[1.0], [-2.0]])
    assert np.isclose(net.differs(x, net.c), 2.0)


def test_the_printed_lemma_1_misses_the_bias() -> None:
    net = Net(np.eye(2), np.ones(2), np.eye(2), np.zeros(2))
    assert net.differs(np.ones((1, 2)), net.c) == 1.0
    assert net.differs(np.ones((1, 2)), net.b @ net.v + net.c) == 0.0


def test_a_convolution_goes_back_by_its_transpose() -> None:
    rng = np.random.default_rng(0)
    kernel, bias = rng.standard_normal((3, 2, 3, 2)), rng.standard_normal(3)
    layer = AffineLayer(kernel, bias, (2, 7, 6), (3, 4, 3), (2, 2), (1, 0, 1, 1))
    x, y = rng.standard_normal((2, 2, 7, 6)), rng.standard_normal((2, 3, 4, 3))
    padded = np.pad(x, ((0, 0), (0, 0), (1, 1), (0, 1)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 2), (2, 3))[:, :, ::2, ::2]
    made = np.einsum("nchwij,ocij->nohw", windows, kernel)
    # <conv(x), y> = <x, conv^T(y)> is what makes it the transpose
    back = project_back(y + bias[:, None, None], [layer])
    assert np.isclose((made * y).sum(), (x * back).sum())


def test_activations_of_another_layer_are_refused() -> None:
    layer = AffineLayer(np.eye(2), np.zeros(2), (2,), (2,))
    with pytest.raises(DataError, match=r"y has 3 values per sample, but the layer makes \[2\]"):
        project_back(np.zeros((1, 3)), [layer])
