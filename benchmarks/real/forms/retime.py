"""Times the forms of a record anew: closeness can be measured while the machine does other work."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from real.forms.kept import Forms
from real.measure import Effort, time_forms
from real.tasks import Task

from reluflow.graph import load


def times_of(
    path: Path, task: Task, row: Mapping[str, Any], effort: Effort, forms: Forms
) -> dict[str, Any]:
    """Return the times of one network's forms, as `measure_network` does.

    Args:
        path: of the float model.
        task: its inputs.
        row: the record of the network.
        effort: how often to time, and with how many threads.
        forms: where the forms are kept.

    Raises:
        FileNotFoundError: the float model or a form is not the one that the record measured.
    """
    model = load(path)
    if model.sha256 != row.get("sha256"):
        raise FileNotFoundError(
            f"{path} is not the network that the record measured; measure it again with --forms."
        )
    (name,) = (spec.name for spec in model.inputs)
    measured = {label: each for label, each in row["variants"].items() if "points" in each}
    built = {label: forms.of_record(label, each) for label, each in measured.items()}
    drawing = [label for label, each in measured.items() if len(each["points"]) > 1]
    inputs = task.inputs(False, row["inputs"])
    return time_forms(model, built, drawing, {name: inputs[:1]}, effort)
