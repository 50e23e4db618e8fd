"""What adjacent stretches of inputs have shown, added up as if one process had seen them all."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from reluflow.analysis import why_no_global

Site = dict[str, Any]
"""What `SiteAccumulator.state` returns."""


@dataclass(frozen=True, slots=True)
class Stretch:
    """What a stretch of inputs has shown, without the counts.

    Attributes:
        start: number of its first input.
        end: number of the input behind its last one.
        sites: the state of each site; samples are numbered from 0 in each stretch.
        extra: `Pipeline.state`.
        seconds: stage of the work -> seconds.
        spilled: bytes that the table of each site, and that of the whole network, put on disk.
    """

    start: int
    end: int
    sites: list[Site]
    extra: dict[str, Any]
    seconds: dict[str, float]
    spilled: list[int]


def merge_stretches(before: Stretch, after: Stretch, names: Sequence[str]) -> Stretch:
    """Return what two adjacent stretches have shown together.

    The merge is associative, so that a tree of any shape gives the same; it does not commute, as
    samples are numbered in the order of the inputs.

    Args:
        before: the earlier inputs.
        after: those that follow.
        names: of the sites.

    Returns:
        What one pipeline would hold that had seen all these inputs, batch by batch.
    """
    return Stretch(
        before.start,
        after.end,
        [merge_sites(*both) for both in zip(before.sites, after.sites, strict=True)],
        _merge_extra(before, after, names),
        dict(Counter(before.seconds) + Counter(after.seconds)),
        [sum(both) for both in zip(before.spilled, after.spilled, strict=True)],
    )


def merge_sites(before: Site, after: Site) -> Site:
    """Return the state of a site after two adjacent stretches.

    Args:
        before: of the earlier inputs.
        after: of those that follow, its samples numbered from 0.

    Example:
        >>> one = {"samples": 2, "units": 1, "active": [1], "nonfinite": 0, "failed": "",
        ...        "scattered": False, "segments": [[0, 0, 1]]}
        >>> both = merge_sites(one, one | {"segments": [[0, 2, 1]]})
        >>> both["samples"], both["active"], both["segments"]
        (4, [2], [[0, 0, 1]])
    """
    if before["failed"]:  # what was given up takes nothing more
        return before
    units, more = before["units"], after["units"]
    if units and more and units != more:
        return before | {"failed": f"its number of units varies ({units}, then {more})"}
    return before | {
        "samples": before["samples"] + after["samples"],
        "units": units or more,
        "active": _add(before["active"], after["active"]),
        "nonfinite": before["nonfinite"] + after["nonfinite"],
        "failed": after["failed"],
        "segments": _join(before, after),
    }


def _add(a: list[int], b: list[int]) -> list[int]:
    return [x + y for x, y in zip(a, b, strict=True)] if a and b else a or b


def _join(before: Site, after: Site) -> list[list[int]] | None:
    """Return the segments of both; one that goes on where the last one ends is no new one."""
    if before["segments"] is None or after["segments"] is None:
        return None
    seen = before["samples"]
    first = [list(each) for each in before["segments"]]
    moved = [[sample + seen, at, positions] for sample, at, positions in after["segments"]]
    if first and moved:
        sample, at, positions = first[-1]
        if moved[0][1:] == [at + (seen - sample) // positions, positions]:
            moved = moved[1:]
    return first + moved


def _merge_extra(before: Stretch, after: Stretch, names: Sequence[str]) -> dict[str, Any]:
    """Return the state of the pipeline; its reason is the one that would have come first."""
    merged = dict(before.extra)
    merged["notes"] = list(dict.fromkeys([*before.extra["notes"], *after.extra["notes"]]))
    if not merged["global_reason"]:
        found = [_first_change(before, after, names)]
        if after.extra["global_reason"]:
            found.append((after.extra["global_reason_at"], after.extra["global_reason"]))
        at, reason = min((each for each in found if each), default=(None, ""), key=lambda f: f[0])
        if reason:
            merged["global_reason_at"], merged["global_reason"] = at, reason
    return merged


def _first_change(
    before: Stretch, after: Stretch, names: Sequence[str]
) -> tuple[list[int], str] | None:
    """Return where a site first differs from what it was in the earlier stretch, and the reason."""
    found = []
    for index, (one, two) in enumerate(zip(before.sites, after.sites, strict=True)):
        known = {positions for _, _, positions in one["segments"] or ()}
        changed = [at for _, at, positions in two["segments"] or () if {positions} != known]
        if one["units"] and two["units"] and one["units"] != two["units"]:
            changed = [after.start]
        if known and changed:
            found.append(([changed[0], index], why_no_global(names[index], one["scattered"])))
    return min(found, default=None)
