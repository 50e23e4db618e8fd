"""`reluflow inspect`: the switch sites of a model, without running it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from reluflow._api.inspect import inspect as run
from reluflow.cli import _options
from reluflow.report import print_inspection


def inspect(
    model: Annotated[Path, typer.Argument(help="ONNX file.")],
    smooth: _options.Smooth = False,
    as_json: _options.Json = False,
) -> int:
    """List the switches of a model, the places where a value is compared with a threshold."""
    found = run(model, smooth=smooth)
    if as_json:
        print(json.dumps(found.to_dict(), indent=2, allow_nan=False))
    else:
        print_inspection(
            found.model,
            found.sites,
            Console(),
            left_out=found.left_out,
            folds=found.folds,
            notes=found.notes,
        )
    return 0
