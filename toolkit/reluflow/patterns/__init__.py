"""Patterns: hash the pre-activations of a site, count the patterns exactly, measure the counts."""

from reluflow.patterns.global_pattern import add_site, add_sites, global_keys
from reluflow.patterns.graded import (
    EffectivePatterns,
    count_flips,
    effective_patterns,
    pair_distance,
    unit_entropy,
)
from reluflow.patterns.hashing import Fingerprints, fingerprint
from reluflow.patterns.measures import (
    Changes,
    UnitActivity,
    changes,
    count_different,
    entropy,
    most_frequent,
    relative_entropy,
    total,
    unit_activity,
    weighted_jaccard,
)
from reluflow.patterns.quantities import QUANTITIES, Quantity, find_quantity
from reluflow.patterns.recorder import PatternRecorder, read
from reluflow.patterns.sampled import (
    ClassDistances,
    ClassOverlap,
    GroupEntropy,
    class_distances,
    class_overlap,
    group_entropy,
)
from reluflow.patterns.tables.count_table import CountTable, merge
from reluflow.patterns.tables.counts import PatternCounts, filled_share
from reluflow.patterns.tables.sketch import PatternEstimate, SketchCounts
from reluflow.patterns.thesis import (
    occupancy,
    thesis_counts,
    thesis_hash,
    thesis_keys,
    thesis_slots,
)
from reluflow.patterns.words import DEFAULT_SEED, unit_words

__all__ = [
    "DEFAULT_SEED",
    "QUANTITIES",
    "Changes",
    "ClassDistances",
    "ClassOverlap",
    "CountTable",
    "EffectivePatterns",
    "Fingerprints",
    "GroupEntropy",
    "PatternCounts",
    "PatternEstimate",
    "PatternRecorder",
    "Quantity",
    "SketchCounts",
    "UnitActivity",
    "add_site",
    "add_sites",
    "changes",
    "class_distances",
    "class_overlap",
    "count_different",
    "count_flips",
    "effective_patterns",
    "entropy",
    "filled_share",
    "find_quantity",
    "fingerprint",
    "global_keys",
    "group_entropy",
    "merge",
    "most_frequent",
    "occupancy",
    "pair_distance",
    "read",
    "relative_entropy",
    "thesis_counts",
    "thesis_hash",
    "thesis_keys",
    "thesis_slots",
    "total",
    "unit_activity",
    "unit_entropy",
    "unit_words",
    "weighted_jaccard",
]
