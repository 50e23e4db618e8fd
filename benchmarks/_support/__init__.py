"""What the benchmarks share: pairs of timings, JSON."""

from _support.record import arguments, command, fill_page, fill_table, keep, machine, write
from _support.timing import paired_medians

__all__ = [
    "arguments",
    "command",
    "fill_page",
    "fill_table",
    "keep",
    "machine",
    "paired_medians",
    "write",
]
