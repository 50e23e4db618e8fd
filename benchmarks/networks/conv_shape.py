"""One convolution whose inference is timed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Shape:
    """One convolution: images, channels in and out, pixels per side, taps per side."""

    n: int
    cin: int
    cout: int
    size: int
    k: int
    stride: int = 1
    group: int = 1

    @property
    def attributes(self) -> dict[str, Any]:
        """Attributes that both operators share."""
        return {"strides": [self.stride] * 2, "pads": [self.k // 2] * 4, "group": self.group}

    def __str__(self) -> str:
        text = f"({self.n},{self.cin},{self.cout},{self.size},{self.k})"
        text += f" /{self.stride}" if self.stride > 1 else ""
        return text + (" depthwise" if self.group == self.cin else "")
