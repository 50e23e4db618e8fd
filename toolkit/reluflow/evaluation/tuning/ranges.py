"""Scaling channels so that their ranges on data fill the bytes of their tensor."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from reluflow.data import DataSource
from reluflow.graph import (
    Model,
    Rewritten,
    ScalableChannels,
    expose,
    scalable_channels,
    scale_channels,
)
from reluflow.sessions import open_session

_F64 = NDArray[np.float64]
STRENGTH = 0.5
"""Of 0, which leaves channels as they are, to 1, which gives all of a tensor the same range. Bytes
want the latter, weights, which are scaled the other way, the former."""
MOST_FACTOR = 64.0
"""A channel that takes less than a 64th of a byte is hardly used: it is noise that would be made
as loud as the rest."""
_PLACES = 2048
"""Of each tensor, where ranges are weighed against what they clamp."""
_FINER = np.arange(13) / 4
"""Octaves below a channel's maximum that are tried as its range."""
_TRIED = 2.0 ** (np.arange(32) / 32)
"""Factors of all channels of a tensor that are tried: beyond 2 its format changes."""
_GUESSED_INPUTS = 32
_SIGNED_STEPS, _STEPS = 127, 255


@dataclass(frozen=True, slots=True, eq=False)
class _Range:
    """The range of each channel of a tensor, and how many steps of a byte it takes."""

    each: _F64
    steps: int


def fill_bytes(
    model: Model,
    source: DataSource,
    tensors: Collection[str],
    *,
    exclude: Collection[str] = (),
    strength: float = STRENGTH,
    seed: int = 0,
    threads: int | None = None,
) -> Rewritten[tuple[str, ...]]:
    """Scale the channels of a float model so that they fill the bytes that will hold them.

    All channels of a tensor share one format, whose steps are a power of two. A quiet channel that
    layers make and layers read is made louder, the weights that make it larger and those that read
    it smaller, and all channels together are scaled so that the loudest ends where bytes end. The
    model computes what it did. Ranges are those of least squared error; channels that one Clip
    bounds keep their proportions.

    Args:
        model: a float model, folded and raised as `plan_psb` leaves it; not changed.
        source: representative inputs.
        tensors: that will be bytes.
        exclude: names of layers that stay as they are.
        strength: 1 gives the channels of a tensor the same range, 0 leaves them.
        seed: of the choice of places at which ranges are judged.
        threads: of ONNX Runtime.

    Returns:
        The new model and the names of the layers with other weights.

    Example:
        >>> import onnx.parser
        >>> from reluflow.data import open_data
        >>> from reluflow.graph import load, read_layers
        >>> proto = onnx.parser.parse_model('''<ir_version: 8, opset_import: ["" : 17]>
        ...     g (float[N,1,4] x) => (float[N,1,4] y)
        ...     <float[2,1,1] w = {1, 0.25}, float[1,2,1] v = {1, 1}>
        ...     { h = Conv(x, w) r = Relu(h) y = Conv(r, v) }''')
        >>> model = load(proto)
        >>> data = open_data(np.full((1, 1, 4), 0.75, np.float32), model.inputs)
        >>> made = fill_bytes(model, data, ["r"], strength=1).model
        >>> read_layers(made)[0][0].weights.ravel().astype(float).round(2).tolist()
        [1.33, 1.33]

    Reference: Nagel et al. (2019), arXiv:1906.04721, section 4.1; docs/psb.md, chains.
    """
    channels = scalable_channels(model, exclude)
    names = [name for name in channels.groups if name in tensors and channels.is_free(name)]
    ranges = _ranges(model, source, names, channels.bounds, seed, threads)
    factors = _even(channels, ranges, strength)
    for part in _together(channels, names):
        groups = channels.groups_of(part)
        if channels.fixed.isdisjoint(groups.tolist()):
            factors[groups] *= _whole(
                channels, [(ranges[n], channels.of(n, factors)) for n in part]
            )
    return scale_channels(model, channels, factors)


def _ranges(
    model: Model,
    source: DataSource,
    names: Sequence[str],
    bounds: Collection[str],
    seed: int,
    threads: int | None,
) -> dict[str, _Range]:
    """Return the ranges of tensors; behind a Clip the maxima, which are bounded already."""
    if not names:
        return {}
    session = open_session(expose(model, names).model, outputs=names, threads=threads)
    rng = np.random.default_rng(seed)
    each = -(-_PLACES // (source.n_samples or _GUESSED_INPUTS))
    largest: dict[str, _F64] = {}
    lowest = dict.fromkeys(names, 0.0)
    seen: dict[str, list[NDArray[np.float32]]] = {name: [] for name in names}
    for batch in source.batches(source.fitting_batch_size(None, 1)):
        for name, x in zip(names, session.run(batch), strict=True):
            flat = np.moveaxis(x, 1, 0).reshape(x.shape[1], -1)
            top = np.abs(flat).max(axis=1).astype(np.float64)
            largest[name] = np.maximum(largest.get(name, 0.0), top)
            lowest[name] = min(lowest[name], float(flat.min()))
            seen[name].append(flat[:, rng.integers(0, flat.shape[1], each * len(x))])
    found = {}
    for name in names:
        steps = _SIGNED_STEPS if lowest[name] < 0 else _STEPS
        whole = largest[name]
        if name not in bounds:
            whole = _least_error(np.concatenate(seen[name], axis=1), whole, steps)
        found[name] = _Range(whole, steps)
    return found


def _least_error(x: NDArray[np.float32], largest: _F64, steps: int) -> _F64:
    """Return for each channel the end of bytes at which clamping and steps together cost least."""
    size = np.abs(x.astype(np.float64))
    least, found = np.full(len(x), np.inf), largest
    for octaves in _FINER:
        end = largest * 2.0**-octaves
        clamped = np.square(np.maximum(size - end[:, None], 0)).mean(axis=1)
        error = clamped + np.square(end / steps) / 12
        found = np.where(error < least, end, found)
        least = np.minimum(error, least)
    return found


def _even(channels: ScalableChannels, ranges: Mapping[str, _Range], strength: float) -> _F64:
    """Return the factor of each group by which no tensor's range grows."""
    share = np.zeros(channels.count)
    for name, found in ranges.items():
        groups = channels.groups[name]
        real = groups >= 0
        top = found.each[real].max(initial=0.0)
        if top > 0:
            np.maximum.at(share, groups[real], found.each[real] / top)
    share[share == 0] = 1.0  # what is always 0, or never bytes
    factors: _F64 = np.minimum(1 / share, MOST_FACTOR) ** strength
    factors[sorted(channels.fixed)] = 1.0
    return factors


def _together(channels: ScalableChannels, names: Sequence[str]) -> list[list[str]]:
    """Return the tensors that share groups, directly or through others."""
    parts: list[tuple[set[int], list[str]]] = []
    for name in names:
        groups, members = set(channels.groups_of([name]).tolist()), [name]
        apart = []
        for other, held in parts:
            if other.isdisjoint(groups):
                apart.append((other, held))
            else:
                groups, members = groups | other, held + members
        parts = [*apart, (groups, members)]
    return [members for _, members in parts]


def _whole(channels: ScalableChannels, found: Sequence[tuple[_Range, _F64]]) -> float:
    """Return the factor, from 1 to 2, with which some tensors leave least of their bytes unused."""
    tops = np.array([(r.each * factor).max(initial=0.0) / r.steps for r, factor in found])
    tops = np.log2(tops[tops > 0])[:, None] + np.log2(_TRIED)
    unused = np.square(np.exp2(np.ceil(tops) - tops)).sum(axis=0)
    return float(_TRIED[int(unused.argmin())])
