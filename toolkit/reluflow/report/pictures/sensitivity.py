"""A sensitivity sweep as a table in the terminal, and as a folder of picture and JSON."""

from __future__ import annotations

import json
import math
import os
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from reluflow.report.files.atomic import make_folder, write_text
from reluflow.report.pictures.transitions import save_transitions
from reluflow.report.tables.format import decimal, percent, plain, shorten
from reluflow.temperature import Sensitivity, TransitionFit

SENSITIVITY_FILES = ("sensitivity.png", "sensitivity.json")
"""What `write_sensitivity` writes."""
_ROWS = 13
_NAME = 26


def print_sensitivity(result: Sensitivity, title: str, console: Console) -> None:
    """Print D over rates, what each site does at the middle of the transition, and the fits.

    Args:
        result: of `sweep`.
        title: what was measured, such as the model's file.
        console: where to print.

    Example:
        >>> import io
        >>> from rich.console import Console
        >>> from reluflow.temperature import LogNormal, sweep
        >>> model, text = LogNormal(-1.0, 1.0), io.StringIO()
        >>> found = sweep(lambda rate: float(model.distance(rate)))
        >>> print_sensitivity(found, 'untrained', Console(file=text, width=80))
        >>> text.getvalue().split()[0]
        'untrained'
    """
    console.print(_rates_table(result, title))
    if len(result.sites) > 1:
        console.print(_sites_table(result))
    for fit in sorted(result.fits, key=lambda fit: fit.rmse):
        console.print(_sentence(fit), highlight=False, soft_wrap=True)
    if result.suggested_rate is not None:
        console.print(
            f"Suggested rate: {result.suggested_rate:.3g}, whose step has a temperature of "
            f"{decimal(result.start_bits or 0.0)} bits, where ActCoolLR starts sites of these "
            "widths.",
            highlight=False,
            soft_wrap=True,
        )
    elif result.start_bits is not None:
        console.print(
            f"No rate is suggested: none of them crosses {decimal(result.start_bits)} bits, where "
            "ActCoolLR starts sites of these widths; try other rates.",
            highlight=False,
            soft_wrap=True,
        )
    for note in result.notes:
        console.print(note, highlight=False, soft_wrap=True, markup=False)
    if not result.fits:
        console.print(
            "No rate lies within the transition, so no model can be fitted; try other rates.",
            highlight=False,
            soft_wrap=True,
        )


def write_sensitivity(
    result: Sensitivity, directory: str | os.PathLike[str], title: str = ""
) -> tuple[Path, ...]:
    """Write `sensitivity.json` and `sensitivity.png`.

    Args:
        result: of `sweep`.
        directory: made if missing; files of the same name are replaced.
        title: heading of the picture.

    Returns:
        The files.

    Raises:
        OutputError: they cannot be written.

    Example:
        >>> import tempfile
        >>> from reluflow.temperature import LogNormal, sweep
        >>> model = LogNormal(-1.0, 1.0)
        >>> found = sweep(lambda rate: float(model.distance(rate)))
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     [path.name for path in write_sensitivity(found, folder)]
        ['sensitivity.png', 'sensitivity.json']
    """
    folder = make_folder(directory)
    picture, text = (folder / name for name in SENSITIVITY_FILES)
    models = [fit.model for fit in result.fits]
    save_transitions(result.rates, result.mean, models, picture, title=title)
    write_text(text, json.dumps(result.to_dict(), indent=2) + "\n")
    return picture, text


def _rates_table(result: Sensitivity, title: str) -> Table:
    table = Table(title=shorten(plain(title), 60), title_justify="left")
    for name in ("rate", "D", "APT, bits"):
        table.add_column(name, justify="right")
    shown = np.unique(np.linspace(0, len(result.rates) - 1, _ROWS).round().astype(int))
    for at in shown:
        mean = float(result.mean[at])
        bits = "saturated" if mean == 1 else decimal(-math.log2(1 - mean) + 0.0)
        table.add_row(f"{result.rates[at]:.3g}", percent(mean), bits)
    return table


def _sites_table(result: Sensitivity) -> Table:
    """Each site at the rate where the mean is nearest to one half."""
    at = int(np.abs(result.mean - 0.5).argmin())
    table = Table(title=f"sites at rate {result.rates[at]:.3g}", title_justify="left")
    table.add_column("site")
    table.add_column("D", justify="right")
    for name, value in zip(result.sites, result.distances[at], strict=True):
        table.add_row(shorten(plain(name), _NAME), percent(float(value)))
    return table


def _sentence(fit: TransitionFit) -> str:
    mu, sigma = (_with_error(v, e) for v, e in zip(_numbers(fit), fit.standard_errors, strict=True))
    return (
        f"{fit.model.name}: mu {mu}, sigma {sigma}, root mean square error {fit.rmse:.3f} in D "
        f"over {fit.used} rates"
    )


def _numbers(fit: TransitionFit) -> tuple[float, float]:
    return fit.model.mu, fit.model.sigma


def _with_error(value: float, error: float) -> str:
    return f"{value:.3g} ± {error:.2g}" if math.isfinite(error) else f"{value:.3g}"
