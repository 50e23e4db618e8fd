"""One picture as bytes of one size: decode, rotate, convert, resize, crop."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageOps

from reluflow.data.sources.column import Array
from reluflow.data.sources.places import open_binary
from reluflow.data.sources.preprocessing import Plan
from reluflow.data.sources.words import first_line
from reluflow.errors import DataError

_FILTERS = {
    "nearest": Image.Resampling.NEAREST,
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
}

FORMATS = ("PNG", "JPEG", "BMP", "WEBP", "TIFF", "GIF", "PPM")
"""The formats that are decoded, whatever a file's name says; some others start programs."""

_WHITE_8, _WHITE_16 = 255, 65535
DECODE_NOTE = "first frame, turned by EXIF, alpha dropped, 16 bits rescaled to 8, gray by ITU-R 601"


def read_pixels(path: Path, plan: Plan) -> Array:
    """Decode one image file and resize it as planned.

    Args:
        path: the file.
        plan: the choices.

    Returns:
        `(height, width, channels)` uint8, RGB or grey.

    Raises:
        DataError: the file is not an image that can be decoded completely, or is too large.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with open_binary(path) as file, Image.open(file, formats=FORMATS) as image:
                image.load()
                turned = ImageOps.exif_transpose(image)
                plain = _to_eight_bits(turned).convert("L" if plan.channels == 1 else "RGB")
            return fit(plain, plan)
    except Exception as error:  # decoders raise anything on damaged files
        raise DataError(
            f"image '{path}' cannot be decoded ({first_line(error)}); "
            "remove the file or write it again."
        ) from error


def _to_eight_bits(image: Image.Image) -> Image.Image:
    """Rescale 16-bit grey to 8 bits, 65535 to 255; other modes pass as they are."""
    if image.mode == "P":
        return image.convert("RGBA")
    if image.mode == "F":
        raise ValueError("it holds floating point pixels, whose range is unknown")
    if not image.mode.startswith("I"):
        return image
    values = np.asarray(image).astype(np.int64)
    if values.min(initial=0) < 0 or values.max(initial=0) > _WHITE_16:
        raise ValueError("it holds 32-bit pixels, whose range is unknown")
    return Image.fromarray(((values * _WHITE_8 + _WHITE_16 // 2) // _WHITE_16).astype(np.uint8))


def fit(image: Image.Image, plan: Plan) -> Array:
    """Resize and crop one picture.

    Args:
        image: mode "L" or "RGB".
        plan: the choices.

    Returns:
        `(height, width, channels)` uint8.

    Raises:
        ValueError: the picture is smaller than the crop.
    """
    if plan.size is not None:
        height, width = _target(image.height, image.width, plan)
        if (image.height, image.width) != (height, width):
            image = image.resize((width, height), _FILTERS[plan.given.interpolation])
    if plan.crop is not None:
        height, width = plan.crop
        if image.height < height or image.width < width:
            raise ValueError(
                f"its {image.height} x {image.width} pixels are fewer than the crop's "
                f"{height} x {width}"
            )
        top, left = (image.height - height) // 2, (image.width - width) // 2
        image = image.crop((left, top, left + width, top + height))
    array: Array = np.asarray(image)
    return array.reshape(image.height, image.width, plan.channels)


def _target(height: int, width: int, plan: Plan) -> tuple[int, int]:
    assert plan.size is not None
    if plan.given.resize == "stretch":
        return plan.size
    factor = max(plan.size[0] / height, plan.size[1] / width)
    return max(plan.size[0], int(height * factor)), max(plan.size[1], int(width * factor))


def fit_batch(batch: Array, plan: Plan) -> Array:
    """Resize and crop a batch of byte images that are in memory.

    Args:
        batch: `(n, height, width, channels)` uint8 with 1 or 3 channels.
        plan: the choices.

    Returns:
        `(n, height', width', plan.channels)` uint8.

    Raises:
        DataError: images are smaller than the crop.
    """
    if plan.channels == batch.shape[-1] and plan.size is None and plan.crop is None:
        return batch
    mode: Any = "L" if plan.channels == 1 else "RGB"
    if batch.shape[-1] == 1:
        batch = batch[..., 0]
    try:
        pictures = [Image.fromarray(np.ascontiguousarray(row)).convert(mode) for row in batch]
        return np.stack([fit(picture, plan) for picture in pictures])
    except ValueError as error:
        raise DataError(
            f"images for input '{plan.spec.name}' cannot be cropped: {first_line(error)}; "
            "give a smaller crop."
        ) from error
