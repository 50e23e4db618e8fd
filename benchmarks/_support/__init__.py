"""What the benchmarks share: pairs of timings, JSON."""

from _support.record import arguments, keep, machine
from _support.timing import paired_medians

__all__ = ["arguments", "keep", "machine", "paired_medians"]
