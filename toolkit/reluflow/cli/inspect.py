"""`reluflow inspect`: the switch sites of a model, without running it."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from reluflow.analysis import describe_model
from reluflow.cli import _options
from reluflow.graph import find_sites, load
from reluflow.report import print_inspection


def inspect(
    model: Annotated[Path, typer.Argument(help="ONNX file.")],
    smooth: _options.Smooth = False,
    as_json: _options.Json = False,
) -> int:
    """List every switch of a model: where a value is compared with a threshold."""
    loaded = load(model)
    sites = find_sites(loaded, smooth=smooth)
    description = describe_model(loaded)
    if as_json:
        print(
            json.dumps(
                {"model": asdict(description), "sites": [asdict(site) for site in sites]}, indent=2
            )
        )
    else:
        print_inspection(description, sites, Console())
    return 0
