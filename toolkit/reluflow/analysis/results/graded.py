"""The graded measures of a site: from its counts, its units and the sample of inputs."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from reluflow.analysis.results.result import ClassMeasures, GradedMeasures
from reluflow.analysis.run.accumulate import SiteAccumulator
from reluflow.patterns import (
    CountTable,
    EffectivePatterns,
    PatternEstimate,
    class_distances,
    class_overlap,
    effective_patterns,
    group_entropy,
    pair_distance,
    unit_entropy,
)

_UNKNOWN = EffectivePatterns(math.nan, math.nan, math.nan, math.nan)


@dataclass(frozen=True, slots=True)
class SiteBits:
    """The sampled bits of a site.

    Attributes:
        bits: `(inputs, positions * units)`.
        positions: samples per input.
        labels: `(inputs,)` classes of the inputs, None without labels.
    """

    bits: NDArray[np.bool_]
    positions: int
    labels: NDArray[np.int64] | None = None


def graded_measures(
    site: SiteAccumulator, counted: CountTable | PatternEstimate, sample: SiteBits | None
) -> GradedMeasures:
    """Measure a site with measures that do not saturate.

    Args:
        site: after the run.
        counted: its counts, or what was estimated of them, which gives no effective patterns.
        sample: bits of some inputs, None where the samples of inputs cannot be told apart.
    """
    effective = _UNKNOWN
    if isinstance(counted, CountTable):
        effective = effective_patterns(counted, site.units)
    groups = distance = classes = None
    if sample is not None:
        n = len(sample.bits)
        groups = group_entropy(sample.bits.reshape(n * sample.positions, -1))
        distance = pair_distance(sample.bits.sum(axis=0), n) if n > 1 else None
        classes = None if sample.labels is None else _classes(sample, sample.labels)
    return GradedMeasures(
        unit_entropy_bits=float(unit_entropy(site.active, site.samples).mean()),
        pair_distance=pair_distance(site.active, site.samples),
        effective_bits=effective.bits,
        effective_low_bits=effective.low_bits,
        effective_high_bits=effective.high_bits,
        coverage=effective.coverage,
        sampled_inputs=0 if sample is None else len(sample.bits),
        sampled_positions=0 if sample is None else sample.positions,
        input_distance=distance,
        group_entropy_bits=None if groups is None else groups.bits_per_unit,
        redundancy=None if groups is None else groups.redundancy,
        classes=classes,
    )


def _classes(sample: SiteBits, labels: NDArray[np.int64]) -> ClassMeasures | None:
    distances = class_distances(sample.bits, labels)
    overlap = class_overlap(sample.bits, labels, sample.positions)
    if distances is None or overlap is None:
        return None
    return ClassMeasures(
        within_distance=distances.within,
        between_distance=distances.between,
        overlap=overlap.between,
        overlap_of_halves=overlap.within,
        labels=overlap.classes,
        overlaps=overlap.matrix,
    )
