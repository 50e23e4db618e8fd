"""The record of the real networks as two Markdown tables: closeness to float, and time and size."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from records.report import markdown

Row = Mapping[str, Any]


def closeness(results: Row) -> str:
    """Return how close each form is to float, in percent; shift-adds with 4 and 16 samples."""
    titles, timed = form_titles(results["networks"]), results["timed_samples"]
    rows = [
        [row["title"], row["what"], *(_close(row, name, timed) for name in titles)]
        for row in results["networks"].values()
    ]
    return markdown(["network", "measured, %", *titles.values()], rows)


def _close(row: Row, name: str, timed: Sequence[int]) -> str:
    form = row["variants"].get(name)
    if form is None:
        return ""
    if "failed" in form:
        return "fails"
    first = row["measures"][0]
    known = {point["samples"]: point["measures"][first]["mean"] for point in form["points"]}
    shown = timed if len(known) > 1 else tuple(known)
    return " / ".join(f"{100 * known[samples]:.1f}" for samples in shown)


def speed(results: Row) -> str:
    """Return float's time for one input, and how many times as fast each form is."""
    titles, most = form_titles(results["networks"]), results["timed_samples"][-1]
    rows = []
    for row in results["networks"].values():
        of_threads = [times["forms"] for times in row["times"].values()]
        milliseconds = (f"{forms['float']['median_ms']:.1f}" for forms in of_threads)
        cells = [row["title"], " / ".join(milliseconds)]
        for name in titles:
            known = [forms.get(name) or forms.get(f"{name}, {most}") for forms in of_threads]
            cells.append(" / ".join(f"{each['ratio']:.2f}" for each in known if each))
        rows.append(cells)
    return markdown(["network", "float, ms", *titles.values()], rows)


def sizes(results: Row) -> str:
    """Return the size of float's file, and of each form's in percent of it."""
    titles = form_titles(results["networks"])
    rows = []
    for row in results["networks"].values():
        cells = [row["title"], f"{row['file_bytes'] / 1e6:.1f}"]
        for name in titles:
            share = row["variants"].get(name, {}).get("file_share")
            cells.append("" if share is None else f"{100 * share:.0f}")
        rows.append(cells)
    return markdown(["network", "float, MB", *titles.values()], rows)


def explained(results: Row) -> str:
    """Return a list that says what sets each form apart."""
    said = {
        form["title"]: form["what"]
        for row in results["networks"].values()
        for form in row["variants"].values()
        if form.get("what")
    }
    return "\n".join(f"* {title}: {what};" for title, what in said.items()).rstrip(";") + "."


def form_titles(networks: Mapping[str, Row]) -> dict[str, str]:
    """Return name -> title of all forms, in the order of the record."""
    return {
        name: form["title"] for row in networks.values() for name, form in row["variants"].items()
    }
