"""The measures by name: one key, unit and meaning each, for all files, tables and pages."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType


@dataclass(frozen=True, slots=True)
class Quantity:
    """The names of one measure and its meaning.

    Attributes:
        key: its name in files, records and Python.
        unit: "share" (a fraction in [0, 1]), "ratio" (a fraction of what was before, which may
            exceed 1), "signed" (one that may be negative), "bits", "count", "rate", "number" or
            "flag" (0 or 1).
        meaning: one line.
        source: the page that defines it, with its section.
        heading: of charts; "" where none shows it.
        column: of tables of text, where space is short; "" where none shows it.
        title: of curves and strips over time; "" where the key is shown as it is.
        also: other spellings that occur in files: those of plural fields and of earlier recordings.

    Example:
        >>> born = QUANTITIES["born"]
        >>> born.unit, born.meaning, born.source
        ('ratio', 'patterns only in the second state, over those before', 'docs/spec.md, section 3')

    Reference: docs/measures.md.
    """

    key: str
    unit: str
    meaning: str
    source: str
    heading: str = ""
    column: str = ""
    title: str = ""
    also: tuple[str, ...] = ()


_COUNTS = "docs/spec.md, section 3"
_ESTIMATES = "docs/scale.md"
_STEPS = "docs/spec.md, section 5"
_GRADED = "docs/measures.md"
_TRAINING = "docs/monitoring.md"

# A table: one measure per entry, its names below its meaning.
# fmt: off
_OF_COUNTS = (
    Quantity("units", "count", "number of units d of the site", _COUNTS,
             column="units"),
    Quantity("positions", "count", "samples that one input contributes", _COUNTS),
    Quantity("samples", "count", "N, patterns seen, repeats included", _COUNTS,
             column="samples"),
    Quantity("patterns", "count", "number of distinct patterns", _COUNTS,
             heading="Patterns", column="patterns", title="Distinct patterns"),
    Quantity("patterns_per_sample", "share", "distinct patterns over samples", _COUNTS,
             heading="Patterns per sample", title="Distinct patterns per sample"),
    Quantity("entropy_bits", "bits", "activation pattern entropy H", _COUNTS,
             heading="Entropy of patterns", column="entropy bits",
             title="Entropy of the patterns, bits"),
    Quantity("relative_entropy", "share", "H / min(d, log2 N)", _COUNTS,
             heading="Relative entropy", column="rel. entropy",
             title="Relative entropy of the patterns"),
    Quantity("most_frequent_fraction", "share", "share of the commonest pattern", _COUNTS,
             heading="Most frequent pattern", column="top share", title="Most frequent pattern",
             also=("most_frequent",)),
    Quantity("mean_active_fraction", "share", "share of active units, mean over samples", _COUNTS,
             heading="Mean active share", title="Mean active share", also=("mean_active",)),
    Quantity("dead_units", "count", "units never active", _COUNTS,
             column="dead"),
    Quantity("dead_fraction", "share", "share of the units never active", _COUNTS,
             heading="Dead units", title="Dead units"),
    Quantity("always_on_units", "count", "units always active", _COUNTS,
             column="always on"),
    Quantity("always_on_fraction", "share", "share of the units always active", _COUNTS,
             heading="Always-on units", title="Always-on units"),
    Quantity("unit_active_counts", "count", "samples in which each unit is active", _COUNTS),
    Quantity("nonfinite", "count", "NaN and infinite pre-activations", _COUNTS,
             column="non-finite"),
    Quantity("nans", "count", "NaN pre-activations in the second state", _COUNTS),
    Quantity("table_load", "share", "filled share of the counting table", _COUNTS,
             heading="Load of the count table", title="Load of the count table"),
    Quantity("spilled_bytes", "count", "bytes of the counts that went to disk", _COUNTS),
    Quantity("patterns_low", "count", "lower end of the interval of an estimate", _ESTIMATES),
    Quantity("patterns_high", "count", "upper end of it", _ESTIMATES),
    Quantity("patterns_confidence", "share", "probability of that interval", _ESTIMATES),
    Quantity("count_error", "count", "samples by which a count may be too high", _ESTIMATES),
    Quantity("count_confidence", "share", "probability of that, for one pattern", _ESTIMATES),
    Quantity("least_share", "share", "patterns of a larger one are listed", _ESTIMATES),
)

_OF_TWO_STATES = (
    Quantity("distance", "share", "D, share of samples whose pattern differs", _STEPS,
             heading="Distance D", column="D",
             title="Distance D: share of samples whose pattern one step changed",
             also=("distances",)),
    Quantity("distance_previous", "share", "D to the checkpoint before", _STEPS,
             title="Distance D to the checkpoint before"),
    Quantity("distance_last", "share", "D to the last checkpoint", _STEPS,
             title="Distance D to the last checkpoint"),
    Quantity("mean_distance", "share", "mean of D over the sites", _STEPS,
             also=("mean_distances",)),
    Quantity("standard_error", "share", "of D or its mean, samples as independent", _STEPS),
    Quantity("changed", "count", "samples whose pattern differs", _STEPS),
    Quantity("temperature_bits", "bits", "APT, -log2(1 - D)", _STEPS,
             heading="Temperature (APT)", column="APT", title="Temperature (APT), bits",
             also=("temperature",)),
    Quantity("saturated", "flag", "D is 1, the temperature a lower bound", _STEPS),
    Quantity("jaccard", "share", "weighted Jaccard index of two tables of counts", _COUNTS,
             heading="Weighted Jaccard", column="Jaccard"),
    Quantity("jaccard_initial", "share", "weighted Jaccard index to the start", _COUNTS,
             heading="Jaccard index to the start", title="Jaccard index to the start"),
    Quantity("jaccard_previous", "share", "weighted Jaccard index to the record before", _COUNTS,
             heading="Jaccard index to the last record",
             title="Jaccard index to the record before"),
    Quantity("jaccard_final", "share", "weighted Jaccard index to the last table kept", _COUNTS,
             heading="Jaccard index to the final state", title="Jaccard index to the final state"),
    Quantity("jaccard_to_last", "share", "weighted Jaccard index to the last checkpoint", _COUNTS,
             title="Jaccard index to the last checkpoint"),
    Quantity("net_change", "signed", "change of the number of patterns, over that before", _COUNTS,
             heading="Net change", column="net", title="Change of the number of patterns"),
    Quantity("born", "ratio", "patterns only in the second state, over those before", _COUNTS,
             heading="Born", column="born", title="Patterns born, of those before"),
    Quantity("died", "share", "patterns only in the first state, over those before", _COUNTS,
             heading="Died", column="died", title="Patterns died"),
    Quantity("flip_fraction", "share", "share of the units that flip, mean over samples", _GRADED,
             heading="Units that flip", column="flips", title="Units that one step flips"),
    Quantity("relative_flips", "share", "flips over the distance of two samples", _GRADED,
             heading="Flips against two samples"),
    Quantity("flipped_units", "count", "units that flip in one sample at least", _GRADED),
    Quantity("flipped_fraction", "share",
             "share of the units that flip in one sample at least", _GRADED,
             heading="Units that ever flip"),
    Quantity("unit_flip_counts", "count", "samples in which each unit flips", _GRADED),
    Quantity("activity_change", "share",
             "how much the share of samples that activate a unit differs, mean over units", _GRADED,
             title="Change of the units' activity since the checkpoint before",
             also=("activity_changes",)),
)

_OF_SAMPLES = (
    Quantity("unit_entropy_bits", "bits", "entropy of a unit's activity, mean over units", _GRADED,
             heading="Entropy of a unit", column="unit entropy"),
    Quantity("group_entropy_bits", "bits", "entropy of groups of 8 units, per unit", _GRADED,
             heading="Entropy of groups"),
    Quantity("redundancy", "share",
             "share of the units' entropy that groups tell of each other", _GRADED,
             heading="Redundancy"),
    Quantity("pair_distance", "share", "mean Hamming distance of two samples, over d", _GRADED,
             heading="Distance of two samples", column="two differ at"),
    Quantity("input_distance", "share", "of two inputs at the same position", _GRADED),
    Quantity("effective_bits", "bits", "entropy that more samples would show", _GRADED,
             heading="Effective patterns", column="effective bits"),
    Quantity("effective_low_bits", "bits", "lower end of its interval of 95 %", _GRADED),
    Quantity("effective_high_bits", "bits", "upper end of it", _GRADED),
    Quantity("coverage", "share", "share of new samples whose pattern was seen", _GRADED),
    Quantity("sampled_inputs", "count", "inputs in the sample", _GRADED),
    Quantity("sampled_positions", "count", "samples of each that are in it", _GRADED),
    Quantity("within_distance", "share", "mean distance of two inputs of one class", _GRADED),
    Quantity("between_distance", "share", "of two inputs of different classes", _GRADED),
    Quantity("separation", "share", "1 - within / between", _GRADED,
             heading="Separation of classes", column="classes apart"),
    Quantity("overlap", "share", "weighted Jaccard index of two classes, mean", _GRADED,
             heading="Overlap of classes", also=("overlaps",)),
    Quantity("overlap_of_halves", "share", "of two halves of one class", _GRADED),
)

_OF_TRAINING = (
    Quantity("learning_rate", "rate", "the highest of the optimizer's groups", _TRAINING,
             title="Learning rate", also=("rate",)),
    Quantity("batch_statistics", "flag", "batch normalisation by the batch measured on", _TRAINING),
    Quantity("data_flip_fraction", "share", "share of the units that a step flips on the data",
             _TRAINING, heading="Units that flip on the data",
             title="Units that one step flips on the data"),
    Quantity("strike", "flag", "the step flips far more units than those before", _TRAINING),
    Quantity("swept", "flag", "the rates were swept at this step", _TRAINING),
    Quantity("mu", "number", "of the log-normal transition, in ln of the rate", _STEPS),
    Quantity("sigma", "number", "its width, in ln of the rate", _STEPS),
)
# fmt: on

QUANTITIES: Mapping[str, Quantity] = MappingProxyType(
    {
        each.key: each
        for group in (_OF_COUNTS, _OF_TWO_STATES, _OF_SAMPLES, _OF_TRAINING)
        for each in group
    }
)
"""Every measure that a report, a record, a table or a page holds, by its key."""

_SPELLINGS = {spelling: each for each in QUANTITIES.values() for spelling in each.also}


def find_quantity(name: str) -> Quantity | None:
    """Return the measure that has a given name in files, None where there is none.

    Args:
        name: its key, or another spelling that occurs in files.

    Returns:
        Its entry in `QUANTITIES`.

    Example:
        >>> find_quantity("most_frequent").key, find_quantity("loss")
        ('most_frequent_fraction', None)

    Reference: docs/measures.md.
    """
    return QUANTITIES.get(name) or _SPELLINGS.get(name)
