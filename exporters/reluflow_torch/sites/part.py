"""Measure on the first examples of a batch, where a model treats examples independently."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from torch import Tensor

from reluflow.errors import OptionError
from reluflow_torch.sites.patterns import Patterns, SitePattern


def batch_size(args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> int | None:
    """Return the number of examples that all tensors agree on, None where they do not."""
    values = [value for value in (*args, *kwargs.values()) if isinstance(value, Tensor)]
    sizes = {value.shape[0] for value in values if value.dim() > 0}
    return sizes.pop() if len(sizes) == 1 else None


def first_inputs(
    args: tuple[Any, ...], kwargs: Mapping[str, Any], examples: int
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Return views of the first examples of all tensors."""

    def cut(value: Any) -> Any:
        return value[:examples] if isinstance(value, Tensor) and value.dim() > 0 else value

    return tuple(map(cut, args)), {name: cut(value) for name, value in kwargs.items()}


def first_patterns(patterns: Mapping[str, SitePattern], examples: int, size: int) -> Patterns:
    """Return the patterns of the first examples of a batch of `size`.

    Raises:
        OptionError: a site's samples do not belong to single examples.
    """
    for site in patterns.values():
        if site.bits.shape[0] % size:
            raise OptionError(
                f"examples is {examples}, but site {site.name} has {site.bits.shape[0]} rows for "
                f"{size} examples, so none belongs to one; leave examples out."
            )
    return Patterns(_first(site, examples, size) for site in patterns.values())


def _first(site: SitePattern, examples: int, size: int) -> SitePattern:
    rows = site.bits.shape[0] // size * examples
    values = None if site.values is None else site.values[:rows]
    return replace(site, bits=site.bits[:rows], values=values)
