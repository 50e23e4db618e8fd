"""The measures of the benchmark on real networks, on answers whose closeness is known."""

from __future__ import annotations

import math

import numpy as np
import pytest
from real import metrics
from real.boxes import SIDE, Box, faces, iou, matched_overlap
from real.lines import drawn_lines

ROWS = np.array([[0.1, 0.9, 0.0], [0.2, 0.3, 0.5], [0.7, 0.2, 0.1], [0.4, 0.3, 0.3]], np.float32)


def test_agreement_counts_equal_decisions() -> None:
    other = ROWS.copy()
    other[0, 0] = 1
    assert metrics.agreement([ROWS], [ROWS + 1]) == 1
    assert metrics.agreement([ROWS], [other]) == 0.75


def test_sqnr_is_in_decibels_and_of_the_chosen_output() -> None:
    noisy = ROWS * np.float32(1.1)
    assert metrics.sqnr_db()([ROWS], [ROWS]) == math.inf
    assert metrics.sqnr_db()([ROWS], [noisy]) == pytest.approx(20, abs=1e-3)
    assert metrics.sqnr_db(1)([ROWS, ROWS], [ROWS, noisy]) == pytest.approx(20, abs=1e-3)


def test_correlation_is_that_of_the_last_score() -> None:
    line = np.stack([1 - ROWS[:, 0], ROWS[:, 0]], axis=1)
    turned = 1 - line
    assert metrics.correlation([line], [line * 3 + 1]) == pytest.approx(1)
    assert metrics.correlation([line], [turned]) == pytest.approx(-1)
    assert metrics.log_odds_correlation([line], [line]) == pytest.approx(1)


@pytest.mark.parametrize("value", [0.5, math.nan])
def test_a_constant_or_broken_answer_correlates_with_nothing(value: float) -> None:
    assert metrics.correlation([ROWS], [np.full_like(ROWS, value)]) == 0


def test_overlap_is_of_what_is_above_the_threshold() -> None:
    exact = np.array([[[0.9, 0.8], [0.1, 0.6]]], np.float32)
    found = np.array([[[0.9, 0.2], [0.7, 0.6]]], np.float32)
    assert metrics.overlap(0, 0.5)([exact], [found]) == 0.5
    assert metrics.overlap(1, 0.5)([found, exact], [exact, found]) == 0.5
    assert metrics.overlap(0, 2)([exact], [found]) == 1


def segment(y: int, x: int, ends: tuple[float, ...], score: float = 0.5) -> list[np.ndarray]:
    """Return outputs of M-LSD with one segment on 20 x 30 pixels."""
    offsets = np.zeros((1, 20, 30, 4), np.float32)
    scores = np.zeros((1, 20, 30, 1), np.float32)
    offsets[0, y, x], scores[0, y, x] = ends, score
    return [offsets, scores]


def test_a_segment_is_drawn_from_end_to_end() -> None:
    (drawn,) = drawn_lines(segment(10, 15, (-10, 0, 10, 0)))
    assert drawn[10, 5:26].all() and not drawn[:8].any() and not drawn[13:].any()
    assert not drawn[:, :3].any() and not drawn[:, 28:].any()
    assert not drawn_lines(segment(10, 15, (-10, 0, 10, 0), score=0.05)).any()
    assert not drawn_lines(segment(10, 15, (math.nan, 0, 10, 0))).any()


def test_a_segment_found_one_pixel_beside_still_overlaps() -> None:
    exact, nothing = segment(10, 15, (-10, 0, 10, 0)), segment(10, 15, (0, 0, 0, 0), score=0)
    beside = segment(11, 15, (-10, 0, 10, 0))
    assert metrics.line_overlap(exact, exact) == metrics.line_overlap(nothing, nothing) == 1
    assert metrics.line_overlap(exact, beside) == pytest.approx(0.5, abs=0.05)
    assert metrics.line_overlap(exact, nothing) == 0


@pytest.mark.parametrize(
    ("other", "expected"),
    [
        (Box(0, 0, 2, 2), 1.0),
        (Box(1, 0, 3, 2), 1 / 3),
        (Box(5, 5, 6, 6), 0.0),
        (Box(2, 0, 4, 2), 0.0),
        (Box(1, 1, 1, 1), 0.0),
    ],
)
def test_iou_of_two_boxes(other: Box, expected: float) -> None:
    assert iou(Box(0, 0, 2, 2), other) == pytest.approx(expected)
    assert iou(other, Box(0, 0, 2, 2)) == pytest.approx(expected)


def test_boxes_without_a_partner_count_as_nothing() -> None:
    a, b, far = Box(0, 0, 2, 2), Box(1, 0, 3, 2), Box(9, 9, 10, 10)
    assert matched_overlap([a], [b, a]) == (1.0, 2)
    total, count = matched_overlap([a, far], [b])
    assert total == pytest.approx(1 / 3) and count == 2
    assert matched_overlap([], [a]) == matched_overlap([a], []) == (0.0, 1)
    assert matched_overlap([], []) == (0.0, 0)


def blazeface(boxes: dict[int, tuple[float, tuple[float, ...]]]) -> list[np.ndarray]:
    """Return outputs for one picture: number of an anchor -> logit and x, y, width, height."""
    logits = np.full((1, 896, 1), -1000, np.float32)
    offsets = np.zeros((1, 896, 16), np.float32)
    for anchor, (logit, box) in boxes.items():
        logits[0, anchor], offsets[0, anchor, :4] = logit, box
    return [logits[:, :512], logits[:, 512:], offsets[:, :512], offsets[:, 512:]]


def test_a_face_stands_at_its_anchor() -> None:
    # Of 16 x 16 cells with two anchors each: row 2, column 3.
    (found,) = faces(blazeface({2 * (16 * 2 + 3) + 1: (3.0, (4.0, -4.0, 16.0, 32.0))}))
    middle = np.array([3.5 / 16 + 4 / SIDE, 2.5 / 16 - 4 / SIDE])
    half = np.array([8, 16]) / SIDE
    (box,) = found
    assert box == pytest.approx((*(middle - half), *(middle + half)))


def test_a_face_of_the_coarse_grid() -> None:
    # Of 8 x 8 cells with six anchors each: row 7, column 0.
    (found,) = faces(blazeface({512 + 6 * (8 * 7): (1.0, (0.0, 0.0, 64.0, 64.0))}))
    assert found[0] == pytest.approx((1 / 16 - 1 / 4, 15 / 16 - 1 / 4, 5 / 16, 19 / 16))


def test_overlapping_boxes_are_one_face_and_hopeless_ones_none() -> None:
    same, other = (0.0, 0.0, 32.0, 32.0), (0.0, 0.0, 10.0, 10.0)
    outputs = blazeface({0: (3.0, same), 1: (1.0, same), 500: (2.0, other), 40: (-0.1, other)})
    (found,) = faces(outputs)
    assert len(found) == 2
    assert metrics.box_overlap(faces)(outputs, outputs) == 1
    lost = blazeface({0: (3.0, same)})
    assert metrics.box_overlap(faces)(outputs, lost) == pytest.approx(0.5)
    nothing = blazeface({})
    assert metrics.box_overlap(faces)(nothing, nothing) == 1
