"""Raster cells: the patterns of any model at the points of a grid on a plane."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reluflow.cells.connect import components
from reluflow.cells.exact import check_fit
from reluflow.cells.plane import Plane
from reluflow.errors import ModelError, OptionError
from reluflow.graph import Model, SwitchSite, Tap, find_sites, tap, use_batch_statistics
from reluflow.patterns.global_pattern import add_sites
from reluflow.patterns.hashing import fingerprint
from reluflow.progress import Progress
from reluflow.sessions.session import default_threads, open_session

_INPUTS = 8192
"""Inputs of one run at most."""
_TAPPED = 1 << 27
"""Bytes of pre-activations that one run may return."""
_STAGE = "running the grid"
_PAIR = np.dtype([("a", np.uint64), ("b", np.uint64)])


@dataclass(frozen=True, slots=True, eq=False)
class RasterSite:
    """The cells of one site on a grid, part of what `raster_cells` returns.

    Attributes:
        name: of the site.
        labels: `(height, width)` int64, number of the pattern at each point, the top row first.
        keys: `(n_patterns, 2)` uint64, fingerprint of each pattern, of all units of the site in one
            input; in order of their numbers.
        patterns: number of distinct patterns.
        pieces: number of connected pieces of one pattern, neighbours being left, right, above
            and below. A cell smaller than a pixel may be missed, a narrow one fall apart.
    """

    name: str
    labels: NDArray[np.int64]
    keys: NDArray[np.uint64]

    @property
    def patterns(self) -> int:
        """Number of distinct patterns."""
        return len(self.keys)

    @property
    def pieces(self) -> int:
        """Number of connected pieces of one pattern."""
        return count_pieces(self.labels)


@dataclass(frozen=True, slots=True, eq=False)
class RasterCells:
    """The cells of some sites on a grid, as `raster_cells` returns them.

    Attributes:
        plane: the plane and its window.
        sites: each site chosen, in graph order.
        together: the joint pattern of these sites, as a site named "all".
        nonfinite: pre-activations that were NaN or infinite; NaN is inactive.
        notes: sites left out and why.
    """

    plane: Plane
    sites: tuple[RasterSite, ...]
    together: RasterSite
    nonfinite: int
    notes: tuple[str, ...] = ()


def raster_cells(
    model: Model,
    plane: Plane,
    *,
    sites: Sequence[str] | None = None,
    width: int = 500,
    height: int = 500,
    batch_statistics: bool = False,
    threads: int | None = None,
    progress: Progress | None = None,
) -> RasterCells:
    """Return the cells of sites at the centres of a grid's pixels.

    Args:
        model: any model with one input; smooth switches are cut at 0 where they are chosen.
        plane: of the model's input shape, without its batch axis.
        sites: names; all, without the smooth ones, by default.
        width: pixels of the grid across.
        height: pixels of the grid up.
        batch_statistics: normalise by the statistics of the grid, all of which is one batch then.
        threads: of ONNX Runtime and of hashing; the cores of this process by default.
        progress: called as progress(stage, points done, points in all).

    Returns:
        The patterns of each site at each pixel, and of all sites chosen together.

    Raises:
        ModelError: the model has several inputs or no such sites, or ONNX Runtime refuses it.
        OptionError: no site has this name, the plane does not fit, or the grid is empty.

    Example:
        >>> from reluflow.cells.plane import random_plane
        >>> from reluflow.graph import load
        >>> plane = random_plane((1, 28, 28))
        >>> found = raster_cells(
        ...     load("models/fashion_resnet8.onnx"), plane, sites=["/relu/Relu"], width=8, height=8)
        >>> found.sites[0].labels.shape, found.sites[0].patterns, found.sites[0].pieces
        ((8, 8), 64, 64)

    Reference: docs/spec.md, section 4; thesis 2.2.3, Fig. 2.3.
    """
    if width < 1 or height < 1:
        raise OptionError(f"the grid is {width} x {height}; give at least one pixel each way.")
    if len(model.inputs) != 1:
        raise ModelError(
            f"the model has {len(model.inputs)} inputs, and a plane lies in the space of one; give "
            "a model with one input."
        )
    check_fit(model, plane)
    chosen = _chosen(model, sites)
    notes = []
    if batch_statistics:
        model = use_batch_statistics(model).model
        notes.append("batch normalisation by the statistics of the grid")
    rewritten = tap(model, chosen, behind=True)
    taps: tuple[Tap, ...] = rewritten.done
    notes += [f"{refused.node} is left out: {refused.reason}" for refused in rewritten.refused]
    if not taps:
        raise ModelError(f"no site can be seen: {'; '.join(notes)}; choose others.")
    points = plane.grid(width, height)
    keys, nonfinite = _keys(
        rewritten.model, taps, plane, points, batch_statistics, threads, progress
    )
    made = [_site(each.site.name, own, width, height) for each, own in zip(taps, keys, strict=True)]
    joint = np.zeros_like(keys[0])
    add_sites(joint, dict(enumerate(keys)))
    together = _site("all", joint, width, height)
    return RasterCells(plane, tuple(made), together, nonfinite, tuple(notes))


def count_pieces(labels: NDArray[np.int64]) -> int:
    """Return the number of connected pieces of equal labels of a picture.

    Args:
        labels: `(height, width)`.

    Example:
        >>> count_pieces(np.array([[0, 1], [1, 0]]))
        4
    """
    index = np.arange(labels.size).reshape(labels.shape)
    right, below = labels[:, 1:] == labels[:, :-1], labels[1:] == labels[:-1]
    start = np.concatenate([index[:, :-1][right], index[:-1][below]])
    end = np.concatenate([index[:, 1:][right], index[1:][below]])
    return components(labels.size, start, end)[0]


def _chosen(model: Model, names: Sequence[str] | None) -> list[SwitchSite]:
    if names is None:
        found = list(find_sites(model))
        if not found:
            raise ModelError("the model has no switch sites, so it has one cell; give another.")
        return found
    known = {site.name: site for site in find_sites(model, smooth=True)}
    for name in names:
        if name not in known:
            raise OptionError(
                f"sites names {name!r}, which is no site; give some of {', '.join(known)}."
            )
    return [site for site in known.values() if site.name in set(names)]


def _keys(
    model: Model,
    taps: Sequence[Tap],
    plane: Plane,
    points: NDArray[np.float64],
    whole: bool,
    threads: int | None,
    progress: Progress | None,
) -> tuple[list[NDArray[np.uint64]], int]:
    """Return the keys of each tap at all points, and how many values were not finite."""
    n_threads = threads or default_threads()
    outputs = list(dict.fromkeys(each.output for each in taps))
    session = open_session(model, outputs=outputs, threads=threads)
    spec = model.inputs[0]
    step = len(points) if whole else _batch(taps)
    if spec.shape and isinstance(spec.shape[0], int):
        if whole:
            raise ModelError(
                f"the model reads {spec}, so the grid cannot be one batch; export it with a free "
                "batch size."
            )
        step = spec.shape[0]
        if not step:
            raise ModelError(
                f"the model reads {spec}, no input at all; export it with a free batch size."
            )
    keys = [np.empty((len(points), 2), np.uint64) for _ in taps]
    nonfinite = 0
    for start in range(0, len(points), step):
        part = points[start : start + step]
        fed = part if len(part) == step or whole else np.resize(part, (step, 2))
        if not (spec.shape and isinstance(spec.shape[0], int)):
            fed = part
        values = session.run({spec.name: plane.at(fed).astype(spec.dtype)})
        by_name = dict(zip(outputs, values, strict=True))
        for each, own in zip(taps, keys, strict=True):
            flat = _rows(by_name[each.output], each, len(fed))
            found = fingerprint(flat, threshold=each.site.threshold, threads=n_threads)
            own[start : start + len(part)] = found.keys[: len(part)]
            nonfinite += found.nonfinite
        if progress is not None:
            progress(_STAGE, start + len(part), len(points))
    return keys, nonfinite


def _rows(values: NDArray[Any], tap: Tap, inputs: int) -> NDArray[Any]:
    if not values.ndim or values.size % inputs:
        raise ModelError(
            f"site {tap.site.name!r} gives values of shape {list(values.shape)} for {inputs} "
            "inputs, so that none has a pattern of its own there; name other sites."
        )
    return values.reshape(inputs, -1)


def _batch(taps: Sequence[Tap]) -> int:
    """Return how many inputs one run takes."""
    each = 0
    for one in taps:
        sizes = [n for n in (one.site.shape or ())[1:] if isinstance(n, int)]
        each += 4 * math.prod(sizes)
    return max(1, min(_INPUTS, _TAPPED // max(each, 1)))


def _site(name: str, keys: NDArray[np.uint64], width: int, height: int) -> RasterSite:
    unique, labels = _distinct(keys)
    return RasterSite(name, labels.reshape(height, width), unique)


def _distinct(keys: NDArray[np.uint64]) -> tuple[NDArray[np.uint64], NDArray[np.int64]]:
    """Return the distinct keys, in order, and the number of each row's."""
    # Sorting the first words alone is ten times as fast; it is enough unless two keys share one.
    for compared in (keys[:, 0], np.ascontiguousarray(keys).view(_PAIR).ravel()):
        _, first, labels = np.unique(compared, return_index=True, return_inverse=True)
        distinct = keys[first]
        if (distinct[labels] == keys).all():
            break
    return distinct, labels.astype(np.int64)
