"""Which units are off, on, or on together with another one, for all inputs."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from reluflow.analysis import AnalysisOptions
from reluflow.analysis.run.batching import choose_batch_size
from reluflow.data import DataSource
from reluflow.errors import DataError
from reluflow.graph import Model, find_sites, tap
from reluflow.progress import Progress
from reluflow.sessions import open_session


@dataclass(frozen=True, slots=True, eq=False)
class UnitBits:
    """What the units of one site did over all inputs and positions.

    `read_units` returns one for each site.

    Attributes:
        off: `(units,)` never above the threshold.
        on: `(units,)` always above it.
        twin: `(units,)` the first unit with the same bits throughout; its own number where there is
            none, and where it is off or on.
    """

    off: NDArray[np.bool_]
    on: NDArray[np.bool_]
    twin: NDArray[np.int64]


def read_units(
    model: Model,
    source: DataSource,
    options: AnalysisOptions,
    progress: Progress | None = None,
) -> tuple[dict[str, UnitBits], tuple[str, ...], int]:
    """Return what every unit did over all inputs.

    Args:
        model: the model.
        source: its inputs.
        options: batch size and threads.
        progress: called as progress(stage, inputs done, inputs in all or None).

    Returns:
        Name of a site -> what its units did; a sentence for each site that is left out; and the
        number of inputs.

    Raises:
        DataError: there are no inputs, or the model fails on them.

    Example:
        >>> import onnx.parser
        >>> from reluflow.data import open_data
        >>> from reluflow.graph import load
        >>> proto = onnx.parser.parse_model('''<ir_version: 8, opset_import: ["" : 17]>
        ...     g (float[N,3] x) => (float[N,3] y) { y = Relu(x) }''')
        >>> model = load(proto)
        >>> x = np.array([[1, -1, 2], [2, 0, -1]], np.float32)
        >>> found, _, n = read_units(model, open_data(x, model.inputs), AnalysisOptions())
        >>> found["y"].off.tolist(), found["y"].on.tolist(), n
        ([False, True, False], [True, False, False], 2)

    Reference: thesis eq. 3.2; docs/spec.md, section 1.
    """
    tapped = tap(model, find_sites(model), behind=True)
    notes = [f"Site {each.node} is left out: {each.reason}." for each in tapped.refused]
    taps = [each for each in tapped.done if not np.isnan(each.site.threshold)]
    notes += [
        f"Site {each.site.name} is left out: its threshold is known only at run time."
        for each in tapped.done
        if np.isnan(each.site.threshold)
    ]
    session = open_session(
        tapped.model,
        outputs=list(dict.fromkeys(each.output for each in taps)),
        threads=options.threads,
    )
    size = choose_batch_size(model, [each.site for each in taps], options)
    counts: dict[str, _Counter] = {}
    done = 0
    for feeds in source.batches(size):
        shown = dict(zip(session.outputs, session.run(feeds), strict=True))
        for each in taps:
            x = np.moveaxis(shown[each.output], each.unit_axis, 0)
            x = x.reshape(len(x), -1)
            counter = counts.setdefault(each.site.name, _Counter(len(x)))
            counter.add(x, each.site.threshold)
        done += len(next(iter(feeds.values())))
        if progress is not None:
            progress("analysing", done, source.n_samples)
    if not done:
        raise DataError("the data hold no inputs; give at least one.")
    infinite = {name for name, each in counts.items() if each.nonfinite}
    notes += [f"Site {name} is left out: some of its values are not finite." for name in infinite]
    found = {name: each.finish() for name, each in counts.items() if name not in infinite}
    return found, tuple(notes), done


class _Counter:
    def __init__(self, units: int) -> None:
        self.ever = np.zeros(units, bool)
        self.always = np.ones(units, bool)
        self.nonfinite = False
        self._digests = [hashlib.blake2b(digest_size=16) for _ in range(units)]

    def add(self, x: NDArray[np.floating], threshold: float) -> None:
        """Take in `(units, samples)` values."""
        if len(x) != len(self.ever):
            raise DataError(
                f"a site has {len(x)} units for some inputs and {len(self.ever)} for others; give "
                "inputs of one size."
            )
        bits = x > threshold
        self.nonfinite |= not np.isfinite(x).all()
        self.ever |= bits.any(axis=1)
        self.always &= bits.all(axis=1)
        packed = np.packbits(bits, axis=1)
        for digest, row in zip(self._digests, packed, strict=True):
            digest.update(row.tobytes())

    def finish(self) -> UnitBits:
        off = ~self.ever
        first: dict[bytes, int] = {}
        twin = np.arange(len(off))
        for unit in np.flatnonzero(~off & ~self.always):
            twin[unit] = first.setdefault(self._digests[unit].digest(), int(unit))
        return UnitBits(off, self.always & self.ever, twin)
