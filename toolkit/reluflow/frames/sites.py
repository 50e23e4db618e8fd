"""A result of one row per switch site, which can be looked up by name."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Generic, TypeVar

from reluflow.errors import OptionError
from reluflow.frames.columns import flat
from reluflow.frames.tabular import Tabular

Site = TypeVar("Site")
_MOST_NAMES = 8


class SiteTable(Tabular, Generic[Site]):
    """A result of one row per site.

    `result["relu1"]` is the row of a site, by its name or its number.

    Example:
        >>> import numpy as np, reluflow
        >>> images = np.load("models/fashion_mnist_test_2000.npz")["image"][:8]
        >>> report = reluflow.analyze("models/fashion_resnet8.onnx", images)
        >>> report[-1].units, report[report[-1].site.name] is report[-1]
        (64, True)
    """

    __slots__ = ()
    sites: tuple[Site, ...]

    def _records(self) -> Sequence[dict[str, Any]]:
        return [flat(each) for each in self.sites]

    def __getitem__(self, site: str | int) -> Site:
        """Return the row of a site.

        Args:
            site: its name, or its number in graph order from 0.

        Raises:
            OptionError: there is no site of that name.
            IndexError: nor of that number.
        """
        if isinstance(site, int):
            return self.sites[site]
        for each in self.sites:
            if site in _names(each):
                return each
        names = [_names(each)[0] for each in self.sites]
        shown = ", ".join(names[:_MOST_NAMES]) + (", ..." if len(names) > _MOST_NAMES else "")
        raise OptionError(f"site is {site!r}; accepted are {shown}.")

    def __contains__(self, site: object) -> bool:
        """Tell whether there is a site of this name, or this very row."""
        return any(site in _names(each) or site is each for each in self.sites)

    def __iter__(self) -> Iterator[Site]:
        """Go through the rows, in graph order."""
        return iter(self.sites)


def _names(each: Any) -> tuple[str, ...]:
    """Return the names by which a row can be found, its own first."""
    site = getattr(each, "site", each)
    if isinstance(site, str):
        return (site,)
    others = (getattr(site, name, "") for name in ("layer", "other_name"))
    return (str(site.name), *(str(other) for other in others if other))
