"""Pictures of checkpoints one after the other, as a GIF and as a WebP that move."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reluflow.errors import OptionError

Picture = NDArray[np.uint8]
_GIF_COLORS = 256
_LOOKED_AT = 16
"""Pictures that the colours of a GIF are chosen by, evenly over all."""
_FASTEST, _SLOWEST = 0.01, 60.0


def animated(pictures: Sequence[Picture], *, seconds: float = 0.5) -> dict[str, bytes]:
    """Return pictures as one GIF and one WebP, which repeat for ever.

    The WebP is without loss. A GIF has 256 colours: they are chosen for all pictures together and
    mixed nowhere, so that what has one colour in two pictures has one colour in the GIF too.

    Args:
        pictures: `(height, width, 3)` each, of one size.
        seconds: that each is shown.

    Returns:
        "gif" and "webp" -> the file.

    Raises:
        OptionError: there are fewer than two pictures, or the time makes no sense.

    Example:
        >>> black, white = (np.full((4, 4, 3), shade, np.uint8) for shade in (0, 255))
        >>> files = animated([black, white])
        >>> files["gif"][:4], files["webp"][8:12]
        (b'GIF8', b'WEBP')
    """
    from PIL import Image

    if len(pictures) < 2:
        raise OptionError(f"an animation of {len(pictures)} does not move; give two pictures.")
    if not _FASTEST <= seconds <= _SLOWEST:
        raise OptionError(f"seconds is {seconds}; give a time from {_FASTEST:g} to {_SLOWEST:g}.")
    frames = [Image.fromarray(picture) for picture in pictures]
    some = np.unique(np.linspace(0, len(pictures) - 1, _LOOKED_AT).astype(int))
    together = Image.fromarray(np.concatenate([pictures[i] for i in some]))
    palette = together.quantize(_GIF_COLORS, dither=Image.Dither.NONE)
    flat = [frame.quantize(palette=palette, dither=Image.Dither.NONE) for frame in frames]
    times = {"duration": round(1000 * seconds), "loop": 0}
    return {
        "gif": _written(flat, "GIF", optimize=False, **times),
        "webp": _written(frames, "WEBP", lossless=True, quality=100, **times),
    }


def _written(frames: Sequence[Any], kind: str, **how: Any) -> bytes:
    held = io.BytesIO()
    frames[0].save(held, kind, save_all=True, append_images=frames[1:], **how)
    return held.getvalue()
