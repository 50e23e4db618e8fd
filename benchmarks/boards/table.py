"""The tables of docs/edge.md, from the record of compare.py."""

from __future__ import annotations

from typing import Any

from _support.record import fill

_SHOWN = 16
"""Number of samples of the table beside other tools."""
_BUILDS = (("cortex-m0", "-Os"), ("cortex-m0", "-O2"), ("cortex-m3", "-Os"), ("cortex-m3", "-O2"))


def _label(row: dict[str, Any]) -> str:
    words = {"products": "", "strict": ", strict", "float": ", float", "int8": ", int8"}
    return f"{row['tool']}{words[row['numbers']]}"


def _count(build: dict[str, Any]) -> float:
    counts: dict[str, float] = build["instructions"]
    return counts.get(str(_SHOWN), next(iter(counts.values())))


def _accuracy(net: dict[str, Any], row: dict[str, Any]) -> float:
    if "accuracy" in row:
        return float(row["accuracy"])
    return next(float(each["accuracy"]) for each in net["samples"] if each["n"] == _SHOWN)


def beside(results: list[dict[str, Any]]) -> str:
    """Return the table of all tools.

    Args:
        results: of the record.
    """
    titles = ["network", "C by", "accuracy, %", "RAM, bytes", "flash, bytes"]
    titles += [f"{core.removeprefix('cortex-').upper()}, {level}" for core, level in _BUILDS]
    lines = [f"| {' | '.join(titles)} |", "|---" * len(titles) + "|"]
    for net in results:
        for row in net["forms"]:
            builds = {(b["core"], b["level"]): b for b in row["builds"]}
            first = builds[_BUILDS[0]]
            cells = [f"`{net['network']}`", _label(row), f"{100 * _accuracy(net, row):.2f}"]
            cells += [f"{first['ram']:,}", f"{first['flash']:,}"]
            cells += [f"{_count(builds[key]) / 1e6:.1f}" for key in _BUILDS]
            lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def by_samples(results: list[dict[str, Any]]) -> str:
    """Return the table of all numbers of samples.

    Args:
        results: of the record.
    """
    titles = ["network", "samples", "accuracy, %", "million shift-adds"]
    titles += ["M0, -Os", "M0, -Os, strict", "M3, -O2", "M3, -O2, strict"]
    lines = [f"| {' | '.join(titles)} |", "|---" * len(titles) + "|"]
    for net in results:
        ours = {r["numbers"]: r for r in net["forms"] if r["tool"] == "reluflow edge"}
        for each in net["samples"]:
            n = each["n"]
            counts = []
            for core, level in (("cortex-m0", "-Os"), ("cortex-m3", "-O2")):
                for form in ("products", "strict"):
                    (build,) = [
                        b for b in ours[form]["builds"] if (b["core"], b["level"]) == (core, level)
                    ]
                    counts.append(f"{build['instructions'][str(n)] / 1e6:.1f}")
            adds = f"{each['shift_adds'] / 1e6:.2f}"
            cells = [f"`{net['network']}`", str(n) if n else "nearest"]
            cells += [f"{100 * each['accuracy']:.2f}", adds, *counts]
            lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def ratios(net: dict[str, Any]) -> list[str]:
    """Return what each other tool needs, as multiples of what ours needs.

    Args:
        net: of the results.
    """
    ours = {(b["core"], b["level"]): b for b in net["forms"][0]["builds"]}
    lines = []
    for row in net["forms"][1:]:
        for build in row["builds"]:
            own = ours[build["core"], build["level"]]
            lines.append(
                f"{net['network']}, {_label(row)}, {build['core']} {build['level']}: "
                f"{build['ram'] / own['ram']:.2f} times our RAM, "
                f"{build['flash'] / own['flash']:.2f} times our flash, "
                f"{_count(build) / _count(own):.2f} times our instructions"
            )
    return lines


def checks(results: list[dict[str, Any]]) -> str:
    """Return what was compared, as a list.

    Args:
        results: of the record.
    """
    lines = []
    for net in results:
        boards = "; ".join(
            f"{b['runs']:,} on {b['board']} ({b['core']}, {b['code']})" for b in net["boards"]
        )
        lines.append(
            f"* `{net['network']}`: {net['interpreter_runs']:,} runs here equal the interpreter's, "
            f"at all numbers of samples in turn; emulated runs equal those here: {boards}."
        )
    return "\n".join(lines)


def fill_page(page: str, record: dict[str, Any]) -> str:
    """Return the page with the tables of a record.

    Args:
        page: with their marks.
        record: whole, as it is kept.
    """
    results = record["results"]
    named = "\n<!-- record: benchmarks/records/edge.json -->\n"
    return fill(
        page,
        {
            "beside": named + beside(results),
            "samples": named + by_samples(results),
            "compared": "\n" + checks(results),
            "made": f"\n`{record['command']}`, {record['machine']}",
        },
    )
