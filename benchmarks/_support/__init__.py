"""What the benchmarks share: pairs of timings, JSON."""

from _support.record import arguments, command, fill, keep, machine, write
from _support.timing import paired_medians

__all__ = ["arguments", "command", "fill", "keep", "machine", "paired_medians", "write"]
