"""Raster cells agree with exact cells, and say what they leave out."""

import numpy as np
import onnx.parser
import pytest
from celled.models import mlp, random_mlp

from reluflow.cells.exact import exact_cells
from reluflow.cells.plane import plane_of_inputs, plane_through, random_plane
from reluflow.cells.raster import _distinct, count_pieces, raster_cells
from reluflow.errors import ModelError, OptionError
from reluflow.graph import load

RESNET = "models/fashion_resnet8.onnx"
BATCH_NORM = "models/fashion_resnet8_bn_after_add.onnx"


def test_patterns_are_those_of_exact_cells() -> None:
    model = random_mlp([2, 10, 8, 1], 3)
    plane = plane_of_inputs((-2, 2, -1, 1))
    found = raster_cells(model, plane, width=60, height=30)
    cells = exact_cells(model, plane)
    assert [site.name for site in found.sites] == list(cells.switches) == ["r0", "r1"]
    for i, site in enumerate(found.sites):
        assert {k.tobytes() for k in site.keys} <= {k.tobytes() for k in cells.keys[:, i]}
    large = cells.keys[cells.areas > 4 * plane.area / 1800]
    seen = {
        np.stack([site.keys[site.labels[y, x]] for site in found.sites]).tobytes()
        for y in range(30)
        for x in range(60)
    }
    assert {key.tobytes() for key in large} <= seen
    assert found.together.patterns == len(seen) <= len(cells)
    assert found.nonfinite == 0


def test_the_first_row_is_the_top_and_the_first_column_the_left() -> None:
    model = mlp([[[1.0, 0.0], [0.0, 1.0]], [[1.0], [1.0]]], [[-0.5, -0.5], [0.0]])
    [site] = raster_cells(model, plane_of_inputs((0, 1, 0, 1)), width=2, height=2).sites
    none, u, v, both = site.labels[1, 0], site.labels[1, 1], site.labels[0, 0], site.labels[0, 1]
    assert len({none, u, v, both}) == 4
    assert not site.keys[none].any()
    assert (site.keys[u] ^ site.keys[v] == site.keys[both]).all()


def test_pieces_are_connected_over_sides() -> None:
    assert count_pieces(np.array([[0, 0, 1], [1, 0, 1], [1, 1, 0]])) == 4


def test_three_images_span_a_plane_and_sites_are_chosen() -> None:
    images = np.load("models/fashion_mnist_test_2000.npz")["image"][:3]
    plane = plane_through(images)
    np.testing.assert_allclose(plane.at(np.eye(3)[:, 1:]), images[[0, 1, 2]], atol=1e-7)
    names = ["/block1/relu1/Relu", "/relu/Relu"]
    found = raster_cells(load(RESNET), plane, sites=names, width=6, height=5)
    assert [site.name for site in found.sites] == names[::-1]
    assert found.sites[0].labels.shape == (5, 6)


def test_batch_normalisation_by_the_grid_gives_other_cells() -> None:
    plane = random_plane((1, 28, 28), seed=2)
    usual, grid = (
        raster_cells(
            load(BATCH_NORM),
            plane,
            sites=["/block3/relu2/Relu"],
            width=8,
            height=8,
            batch_statistics=by_batch,
        )
        for by_batch in (False, True)
    )
    assert usual.notes == ()
    assert grid.notes == ("batch normalisation by the statistics of the grid",)
    assert {k.tobytes() for k in usual.sites[0].keys} != {k.tobytes() for k in grid.sites[0].keys}


def test_a_model_of_a_fixed_batch_is_run_in_such_batches() -> None:
    text = """<ir_version: 8, opset_import: ["" : 17]>
        g (float[N,2] x) => (float[N,2] y) { y = Relu(x) }"""
    free, fixed = (load(onnx.parser.parse_model(text.replace("N", n))) for n in ("N", "7"))
    plane = plane_of_inputs((-1, 1, -1, 1))
    labels = [raster_cells(m, plane, width=5, height=4).sites[0].labels for m in (free, fixed)]
    assert (labels[0] == labels[1]).all()
    empty = onnx.ModelProto.FromString(fixed._proto.SerializeToString())
    empty.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 0
    with pytest.raises(ModelError, match="no input at all"):
        raster_cells(load(empty), plane, width=5, height=4)
    with pytest.raises(ModelError, match="cannot be one batch"):
        raster_cells(fixed, plane, batch_statistics=True, width=5, height=4)


def test_what_cannot_be_done_is_said() -> None:
    model, plane = random_mlp([2, 4, 1], 0), plane_of_inputs()
    with pytest.raises(OptionError, match="the grid is 0 x 4"):
        raster_cells(model, plane, width=0, height=4)
    with pytest.raises(OptionError, match="sites names 'r7', which is no site"):
        raster_cells(model, plane, sites=["r7"])
    with pytest.raises(OptionError, match="but the model reads"):
        raster_cells(random_mlp([3, 4, 1], 0), plane)
    linear = onnx.parser.parse_model(
        """<ir_version: 8, opset_import: ["" : 17]>
        g (float[N,2] x) => (float[N,2] y) { y = Neg(x) }"""
    )
    with pytest.raises(ModelError, match="no switch sites"):
        raster_cells(load(linear), plane)


def test_a_site_needs_a_pattern_for_each_input() -> None:
    proto = onnx.parser.parse_model(
        """<ir_version: 8, opset_import: ["" : 17]>
        g (float[N,2] x) => (float[N,2] y) <float[3,4] w = {1,-1,1,1,1,1,-1,1,1,1,1,1}>
        { h = Relu(w) s = ReduceSum<keepdims = 0>(h) y = Add(x, s) }"""
    )
    with pytest.raises(ModelError, match=r"shape \[3, 4\] for 16 inputs"):
        raster_cells(load(proto), plane_of_inputs(), width=4, height=4)


@pytest.mark.parametrize("shape", [(1,), (2**62, 6, 6), (1 << 28,)])
def test_random_planes_have_inputs_of_a_sensible_size(shape: tuple[int, ...]) -> None:
    with pytest.raises(OptionError, match="but random planes are laid through inputs of 2 to"):
        random_plane(shape)


@pytest.mark.parametrize(
    ("points", "match"),
    [
        ([[0, 0], [1, 1]], "2 points"),
        ([[0, 0], [1, 1], [2, 2]], "lie on one line"),
        ([[0, 0], [1, 1], [2]], "span no plane"),
        ([[0, 0], [1, np.nan], [2, 0]], "three finite arrays"),
    ],
)
def test_points_that_span_no_plane_are_refused(points: list[list[float]], match: str) -> None:
    with pytest.raises(OptionError, match=match):
        plane_through(points)


def test_a_window_has_a_width_and_a_height() -> None:
    with pytest.raises(OptionError, match=r"the window is \[1, 1, 0, 2\]"):
        plane_of_inputs((1, 1, 0, 2))


@pytest.mark.parametrize("words", [[[3, 1], [2, 9], [3, 1]], [[3, 1], [3, 0], [2, 9], [3, 1]]])
def test_keys_are_numbered_in_order_even_where_they_share_a_word(words: list[list[int]]) -> None:
    keys = np.array(words, np.uint64)
    distinct, labels = _distinct(keys)
    assert distinct.tolist() == sorted({tuple(word): word for word in words}.values())
    assert (distinct[labels] == keys).all()
