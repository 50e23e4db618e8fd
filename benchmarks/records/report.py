"""Rebuilds the tables of docs/benchmarks.md from the records in `benchmarks/records`.

Example: `python benchmarks/records/report.py`. `make records` measures all of it anew first.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

RECORDS = Path(__file__).parent
PAGE = RECORDS.parents[1] / "docs" / "benchmarks.md"

Results = list[dict[str, Any]]


def read(name: str) -> dict[str, Any]:
    """Return a record: its command, the machine and the results."""
    found: dict[str, Any] = json.loads((RECORDS / f"{name}.json").read_text("utf-8"))
    return found


def markdown(columns: list[str], rows: Iterable[Iterable[object]]) -> str:
    """Return a Markdown table."""
    lines = [f"| {' | '.join(columns)} |", "|---" * len(columns) + "|"]
    lines += [f"| {' | '.join(map(str, row))} |" for row in rows]
    return "\n".join(lines)


def hashing(results: dict[str, Any]) -> str:
    """Rates of hashing in GB/s compared with a plain sum of the same array."""
    where = {"L3": "from cache", "DRAM": "from memory"}
    rows = [
        (
            f"{where[row['where']]}, {row['shape']}, {row['dtype']}",
            f"{row['read_gb_s']:.1f}",
            f"{row['hash_gb_s']:.1f}",
            f"{row['hash_to_read']:.2f}",
            f"{row['hash_count_to_read']:.2f}",
        )
        for row in results["layouts"]
    ]
    return markdown(["array", "read", "hash", "hash / read", "hash + count / read"], rows)


def counting(results: dict[str, Any]) -> str:
    """Rates of counting alone, and of the algorithm of the thesis."""
    rates, thesis = results["million_keys_per_second"], results["thesis"]
    rows = [
        ("counting, every pattern new", f"{rates['all_distinct']:.0f} million per second"),
        ("counting, 100,000 patterns", f"{rates['100000_patterns']:.0f} million per second"),
        ("counting, 100 patterns", f"{rates['100_patterns']:.0f} million per second"),
        ("hash and exact count", f"{thesis['hash_count_gb_s']:.1f} GB/s"),
        ("the thesis' Algorithm 2 in torch", f"{thesis['torch_gb_s']:.2f} GB/s"),
    ]
    return markdown(["what", "rate"], rows)


def analysis(results: Results) -> str:
    """Time of a whole analysis over that of plain inference."""
    rows = [
        (
            ("in the graph, native library" if row["native"] else "beside the graph")
            + (", inputs sampled" if row.get("sampled") else ""),
            row["batch"],
            f"{row['plain_ms']:.1f} ms",
            f"{row['analysis_ms']:.1f} ms",
            f"{row['ratio']:.2f}",
        )
        for row in results
    ]
    return markdown(["hashed", "batch", "plain", "analysis", "ratio"], rows)


def memory(results: Results) -> str:
    """Peak memory of an analysis against the number of images."""
    rows = [
        (
            f"{row['images']:,}",
            f"{row['peak_bytes'] / 2**20:.0f} MiB",
            f"{row['spilled_bytes'] / 2**20:.0f} MiB",
        )
        for row in results
    ]
    return markdown(["images", "peak", "spilled to disk"], rows)


def in_threads(count: int) -> str:
    """Return a number of threads as a heading says it."""
    return "1 thread" if count == 1 else f"{count} threads"


def convolutions(results: Results) -> str:
    """Single convolutions: float time over that of shift-adds and of int8."""
    threads = sorted({row["threads"] for row in results})
    found: dict[str, dict[int, dict[str, Any]]] = {}
    for row in results:
        found.setdefault(row["shape"], {})[row["threads"]] = row
    columns = ["(n, channels in, out, size, kernel) / stride"]
    for n in threads:
        columns += [f"float / PSB, {in_threads(n)}", f"float / int8, {in_threads(n)}"]
    rows = []
    for shape, by_threads in found.items():
        cells = [shape]
        for n in threads:
            cells += [f"{by_threads[n]['ratio']:.2f}", f"{by_threads[n]['int8_ratio']:.2f}"]
        rows.append([*cells, f"{by_threads[threads[0]]['redraw']:+.0%}"])
    return markdown([*columns, f"redraw, {in_threads(threads[0])}"], rows)


def regions(results: Results) -> str:
    """Convolutions in lines of pixels: the speed of a pixel, that of a dense run being 1."""
    shares = [f"{part['wanted']:.0%}" for part in results[0]["regions"]]
    rows = [
        (
            row["shape"],
            f"`{row['operator']}`",
            f"{row['dense_ms']:.2f} ms",
            *(f"{part['per_pixel']:.2f}" for part in row["regions"]),
        )
        for row in results
    ]
    columns = ["(n, channels in, out, size, kernel)", "operator", "all pixels"]
    return markdown([*columns, *(f"at {share}" for share in shares)], rows)


def networks(results: Results) -> str:
    """Whole networks: float time, and float time over that of each alternative."""
    labels = [label for label in results[0]["times"] if label != "float"]
    rows = [
        [
            f"{row['network']}, {row['threads']}",
            f"{row['times']['float']['median_ms']:.1f} ms",
            *(f"{row['times'][label]['ratio']:.2f}" for label in labels),
        ]
        for row in results
    ]
    return markdown(["network, threads", "float", *labels], rows)


def slow_nodes(results: Results) -> str:
    """Nodes of networks with chains that are slower than float's, by what they do."""
    rows = []
    for row in results:
        kinds: dict[str, list[float]] = {}
        for node in row["slow"]:
            kinds.setdefault(node["kind"], []).append(node["ratio"])
        told = [
            f"{len(ratios)} {name} ({min(ratios):.2f})"
            if len(ratios) == 1
            else f"{len(ratios)} {name} ({min(ratios):.2f} to {max(ratios):.2f})"
            for name, ratios in sorted(kinds.items(), key=lambda item: min(item[1]))
        ]
        rows.append(
            [
                f"{row['network']}, {row['form']}, {row['threads']}",
                f"{row['float_ms']:.2f}",
                f"{row['ms']:.2f}",
                f"{len(row['slow'])} of {row['compared']} nodes",
                ", ".join(told),
            ]
        )
    columns = [
        "network, numbers, threads",
        "float, ms",
        "this, ms",
        "slower",
        "which (float / this)",
    ]
    return markdown(columns, rows)


def accuracy(results: Results) -> str:
    """Accuracy in percent against the number of samples, mean and deviation over seeds."""
    samples = [point["samples"] for point in results[0]["points"]]
    rows = []
    for row in results:
        int8 = f"{100 * row['int8_value']:.2f}" if row["int8_value"] is not None else ""
        cells = [
            row["network"].removeprefix("fashion_"),
            row["setting"],
            f"{row['file_share']:.3f}",
            f"{100 * row['float_value']:.2f}",
            int8,
        ]
        for point in row["points"]:
            spread = f" ± {100 * point['std']:.2f}" if point["std"] else ""
            cells.append(f"{100 * point['mean']:.2f}{spread}")
        rows.append(cells)
    names = ["nearest" if n == 0 else f"n = {n}" for n in samples]
    columns = ["network", "setting", "file / float32", "float", "int8", *names]
    return markdown(columns, rows)


def overhead(results: Results) -> str:
    """What ActCoolLR costs, with standard errors where a record has them."""
    rows = [
        (
            row["model"],
            row["optimizer"],
            row.get("steering", "fitted model"),
            row["steps"],
            f"{row['step_ms']:.2f} ms",
            _share(row, "steady" if "steady" in row else "overhead_of_median_block"),
            _share(row, "overhead"),
            row.get("probes", ""),
        )
        for row in results
    ]
    columns = ["model", "optimiser", "steers by", "steps", "plain step", "steady state"]
    return markdown([*columns, "whole run", "probes"], rows)


def cells(results: dict[str, Any]) -> str:
    """Cells of planes: seconds of the processor and memory, ratios to the first way of each."""
    rows = []
    for network, ways in results["networks"].items():
        for way, row in ways.items():
            alone = way == next(iter(ways))
            rows.append(
                (
                    network,
                    way,
                    f"{row['cells']:,.0f}" if row["cells"] else "",
                    f"{row['processor_seconds']:.2f} s",
                    f"{row['seconds']:.2f} s",
                    "" if alone else f"{row['times_as_fast']:.1f}",
                    f"{row['more_bytes'] / 2**20:,.0f} MiB",
                    "" if alone else f"{row['times_as_small']:.1f}",
                )
            )
    columns = ["plane of", "way", "cells", "processor", "clock", "times as fast", "memory"]
    return markdown([*columns, "times as small"], rows)


def _share(row: Mapping[str, Any], name: str) -> str:
    error = row.get(f"{name}_error")
    return f"{row[name]:+.1%}" + ("" if error is None else f" ± {100 * error:.1f}")


TABLES: dict[str, tuple[str, Callable[[Any], str]]] = {
    "hashing": ("hash_throughput", hashing),
    "counting": ("hash_throughput", counting),
    "analysis": ("whole_analysis", analysis),
    "memory": ("peak_memory", memory),
    "convolutions": ("psb_conv", convolutions),
    "byte_convolutions": ("psb_conv_bytes", convolutions),
    "regions": ("psb_conv_regions", regions),
    "networks": ("psb_network", networks),
    "slow_nodes": ("slow_nodes", slow_nodes),
    "accuracy": ("psb_accuracy", accuracy),
    "overhead": ("actcool_overhead", overhead),
    "cells": ("exact_cells", cells),
}
"""Mark on the page -> (record, what makes the table of its results)."""


def _between(text: str, match: re.Match[str]) -> str:
    return f"{match[1]}{text}\n{match[2]}"


def fill(page: str) -> str:
    """Return the page with every table rebuilt from its record, followed by its command."""
    for mark, (record, table) in TABLES.items():
        kept = read(record)
        named = f"<!-- record: benchmarks/records/{record}.json -->"
        text = f"{named}\n{table(kept['results'])}\n\n`{kept['command']}`, {kept['machine']}"
        pattern = rf"(<!-- {mark} -->\n).*?(<!-- /{mark} -->)"
        page, times = re.subn(pattern, partial(_between, text), page, flags=re.S)
        if times != 1:
            raise ValueError(f"{PAGE} has the marks of {mark} {times} times; it needs them once.")
    return page


if __name__ == "__main__":
    PAGE.write_text(fill(PAGE.read_text("utf-8")), "utf-8")
