"""`reluflow inspect`: the switch sites of a model, without running it."""

from __future__ import annotations

import json
import math
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from reluflow.analysis import describe_model
from reluflow.cli import _options
from reluflow.graph import SwitchSite, load, survey_sites
from reluflow.report import print_inspection


def inspect(
    model: Annotated[Path, typer.Argument(help="ONNX file.")],
    smooth: _options.Smooth = False,
    as_json: _options.Json = False,
) -> int:
    """List every switch of a model: where a value is compared with a threshold."""
    loaded = load(model)
    survey = survey_sites(loaded, smooth=smooth)
    description = describe_model(loaded)
    if as_json:
        fields = {
            "model": asdict(description),
            "sites": [_fields(site) for site in survey.sites],
            "left_out": [asdict(node) for node in survey.left_out],
            "other_folds": [asdict(fold) for fold in survey.folds],
        }
        print(json.dumps(fields, indent=2, allow_nan=False))
    else:
        print_inspection(
            description, survey.sites, Console(), left_out=survey.left_out, folds=survey.folds
        )
    return 0


def _fields(site: SwitchSite) -> dict[str, object]:
    """Return a site's fields; a threshold that only a run can tell is null."""
    fields = asdict(site)
    return fields if math.isfinite(site.threshold) else {**fields, "threshold": None}
