"""Weights and switch sites of every network of the zoo, beside what is documented.

Example: `weights.py --json benchmarks/records/networks.json --page`.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import torch  # a benchmark of the torch bridge
from _support import keep
from _support.record import fill_page

from reluflow_torch.zoo import NETWORKS

PAGE = Path(__file__).parents[2] / "docs" / "networks.md"


def rows() -> list[dict[str, Any]]:
    """Return a row for each network."""
    found = []
    with torch.device("meta"):
        for name, entry in NETWORKS.items():
            weights = sum(each.numel() for each in entry.make().parameters())
            found.append(
                {
                    "network": name,
                    "weights": weights,
                    "documented": entry.documented or "none",
                    "source": entry.source,
                    "sites": entry.sites,
                }
            )
    return found


def table(results: list[dict[str, Any]]) -> str:
    """Return the table of the page."""
    lines = ["| network | weights | documented | source | sites |", "|---|---:|---:|---|---:|"]
    lines += [
        f"| {row['network']} | {row['weights']:,} | {row['documented']} | {row['source']} | "
        f"{row['sites']} |"
        for row in results
    ]
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--json", type=Path, help="keep the numbers here")
    parser.add_argument("--page", action="store_true", help=f"fill the table of {PAGE.name}")
    given = parser.parse_args()
    found = rows()
    print(table(found))
    keep(given.json, found)
    if given.page and given.json is not None:
        fill_page(PAGE, "networks", given.json, table)


if __name__ == "__main__":
    main()
