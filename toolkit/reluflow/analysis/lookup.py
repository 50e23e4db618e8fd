"""The bits of chosen inputs, and the inputs that show a chosen pattern."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from reluflow.analysis.run.batching import choose_batch_size
from reluflow.analysis.run.dependence import Feeds, find_dependence
from reluflow.analysis.run.options import AnalysisOptions
from reluflow.analysis.run.pipeline import tap_all
from reluflow.data import DataSource, fixed_batch_size
from reluflow.errors import DataError, ModelError, OptionError
from reluflow.frames import Shown, Tabular
from reluflow.graph import Model, Tap
from reluflow.patterns import fingerprint, unit_words
from reluflow.sessions import Session, default_threads, open_session

_TRIED = 4
"""Inputs of a trial for adjacency: two would do, but equal ones tell nothing."""
_KEY_DIGITS = 32
"""Hexadecimal digits of a fingerprint of 128 bits."""


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Occurrences(Tabular):
    """Where one pattern of one site occurs, as returned by `find_occurrences`.

    Attributes:
        site: the site's name.
        fingerprint: 32 hexadecimal digits.
        inputs: `(n,)` indices of the inputs that show it, ascending; an input that shows it at
            several positions is listed once for each.
        positions: `(n,)` which sample of the input at the site it is (pixel or token,
            row-major; 0 in a dense layer).
        bits: `(units,)` bool, the pattern itself; `(0,)` where it never occurs.
    """

    site: str
    fingerprint: str
    inputs: np.ndarray
    positions: np.ndarray
    bits: np.ndarray

    _shown: ClassVar[Shown] = {"input": ("input", "count"), "position": ("position", "count")}

    def _heading(self) -> str:
        bits = "".join("01"[int(bit)] for bit in self.bits) or "not found"
        return f"{len(self):,} occurrences of pattern {bits} at {self.site}"

    def _records(self) -> Sequence[dict[str, Any]]:
        pairs = zip(self.inputs.tolist(), self.positions.tolist(), strict=True)
        return [{"input": at, "position": position} for at, position in pairs]

    def __len__(self) -> int:
        """Number of occurrences."""
        return len(self.inputs)


def read_bits(
    model: Model,
    source: DataSource,
    samples: Sequence[int],
    sites: Sequence[str] | None,
    options: AnalysisOptions,
) -> dict[str, np.ndarray]:
    """Return the activation patterns of chosen inputs.

    Args:
        model: the model.
        source: its inputs.
        samples: indices of inputs.
        sites: names; all by default.
        options: settings.

    Returns:
        Site name -> `(n_inputs, positions, units)` bool: pre-activation above the threshold.

    Raises:
        OptionError: no sample, a negative one, or an unknown site.
        ModelError: a graph that mixes inputs.
        DataError: inputs that differ in size.

    Example:
        >>> import onnx.parser
        >>> from reluflow.analysis import AnalysisOptions
        >>> from reluflow.data import open_data
        >>> from reluflow.graph import load
        >>> proto = onnx.parser.parse_model('''<ir_version: 8, opset_import: ["" : 17]>
        ...     g (float[N,2] x) => (float[N,2] y) { y = Relu(x) }''')
        >>> model = load(proto)
        >>> data = open_data(np.eye(2, dtype=np.float32), model.inputs)
        >>> read_bits(model, data, [1, 0], None, AnalysisOptions())['y'].tolist()
        [[[False, True]], [[True, False]]]
    """
    rows = [int(index) for index in samples]
    if not rows or min(rows) < 0:
        raise OptionError(f"samples are {rows}; give indices of inputs, from 0 on.")
    taps, session, size = _open(model, options, sites)
    found: dict[str, list[np.ndarray]] = {tap.site.name: [] for tap in taps}
    fixed = fixed_batch_size(model.inputs) is not None
    if size > 1 and (len(rows) > 1 or fixed):
        _refuse_scattered(session, taps, _distinct(source, rows, size, fixed), fixed)
    for start in range(0, len(rows), size):
        chunk = rows[start : start + size]
        # A model of fixed batch size is fed the last input again; what it shows there is cut off.
        fed = chunk + chunk[-1:] * (size - len(chunk)) if fixed else chunk
        outputs = dict(zip(session.outputs, session.run(source.take(fed)), strict=True))
        for tap in taps:
            x = _by_input(outputs[tap.output], tap, len(fed))[: len(chunk)]
            found[tap.site.name].append(x > tap.site.threshold)
    return {name: _joined(name, parts) for name, parts in found.items()}


def find_occurrences(
    model: Model, source: DataSource, site: str, wanted: object, options: AnalysisOptions
) -> Occurrences:
    """Return every input that shows a pattern.

    Args:
        model: the model.
        source: its inputs.
        site: name of the site.
        wanted: fingerprint of the pattern, 32 hexadecimal digits.
        options: settings; `seed` as in the analysis that gave the fingerprint.

    Returns:
        The inputs, the positions and the pattern's bits.

    Raises:
        OptionError: no such site, or not a fingerprint.
        ModelError: a graph that mixes inputs.

    Example:
        >>> import onnx.parser, reluflow
        >>> from reluflow.data import open_data
        >>> from reluflow.graph import load
        >>> proto = onnx.parser.parse_model('''<ir_version: 8, opset_import: ["" : 17]>
        ...     g (float[N,2] x) => (float[N,2] y) { y = Relu(x) }''')
        >>> x = np.array([[1, 0], [0, 1], [1, 0]], np.float32)
        >>> [top] = reluflow.analyze(proto, x, options=AnalysisOptions(top=1)).sites[0].top
        >>> model = load(proto)
        >>> data = open_data(x, model.inputs)
        >>> found = find_occurrences(model, data, "y", top.fingerprint, AnalysisOptions())
        >>> found.inputs.tolist(), found.bits.tolist()
        ([0, 2], [True, False])
    """
    name, key = _key(wanted)
    [tap], session, size = _open(model, options, [site])
    inputs, positions, bits = [], [], np.zeros(0, bool)
    done = 0
    fixed = fixed_batch_size(model.inputs) is not None
    for feeds in source.batches(size):
        n_inputs = len(next(iter(feeds.values())))
        if not done:
            _refuse_scattered(session, [tap], feeds, fixed)
        [x] = session.run(feeds)
        samples = _by_input(x, tap, n_inputs)
        at = _equal(samples, key, tap.site.threshold, options.seed)
        rows, places = np.nonzero(at)
        if len(rows) and not bits.size:
            bits = samples[rows[0], places[0]] > tap.site.threshold
        inputs.append(rows + done)
        positions.append(places)
        done += n_inputs
    return Occurrences(site, name, np.concatenate(inputs), np.concatenate(positions), bits)


def _open(
    model: Model, options: AnalysisOptions, names: Sequence[str] | None
) -> tuple[tuple[Tap, ...], Session, int]:
    tapped = tap_all(model, options)
    known = {tap.site.name: tap for tap in tapped.done}
    for name in names or ():
        if name not in known:
            raise OptionError(f"site is {name!r}; accepted are {', '.join(known)}.")
    taps = tapped.done if names is None else tuple(known[name] for name in dict.fromkeys(names))
    outputs = list(dict.fromkeys(tap.output for tap in taps))
    size = choose_batch_size(model, [tap.site for tap in taps], options)
    threads = options.threads or default_threads()
    session = open_session(
        tapped.model, outputs=outputs, threads=threads, optimisation=options.optimisation
    )
    return taps, session, size


def _distinct(source: DataSource, rows: Sequence[int], size: int, fixed: bool) -> Feeds:
    """Return a few inputs for a trial: the chosen ones, and others where these are too few."""
    least, most = (size, size) if fixed else (2, _TRIED)
    few = list(dict.fromkeys(rows))[:most]
    others = [index for index in range(min(source.n_samples or 0, least)) if index not in few]
    filled = few + others[: max(0, least - len(few))]
    try:
        return source.take(filled + few[-1:] * (least - len(filled)))
    except DataError:  # the others have another size
        return source.take(few + few[-1:] * (least - len(few)))


def _refuse_scattered(session: Session, taps: Sequence[Tap], feeds: Feeds, fixed: bool) -> None:
    """Find out by trial whether a site has the samples of one input next to each other.

    Raises:
        ModelError: a site does not, so samples of a batch cannot be assigned to inputs.
    """
    few = feeds if fixed else {name: array[:_TRIED] for name, array in feeds.items()}
    n_inputs = len(next(iter(few.values())))
    if n_inputs < 2:
        return

    def run(some: Feeds) -> dict[str, np.ndarray]:
        return dict(zip(session.outputs, session.run(some), strict=True))

    found = find_dependence(run, few, taps, fixed).scattered
    if found:
        advice = "export it with a dynamic batch" if fixed else "set batch_size to 1"
        raise ModelError(
            f"site {taps[min(found)].site.name} mixes the samples of several inputs (those of one "
            f"are not adjacent, as where time comes before the batch); {advice}."
        )


def _by_input(x: np.ndarray, tap: Tap, n_inputs: int) -> np.ndarray:
    """Return pre-activations as `(n_inputs, positions, units)`."""
    mixed = tap.unit_axis != tap.site.unit_axis or not x.ndim or x.shape[0] % n_inputs
    if n_inputs > 1 and mixed:
        raise ModelError(
            f"site {tap.site.name} mixes the samples of several inputs (shape {list(x.shape)} for "
            f"{n_inputs} inputs); set batch_size to 1."
        )
    units = x.shape[tap.unit_axis]
    return np.moveaxis(x, tap.unit_axis, -1).reshape(n_inputs, -1, units)


def _equal(samples: np.ndarray, key: np.ndarray, threshold: float, seed: int) -> np.ndarray:
    """Tell for each input and position whether its fingerprint is the key."""
    words = unit_words(samples.shape[-1], seed)
    found = fingerprint(samples, unit_axis=-1, threshold=threshold, words=words)
    same: np.ndarray = (found.keys == key).all(axis=-1)
    return same.reshape(samples.shape[:2])


def _key(text: object) -> tuple[str, np.ndarray]:
    """Return a fingerprint as text and as two words."""
    try:
        if not isinstance(text, str) or len(text) != _KEY_DIGITS:
            raise ValueError(text)
        number = int(text, 16)
    except ValueError:
        raise OptionError(
            f"pattern is {text!r}; give a fingerprint of 32 hexadecimal digits, or an entry of a "
            "report's top patterns."
        ) from None
    return text, np.array([number >> 64, number & (2**64 - 1)], np.uint64)


def _joined(name: str, parts: Sequence[np.ndarray]) -> np.ndarray:
    if len({part.shape[1:] for part in parts}) > 1:
        raise DataError(
            f"the chosen inputs differ in size at site {name}; ask for one size at a time."
        )
    return np.concatenate(parts)
