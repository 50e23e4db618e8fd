"""`VideoFrame`: what one frame gave, and what was decided about it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Mask = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class VideoFrame:
    """What one frame gave, as returned by `VideoSession.run`.

    Attributes:
        answers: output -> its values.
        kind: "all": everything was computed; "part": a region; "none": nothing had changed.
        reason: why everything was computed, "" elsewhere.
        changed: share of blocks that changed, in [0, 1].
        moved: pixels by which the last frame's values were moved first, along each axis.
        share: of the pixels of all tensors that a node could skip, those computed.
        milliseconds: of the whole call.
        unsure: share of blocks computed because the network was unsure there, in [0, 1].

    Example:
        >>> frame = VideoFrame({"maps": np.zeros((1, 2))}, "part", "", 0.1, (0, 0), 0.2, 3.0)
        >>> frame.kind, frame.share
        ('part', 0.2)
    """

    answers: Mapping[str, Array]
    kind: str
    reason: str
    changed: float
    moved: tuple[int, ...]
    share: float
    milliseconds: float
    unsure: float = 0.0


@dataclass(frozen=True)
class Plan:
    """What is done with a frame.

    Attributes:
        kind: of `VideoFrame`, and so are the next three.
        age: frames since everything was computed.
        unsure: share of blocks that did not change and are computed.
        blocks: that are computed; None: all.
        masks: tensor -> its pixels that are computed.
    """

    kind: str
    reason: str
    changed: float
    moved: tuple[int, ...]
    age: int = 0
    unsure: float = 0.0
    blocks: Mask | None = None
    masks: Mapping[str, Mask] = field(default_factory=dict)
