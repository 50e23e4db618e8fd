"""The frozen results of an analysis: what was run on what, and what it showed."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from reluflow.data import DataDescription
from reluflow.frames import SiteTable, flat, plain_text
from reluflow.graph import SwitchSite
from reluflow.patterns import QUANTITIES

_SITE_COLUMNS = (
    "units",
    "samples",
    "patterns",
    "entropy_bits",
    "relative_entropy",
    "most_frequent_fraction",
    "dead_units",
    "always_on_units",
)
_COMPARISON_COLUMNS = (
    "units",
    "samples",
    "distance",
    "temperature_bits",
    "jaccard",
    "patterns",
    "born",
    "died",
)
"""What the rows of `_rows` hold after the name, by their keys in `QUANTITIES`."""
_OF_BOTH = ("patterns", "entropy_bits", "pair_distance", "effective_bits")


@dataclass(frozen=True, slots=True)
class ModelDescription:
    """The analysed model, as returned by `describe_model`.

    Attributes:
        path: file name as given, or "<memory>".
        sha256: of the ONNX file's bytes (external data not included).
        producer: exporter's name and version, "" when the file does not say.
        ir_version: ONNX IR version.
        opset: operator set domain -> version; "" is the default domain.
        n_nodes: nodes of the main graph.
        n_parameters: elements of all initializers.
        size_bytes: ONNX file plus external data.
        inputs: input name -> "float32 [N, 3, 224, 224]".
    """

    path: str
    sha256: str
    producer: str
    ir_version: int
    opset: dict[str, int]
    n_nodes: int
    n_parameters: int
    size_bytes: int
    inputs: dict[str, str]


@dataclass(frozen=True, slots=True)
class PatternSummary:
    """One of the most frequent patterns of a site, as listed in a `SiteReport`.

    Attributes:
        fingerprint: 32 hexadecimal digits.
        count: samples that showed it.
        fraction: of all samples of the site, in [0, 1].
        first_sample: index of the first input that showed it; None where the graph mixes
            the samples of several inputs.
        first_position: which of that input's samples at the site (pixel, row-major), or None.
        bits: the pattern itself, one character "0" or "1" per unit; "" when the data could not
            be read a second time.
    """

    fingerprint: str
    count: int
    fraction: float
    first_sample: int | None
    first_position: int | None
    bits: str = ""


@dataclass(frozen=True, slots=True)
class Estimated:
    """The errors of a site whose patterns were estimated, not counted (docs/scale.md).

    Estimated are the number of patterns, the counts and fractions of the most frequent ones, and
    their first samples, which are samples that show them. Everything else is exact or missing.

    Attributes:
        patterns_low: lower end of the interval of the number of distinct patterns.
        patterns_high: upper end.
        patterns_confidence: probability that the number is in it, in [0, 1].
        count_error: a count of a pattern is never too low, and too high by at most this.
        count_confidence: probability of that for one pattern, in [0, 1].
        least_share: patterns of a larger share of the samples are listed, in [0, 1].
    """

    patterns_low: int
    patterns_high: int
    patterns_confidence: float
    count_error: int
    count_confidence: float
    least_share: float


@dataclass(frozen=True, slots=True)
class ClassMeasures:
    """How a site's patterns tell classes apart, in the sample of inputs (docs/measures.md).

    Attributes:
        within_distance: mean Hamming distance of two inputs of one class, share of the units.
        between_distance: of two inputs of different classes.
        overlap: mean weighted Jaccard index of the tables of two classes, in [0, 1].
        overlap_of_halves: the same between two halves of one class: what equal classes would show.
        labels: the classes compared, ascending.
        overlaps: index of each pair of `labels`.
    """

    within_distance: float
    between_distance: float
    overlap: float
    overlap_of_halves: float
    labels: tuple[int, ...]
    overlaps: tuple[tuple[float, ...], ...]


@dataclass(frozen=True, slots=True)
class GradedMeasures:
    """Measures that tell sites apart where nearly every sample has its own pattern.

    Formulas: docs/measures.md.

    Attributes:
        unit_entropy_bits: entropy of a unit's activity, mean over the units, in [0, 1].
        pair_distance: mean Hamming distance of two samples as a share of the units, over all
            pairs.
        effective_bits: entropy that more samples would show; 2 to its power is the effective
            number of patterns.
        effective_low_bits: lower end of its 95 % interval.
        effective_high_bits: upper end; d where the samples do not bound it.
        coverage: estimated share of new samples whose pattern was seen, in [0, 1].
        sampled_inputs: inputs in the sample on which the following are measured, 0 where the
            samples of inputs cannot be told apart.
        sampled_positions: how many samples of each input are used.
        input_distance: mean Hamming distance of two inputs at the same position.
        group_entropy_bits: entropy of groups of 8 units, bits per unit, in [0, 1].
        redundancy: share of the units' entropy that the units of a group have in common, in [0, 1].
        classes: None unless labels were given and enough inputs of two classes are in the sample.
    """

    unit_entropy_bits: float
    pair_distance: float
    effective_bits: float
    effective_low_bits: float
    effective_high_bits: float
    coverage: float
    sampled_inputs: int = 0
    sampled_positions: int = 0
    input_distance: float | None = None
    group_entropy_bits: float | None = None
    redundancy: float | None = None
    classes: ClassMeasures | None = None


@dataclass(frozen=True, slots=True, repr=False)
class SiteReport:
    """Measures of one switch site (docs/spec.md, section 3).

    Attributes:
        site: where it is in the graph.
        units: number of units d.
        positions: samples that one input contributes (pixels or tokens), 1 for a dense layer;
            None where it varied from input to input.
        samples: N, the number of patterns seen, repeats included.
        patterns: number of distinct patterns.
        entropy_bits: activation pattern entropy H, in bits.
        relative_entropy: H / min(d, log2 N), in [0, 1].
        most_frequent_fraction: share of the most frequent pattern, in [0, 1].
        dead_units: units never active.
        always_on_units: units always active.
        mean_active_fraction: share of active units, mean over samples, in [0, 1].
        unit_active_counts: `(units,)` samples in which each unit was active.
        nonfinite: number of pre-activations that were NaN or infinite.
        table_load: filled share of the least counting table that holds the patterns, in
            [0, 1]; with the thesis table its occupancy.
        spilled_bytes: bytes that the counts had to write to disk, 0 when memory sufficed.
        top: the most frequent patterns, in descending order.
        depends_on: what the patterns depend on besides the input itself, found by a trial with the
            first inputs: "batch" (the other inputs), "chance", or "" (nothing found).
        graded: measures that do not saturate; None in reports of earlier versions.
        estimated: errors where the patterns were estimated; None where they were counted.

    Measures that estimates do not give are NaN, null in JSON.

    Example:
        >>> import reluflow
        >>> images = np.load("models/fashion_mnist_test_2000.npz")["image"][:16]
        >>> report = reluflow.analyze("models/fashion_resnet8.onnx", images)
        >>> site = report.sites[0]
        >>> site.units, site.positions, site.samples == 16 * site.positions
        (16, 784, True)
        >>> site.dead_units == len(site.dead_unit_indices)
        True
    """

    site: SwitchSite
    units: int
    positions: int | None
    samples: int
    patterns: int
    entropy_bits: float
    relative_entropy: float
    most_frequent_fraction: float
    dead_units: int
    always_on_units: int
    mean_active_fraction: float
    unit_active_counts: tuple[int, ...]
    nonfinite: int
    table_load: float
    spilled_bytes: int
    top: tuple[PatternSummary, ...] = ()
    depends_on: str = ""
    graded: GradedMeasures | None = None
    estimated: Estimated | None = None

    @property
    def dead_unit_indices(self) -> tuple[int, ...]:
        """Indices of the units that were never active, ascending."""
        return tuple(i for i, n in enumerate(self.unit_active_counts) if n == 0)

    @property
    def always_on_unit_indices(self) -> tuple[int, ...]:
        """Indices of the units that were always active, ascending."""
        return tuple(i for i, n in enumerate(self.unit_active_counts) if n == self.samples)

    def __repr__(self) -> str:
        return f"<SiteReport {self.site.name!r}: {self.units} units, {self.samples} samples, " + (
            f"about {self.patterns} patterns>"
            if self.estimated
            else f"{self.patterns} patterns, {self.entropy_bits:.2f} bits>"
        )


@dataclass(frozen=True, slots=True)
class GlobalReport:
    """Measures of the global pattern: all sites of one input joined (thesis, Definition 3).

    A `PatternReport` holds it.

    Attributes:
        available: False where it cannot be formed; `reason` says why.
        reason: why it is not available, "" otherwise.
        samples: number of inputs.
        patterns: number of distinct global patterns.
        entropy_bits: in bits.
        most_frequent_fraction: in [0, 1].
        estimated: as of `SiteReport`.
    """

    available: bool
    reason: str = ""
    samples: int = 0
    patterns: int = 0
    entropy_bits: float = 0.0
    most_frequent_fraction: float = 0.0
    estimated: Estimated | None = None


@dataclass(frozen=True, slots=True)
class RunDescription:
    """How it was run; the only part that differs between two runs of the same analysis.

    A `PatternReport` holds it, and so does every comparison.

    Attributes:
        started: local time, ISO 8601.
        seconds: stage -> wall time in seconds ("inference", "hashing", "counting", "total").
        batch_size: inputs per run of the model.
        threads: threads of ONNX Runtime and of the hashing.
        versions: package -> version.
        machine: processor and system in a few words.
        peak_memory_bytes: of the process.
    """

    started: str
    seconds: dict[str, float]
    batch_size: int
    threads: int
    versions: dict[str, str]
    machine: str
    peak_memory_bytes: int


@dataclass(frozen=True, slots=True, repr=False)
class PatternReport(SiteTable[SiteReport]):
    """Everything one analysis found.

    Attributes:
        model: the analysed model.
        data: the data it was run on.
        hash: how patterns were identified: {"kind": "random-words-128" or "thesis-64",
            "seed": ..., "table_size": ...}.
        n_inputs: number of inputs analysed.
        sites: one per tapped switch site, in graph order.
        skipped: sites that could not be tapped; `untappable` says why.
        global_pattern: all sites joined.
        run: how it was run.
        notes: sentences the reader should know (non-finite values, spills, skipped inputs).
        labels: where the classes of the inputs came from, "" without.

    Example:
        >>> import onnx.parser, reluflow
        >>> proto = onnx.parser.parse_model('''<ir_version: 8, opset_import: ["" : 17]>
        ...     g (float[N,2] x) => (float[N,2] y) { y = Relu(x) }''')
        >>> report = reluflow.analyze(proto, np.eye(2, dtype=np.float32))
        >>> report.n_inputs, report.global_pattern.patterns, report.sites[0].most_frequent_fraction
        (2, 2, 0.5)
        >>> report.to_dict()["sites"][0]["entropy_bits"]
        1.0
    """

    model: ModelDescription
    data: DataDescription
    hash: dict[str, Any]
    n_inputs: int
    sites: tuple[SiteReport, ...]
    skipped: tuple[SwitchSite, ...]
    global_pattern: GlobalReport
    run: RunDescription
    notes: tuple[str, ...] = field(default=())
    labels: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Return plain dictionaries, lists, strings and numbers, ready for JSON."""
        return asdict(self)

    def _heading(self) -> str:
        return f"{file_of(self.model)} on {self.n_inputs:,} inputs, {len(self.sites)} sites"

    def _rows(self) -> tuple[list[str], list[list[str]]]:
        titles = [QUANTITIES[key].column for key in _SITE_COLUMNS]
        rows = [
            [
                _named(each.site),
                each.site.op,
                f"{each.units:,}",
                f"{each.samples:,}",
                _about(each, each.patterns, ",d"),
                _about(each, each.entropy_bits, ".2f"),
                _about(each, each.relative_entropy, ".1%"),
                _about(each, each.most_frequent_fraction, ".1%"),
                f"{each.dead_units:,}",
                f"{each.always_on_units:,}",
            ]
            for each in self.sites
        ]
        return ["site", "op", *titles], rows


@dataclass(frozen=True, slots=True)
class SiteComparison:
    """One site in two models on the same data (docs/spec.md, section 3 and section 5).

    A `ComparisonReport` holds one per pair of sites.

    Attributes:
        name: the site's name in the first model.
        other_name: its name in the second.
        units: number of units d.
        samples: N.
        patterns: distinct patterns in the first and in the second.
        entropy_bits: of the first and of the second, in bits.
        jaccard: weighted Jaccard index of the two tables, in [0, 1].
        net_change: (total' - total) / total.
        born: patterns only in the second, over total of the first.
        died: patterns only in the first, over total of the first.
        distance: share D of samples whose pattern differs, in [0, 1].
        temperature: APT -log2(1 - D); where saturated the bound log2(N).
        saturated: True when D = 1, so that the temperature is only a lower bound.
        depends_on: as of `SiteReport`, in either model.
        flip_fraction: share of the units that flip, mean over all samples: the mean Hamming
            distance of a sample's two patterns over d, in [0, 1].
        flipped_units: units that flip in at least one sample.
        unit_flip_counts: `(units,)` samples in which each unit flips.
        pair_distance: mean distance of two samples in the first and in the second model, as
            of `GradedMeasures`: what `flip_fraction` would reach if nothing were kept.
        effective_bits: in the first and in the second model, as of `GradedMeasures`.
        layer: the layer that feeds the site, "" where the files do not tell.
    """

    name: str
    other_name: str
    units: int
    samples: int
    patterns: tuple[int, int]
    entropy_bits: tuple[float, float]
    jaccard: float
    net_change: float
    born: float
    died: float
    distance: float
    temperature: float
    saturated: bool
    depends_on: str = ""
    flip_fraction: float | None = None
    flipped_units: int = 0
    unit_flip_counts: tuple[int, ...] = ()
    pair_distance: tuple[float, float] | None = None
    effective_bits: tuple[float, float] | None = None
    layer: str = ""


@dataclass(frozen=True, slots=True, repr=False)
class ComparisonReport(SiteTable[SiteComparison]):
    """Two checkpoints compared on the same data, as returned by `compare_models`.

    Attributes:
        first: the first model.
        second: the second model.
        data: the data both were run on.
        n_inputs: number of inputs.
        sites: one per pair of sites, in graph order.
        mean_distance: mean of D over the sites, in [0, 1].
        run: how it was run.
        notes: sentences the reader should know.
        hash: how patterns were identified, as in `PatternReport`.

    Example:
        >>> import onnx.parser, reluflow
        >>> proto = onnx.parser.parse_model('''<ir_version: 8, opset_import: ["" : 17]>
        ...     g (float[N,2] x) => (float[N,2] y) { y = Relu(x) }''')
        >>> report = reluflow.compare(proto, proto, np.eye(2, dtype=np.float32))
        >>> [(site.name, site.distance, site.patterns) for site in report.sites]
        [('y', 0.0, (2, 2))]
    """

    first: ModelDescription
    second: ModelDescription
    data: DataDescription
    n_inputs: int
    sites: tuple[SiteComparison, ...]
    mean_distance: float
    run: RunDescription
    notes: tuple[str, ...] = field(default=())
    hash: dict[str, Any] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """Return plain dictionaries, lists, strings and numbers, ready for JSON."""
        return asdict(self)

    def _records(self) -> Sequence[dict[str, Any]]:
        return [_pairs_apart(flat(each)) for each in self.sites]

    def _heading(self) -> str:
        return (
            f"{file_of(self.first)} > {file_of(self.second)} on {self.n_inputs:,} inputs, "
            f"mean D {self.mean_distance:.1%}"
        )

    def _rows(self) -> tuple[list[str], list[list[str]]]:
        titles = [QUANTITIES[key].column for key in _COMPARISON_COLUMNS]
        titles[_COMPARISON_COLUMNS.index("temperature_bits")] += " bits"
        rows = [
            [
                _named(each),
                f"{each.units:,}",
                f"{each.samples:,}",
                f"{each.distance:.1%}",
                (">= " if each.saturated else "") + f"{each.temperature:.2f}",
                f"{each.jaccard:.3f}",
                " > ".join(f"{n:,}" for n in each.patterns),
                f"{each.born:.1%}",
                f"{each.died:.1%}",
            ]
            for each in self.sites
        ]
        return ["site", *titles], rows


def _pairs_apart(row: dict[str, Any]) -> dict[str, Any]:
    """Return a row whose measures of both models are two columns, `*_first` and `*_second`."""
    found: dict[str, Any] = {}
    for name, value in row.items():
        if name in _OF_BOTH:
            first, second = (None, None) if value is None else value
            found |= {f"{name}_first": first, f"{name}_second": second}
        else:
            found[name] = value
    return found


def file_of(model: ModelDescription) -> str:
    """Return the name of a model's file, printable."""
    return plain_text(model.path.replace("\\", "/").rsplit("/", 1)[-1] or model.path)


def _about(site: SiteReport, value: float, form: str) -> str:
    """Return a measure of the counts: ~ where it is estimated, a dash where it is missing."""
    if math.isnan(value):
        return "-"
    return ("~" if site.estimated else "") + format(value, form)


def _named(site: SwitchSite | SiteComparison) -> str:
    """Return a site's name with the layer that feeds it."""
    return plain_text(f"{site.name} ({site.layer})" if site.layer else site.name)
