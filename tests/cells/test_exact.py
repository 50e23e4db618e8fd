"""Exact cells: they cover the window once, and a point lies in the cell of its pattern."""

import numpy as np
import pytest
from celled.models import mlp, random_mlp
from onnx import numpy_helper

from reluflow.cells.exact import ExactCells, count_cells, exact_cells, stream_cells
from reluflow.cells.join import (
    activation_cells,
    affine_regions,
    centres_of,
    classes_of,
    decision_boundary,
    neighbours,
)
from reluflow.cells.plane import Floats, plane_of_inputs
from reluflow.errors import ModelError, OptionError
from reluflow.graph import find_sites, load, tap
from reluflow.patterns.hashing import fingerprint
from reluflow.sessions.session import open_session

SQUARE = plane_of_inputs((-1, 1, -1, 1))
NOTHING = np.zeros(1)


def cells_at(cells: ExactCells, point: Floats) -> list[int]:
    """Return the cells that hold a point, their edges included."""
    following = np.arange(len(cells.points)) + 1
    following[cells.starts + cells.sizes - 1] = cells.starts
    along = cells.points[following] - cells.points
    across = point - cells.points
    left = along[:, 0] * across[:, 1] - along[:, 1] * across[:, 0] >= -1e-12
    return np.flatnonzero(np.logical_and.reduceat(left, cells.starts)).tolist()


@pytest.mark.parametrize("seed", range(4))
def test_a_grid_point_lies_in_the_one_cell_of_its_pattern(seed: int) -> None:
    model = random_mlp([2, 9, 8, 7, 3], seed)
    plane = plane_of_inputs((-2, 3, -1, 2))
    cells = exact_cells(model, plane, classes=True)
    assert abs(cells.areas.sum() - plane.area) < 1e-9 * plane.area
    points = plane.grid(23, 17)
    sites = find_sites(model)
    tapped = tap(model, sites)
    outputs = open_session(tapped.model).run({"x": points.astype(np.float32)})
    keys = np.stack([fingerprint(each).keys for each in outputs[1:]], axis=1)
    for point, key, output in zip(points, keys, outputs[0], strict=True):
        own = cells_at(cells, point)
        assert len(own) == 1
        assert (cells.keys[own[0], :3] == key).all()
        np.testing.assert_allclose(cells.maps[own[0]] @ [*point, 1], output, atol=1e-5)
        assert classes_of(cells)[own[0]] == np.argmax(output)


def test_patterns_of_all_switches_are_each_one_convex_cell() -> None:
    cells = exact_cells(random_mlp([2, 12, 12, 2], 5), SQUARE)
    assert len(np.unique(cells.keys.reshape(len(cells), -1), axis=0)) == len(cells)
    found = neighbours(cells)
    assert found.unmatched == 0
    assert activation_cells(cells, known=found).count == len(cells)
    assert (cells.edges < 0).sum() + 2 * len(found.pairs) == len(cells.edges)
    assert cells.areas.min() > 0


def test_neighbours_differ_in_one_unit_and_their_maps_agree_on_the_edge() -> None:
    cells = exact_cells(random_mlp([2, 12, 12, 2], 6), SQUARE)
    found = neighbours(cells)
    at = np.column_stack([cells.points[found.corners[:, 0]], np.ones(len(found.pairs))])
    values = [np.einsum("nkc,nc->nk", cells.maps[found.pairs[:, i]], at) for i in (0, 1)]
    np.testing.assert_allclose(values[0], values[1], atol=1e-12)
    assert (cells.edges[found.corners[:, 0]] == cells.edges[found.corners[:, 1]]).all()


def test_lines_in_general_position_reach_zaslavskys_number() -> None:
    """Thesis 2.2.2: D lines make 1 + D + D (D - 1) / 2 cells, Prop. 1's bound for D filters."""
    n = 9
    angles = np.arange(n) * np.pi / n + 0.1
    weights = np.stack([np.cos(angles), np.sin(angles)])
    biases = 0.01 * np.random.default_rng(0).standard_normal(n)
    model = mlp([weights, np.ones((n, 1))], [biases, NOTHING])
    assert count_cells(model, plane_of_inputs((-9, 9, -9, 9))).cells == 1 + n + n * (n - 1) // 2


def test_a_cell_of_the_second_layer_need_not_be_convex() -> None:
    """Thesis, Prop. 2."""
    layers = [np.eye(2), -np.ones((2, 1)), np.ones((1, 1))], [np.ones(2), np.ones(1), NOTHING]
    cells = exact_cells(mlp(*layers), plane_of_inputs())
    joined = activation_cells(cells, ["r1"])
    assert joined.count == 2
    own = [
        {joined.labels[c] for c in cells_at(cells, np.array(p))}
        for p in ((1.0, -3.0), (-3.0, 1.0), (-1.0, -1.0))
    ]
    assert own[0] == own[1] != own[2]
    assert activation_cells(cells, ["r0"]).count == 4


def test_x_from_two_units_is_two_cells_and_one_affine_region() -> None:
    cells = exact_cells(mlp([[[1, -1], [0, 0]], [[1], [-1]]], [np.zeros(2), NOTHING]), SQUARE)
    assert activation_cells(cells).count == 2
    assert affine_regions(cells).count == 1


@pytest.mark.parametrize("factor", [1.0, 3.0, -1.0, -0.625])
def test_a_repeated_unit_leaves_no_sliver(factor: float) -> None:
    weights = np.array([[1.0, factor], [0.25, 0.25 * factor]])
    for bias in (0.0, 0.375):
        biases = np.array([bias, factor * bias])
        cells = exact_cells(mlp([weights, np.ones((2, 1))], [biases, NOTHING]), SQUARE)
        assert len(cells) == 2
    weights = np.array([[1.0, factor], [0.0, 0.0]])
    cells = exact_cells(mlp([weights, np.ones((2, 1))], [np.zeros(2), NOTHING]), SQUARE)
    assert cells.areas.tolist() == [2.0, 2.0]


@pytest.mark.parametrize("point", [(0.0, 0.0), (0.25, -0.125)])
def test_lines_through_one_point_make_two_cells_each(point: tuple[float, float]) -> None:
    weights = np.array([[1.0, 0.0, 1.0, 1.0, 3.0], [0.0, 1.0, 1.0, -1.0, 7.0]])
    biases = -weights.T @ point
    cells = exact_cells(mlp([weights, np.ones((5, 1))], [biases, NOTHING]), SQUARE)
    assert len(cells) == 10
    assert abs(cells.areas.sum() - 4) < 1e-12


def test_without_biases_all_lines_of_all_layers_meet_in_the_origin() -> None:
    draw = np.random.default_rng(3)
    weights = [draw.standard_normal(shape) for shape in ((2, 8), (8, 8), (8, 8), (8, 1))]
    cells = exact_cells(mlp(weights, [np.zeros(w.shape[1]) for w in weights]), SQUARE)
    assert abs(cells.areas.sum() - 4) < 1e-12
    assert cells.areas.min() > 1e-4
    assert ((np.abs(cells.points) < 1e-12).all(axis=1)).sum() == len(cells)


def test_dead_units_and_zero_weights_cut_nothing() -> None:
    weights = np.array([[1.0, 0.0, 0.0], [0.0, 0.0, 0.0]])
    second = np.array([[-1.0], [-1.0], [0.0]])
    biases = [np.array([0.0, -1.0, 0.0]), np.zeros(1), NOTHING]
    cells = exact_cells(mlp([weights, second, np.ones((1, 1))], biases), SQUARE)
    assert len(cells) == 2


def test_a_unit_that_repeats_a_layer_of_its_own_leaves_no_sliver() -> None:
    """The second layer makes 3 x - 3 x, which is 0 but for rounding."""
    first = np.array([[0.125, -0.125, 0.375, -0.375], [0.75, -0.75, 2.25, -2.25]])
    second = np.array([[3.0], [-3.0], [-1.0], [1.0]])
    model = mlp([first, second, np.ones((1, 1))], [np.zeros(4), np.zeros(1), NOTHING])
    assert exact_cells(model, SQUARE).areas.tolist() == pytest.approx([2.0, 2.0], abs=1e-14)


@pytest.mark.parametrize("threads", [1, 3])
def test_counting_streaming_and_keeping_agree(threads: int) -> None:
    model = random_mlp([2, 60, 20, 1], 7)
    cells = exact_cells(model, SQUARE, threads=threads)
    counted = count_cells(model, SQUARE, threads=threads)
    parts = list(stream_cells(model, SQUARE, threads=threads))
    assert len(parts) > 1
    assert counted.cells == len(cells) == sum(len(part) for part in parts)
    assert counted.area == pytest.approx(4, abs=1e-12)
    assert (np.concatenate([part.points for part in parts]) == cells.points).all()
    again = exact_cells(model, SQUARE)
    assert (again.keys == cells.keys).all()
    assert neighbours(cells).unmatched == 0


def test_counts_are_those_of_regioncam() -> None:
    regioncam = pytest.importorskip("regioncam")
    for widths, seed in (((2, 16, 16, 1), 0), ((2, 40, 40, 1), 2), ((2, 100, 1), 3)):
        model = random_mlp(widths, seed)
        peer = regioncam.Regioncam(size=1)
        constants = {t.name: t for t in model._proto.graph.initializer}
        from onnx import numpy_helper

        for i in range(len(widths) - 1):
            w, b = (numpy_helper.to_array(constants[f"{k}{i}"]) for k in "wb")
            peer.linear(w, b)
            if i < len(widths) - 2:
                peer.relu()
        assert count_cells(model, SQUARE).cells == peer.num_faces


def test_the_decision_boundary_is_where_two_outputs_are_equal() -> None:
    cells = exact_cells(random_mlp([2, 8, 8, 4], 1), plane_of_inputs(), classes=True)
    segments = decision_boundary(cells)
    assert len(segments) > 2
    classes = classes_of(cells)
    pairs = neighbours(cells)
    last = len(cells.switches) - 1
    for (a, b), (corner, _) in zip(pairs.pairs, pairs.corners, strict=True):
        at = [*cells.points[corner], 1]
        if cells.switch_of(cells.edges[[corner]])[0] == last:
            values = cells.maps[a] @ at
            assert classes[a] != classes[b]
            assert values[classes[a]] == pytest.approx(values[classes[b]], abs=1e-9)
            assert values.max() == pytest.approx(values[classes[a]], abs=1e-9)
        else:
            assert classes[a] == classes[b]


def test_cells_until_a_site_know_nothing_of_later_ones() -> None:
    model = random_mlp([2, 6, 6, 1], 2)
    cells = exact_cells(model, SQUARE, until="r0")
    assert cells.switches == ("r0",)
    assert cells.maps.shape[1] == 0
    assert len(cells) == activation_cells(exact_cells(model, SQUARE), ["r0"]).count
    with pytest.raises(OptionError, match="without maps"):
        affine_regions(cells)
    with pytest.raises(OptionError, match="not cut by class"):
        decision_boundary(cells)


def test_the_shipped_resnet_on_a_plane_of_three_images() -> None:
    from reluflow.cells.plane import plane_through

    model = load("models/fashion_resnet8.onnx")
    images = np.load("models/fashion_mnist_test_2000.npz")["image"][:3]
    plane = plane_through(images, (0.3326, 0.334, 0.3326, 0.334))
    cells = exact_cells(model, plane, classes=True)
    assert len(cells) > 100
    assert abs(cells.areas.sum() / plane.area - 1) < 1e-9
    centres = centres_of(cells)
    got = np.einsum("nkc,nc->nk", cells.maps, np.column_stack([centres, np.ones(len(cells))]))
    want = open_session(model).run({"image": plane.at(centres).astype(np.float32)})[0]
    np.testing.assert_allclose(got, want, rtol=1e-4, atol=1e-4)


def test_what_cannot_be_done_is_said() -> None:
    model = random_mlp([2, 6, 6, 1], 2)
    with pytest.raises(OptionError, match="no switch 'nowhere'"):
        exact_cells(model, SQUARE, until="nowhere")
    with pytest.raises(OptionError, match="more than 3 cells"):
        exact_cells(model, SQUARE, most=3)
    with pytest.raises(OptionError, match=r"shape \[2\], but the model reads"):
        exact_cells(random_mlp([3, 4, 1], 0), SQUARE)
    with pytest.raises(OptionError, match="there is no switch 'r7'"):
        activation_cells(exact_cells(model, SQUARE), ["r7"])
    with pytest.raises(ModelError, match="has 2 inputs"):
        import onnx.parser

        two = onnx.parser.parse_model(
            """<ir_version: 8, opset_import: ["" : 17]>
            g (float[N,2] x, float[N,2] b) => (float[N,2] y) { y = Add(x, b) }"""
        )
        exact_cells(load(two), SQUARE)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_values_that_are_not_finite_have_no_cells(bad: float) -> None:
    with pytest.raises(ModelError, match="not all of its values are finite"):
        exact_cells(mlp([[[1, bad], [1, 1]], [[1], [1]]], [[0, 0], [0]]), SQUARE)


def test_a_nan_that_signals_warns_of_nothing() -> None:
    model = mlp([[[1, 1], [1, 1]], [[1], [1]]], [[0, 0], [0]])
    weights = model._proto.graph.initializer[0]
    signals = np.array([0x7F800001, 0, 0, 0], np.uint32).view(np.float32).reshape(2, 2)
    weights.CopyFrom(numpy_helper.from_array(signals, weights.name))
    with pytest.raises(ModelError, match="not all of its values are finite"):
        exact_cells(model, SQUARE)


def test_a_region_of_too_many_open_units_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    import reluflow.cells.regions as regions

    monkeypatch.setattr(regions, "MOST_GROUPS", 2)
    model = random_mlp([2, 1, 30, 1], 1)
    assert len(exact_cells(model, SQUARE)) > 10
    monkeypatch.setattr(regions, "MOST_OPEN", 4)
    with pytest.raises(ModelError, match="more than 4 units change their sign"):
        exact_cells(model, SQUARE)
    monkeypatch.undo()
    assert len(exact_cells(model, SQUARE)) > 10
    monkeypatch.setattr("reluflow.cells.lowering.region.MOST_ENTRIES", 40)
    with pytest.raises(ModelError, match="or more than fit"):
        exact_cells(model, SQUARE)


def test_signs_that_the_tolerance_decides_are_counted() -> None:
    window = plane_of_inputs((-1, 1, -1, 1))
    plain = random_mlp([2, 40, 40, 1], 4)  # more lines than a region has, so the window is cut
    assert exact_cells(plain, window).near == count_cells(plain, window, threads=2).near == 0
    slope, end = [[1, 1], [0.5, 0.5]], [[1], [1]]
    twice = exact_cells(mlp([slope, end], [[0.1, 0.1], [0]]), window)
    assert (len(twice), twice.near) == (2, 4)  # the second unit is 0 at both ends of the cut, twice
    apart = np.nextafter(np.float32(0.1), np.float32(1))
    nearly = exact_cells(mlp([slope, end], [[0.1, apart], [0]]), window)
    assert (len(nearly), nearly.near) == (3, 0)
    corner = exact_cells(mlp([[[1], [1]], [[1]]], [[-2], [0]]), window)  # 0 in one corner only
    assert (len(corner), corner.near) == (1, 1)
