"""Colours of the page's heatmaps: matplotlib's cividis, legible with any colour vision."""

from __future__ import annotations

import math

CIVIDIS = (
    "#00224e #002e6a #1a386f #32436d #434e6c #535a6d #61656f #6f7073 #7d7c78 "
    "#8c8878 #9b9476 #aba072 #bcae6c #cdbb63 #dec958 #f0d846 #fee838"
).split()
_DARK_UNTIL = 0.465


def cividis(value: float) -> str:
    """Return the colour of a share as `#rrggbb`, interpolated; grey where it is not a number.

    Example:
        >>> cividis(0.0), cividis(1.0), cividis(7.0)
        ('#00224e', '#fee838', '#fee838')
    """
    if math.isnan(value):
        return "#9aa4af"
    place = min(1.0, max(0.0, value)) * (len(CIVIDIS) - 1)
    low = min(int(place), len(CIVIDIS) - 2)
    a, b = (_channels(CIVIDIS[i]) for i in (low, low + 1))
    mixed = (round(x + (y - x) * (place - low)) for x, y in zip(a, b, strict=True))
    return "#" + "".join(f"{channel:02x}" for channel in mixed)


def ink(value: float) -> str:
    """Return the text colour that stands out on `cividis(value)`: contrast 4.5 or more."""
    return "#ffffff" if value < _DARK_UNTIL else "#000000"


def _channels(color: str) -> tuple[int, int, int]:
    red, green, blue = bytes.fromhex(color.removeprefix("#"))
    return red, green, blue
