"""What is done to images before the model sees them: explicit, frozen, kept in every result."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np

from reluflow.data.sources.column import Array
from reluflow.data.sources.spec import InputSpec
from reluflow.data.sources.validate import is_floating
from reluflow.errors import DataError, OptionError

Resize = Literal["stretch", "cover"]
Interpolation = Literal["nearest", "bilinear", "bicubic", "lanczos"]
ChannelOrder = Literal["rgb", "bgr", "gray"]
Layout = Literal["nchw", "nhwc"]

CHANNELS = (1, 3)
"""Channels of a picture: grey, or red, green and blue; transparency is dropped on reading."""
_LARGEST_SIDE = 65535
"""Pixels, the limit of JPEG: a guard against mistakes that would need gigabytes per image."""
_FLAT, _PLAIN, _IMAGE = 2, 3, 4
"""Axes of an input, batch included: pixels in one axis, height and width, channels as well."""

_CHOICES: dict[str, tuple[str | None, ...]] = {
    "resize": ("stretch", "cover"),
    "interpolation": ("nearest", "bilinear", "bicubic", "lanczos"),
    "channel_order": ("rgb", "bgr", "gray", None),
    "layout": ("nchw", "nhwc", None),
}


@dataclass(frozen=True, slots=True)
class Preprocessing:
    """How bytes become what the model expects. None: taken from the model's input.

    The steps, in this order: decode, rotate by EXIF, convert to RGB or grey, resize, crop,
    channel order, `(byte * scale - mean) / std`, layout. For a model whose input is an
    integer type the bytes stay as they are.

    Attributes:
        size: (height, width) to resize to.
        resize: "stretch" to exactly `size`, or "cover": keep the aspect ratio, make the image
            just cover `size`, then crop its centre to `crop`, to the model's size or to `size`.
        interpolation: "nearest", "bilinear", "bicubic" or "lanczos" (Pillow's).
        crop: (height, width) of a centre crop after resizing.
        mean: one per channel, on the [0, 1] scale, in the order of the model's channels.
        std: likewise, above zero.
        scale: factor for the bytes.
        channel_order: "rgb", "bgr" or "gray".
        layout: "nchw" (channels before pixels) or "nhwc" (after).

    Example:
        >>> Preprocessing(size=(256, 256), resize="cover", crop=(224, 224)).scale * 255
        1.0
    """

    size: tuple[int, int] | None = None
    resize: Resize = "stretch"
    interpolation: Interpolation = "bilinear"
    crop: tuple[int, int] | None = None
    mean: Sequence[float] | None = None
    std: Sequence[float] | None = None
    scale: float = 1 / 255
    channel_order: ChannelOrder | None = None
    layout: Layout | None = None

    def __post_init__(self) -> None:
        for name, accepted in _CHOICES.items():
            if getattr(self, name) not in accepted:
                words = ", ".join(repr(choice) for choice in accepted)
                raise OptionError(f"{name} is {getattr(self, name)!r}; give one of {words}.")
        for name in ("size", "crop"):
            object.__setattr__(self, name, _pair(name, getattr(self, name)))
        for name in ("mean", "std"):
            object.__setattr__(self, name, _numbers(name, getattr(self, name)))
        object.__setattr__(self, "scale", _numbers("scale", [self.scale])[0])  # type: ignore[index]


def _pair(name: str, value: object) -> tuple[int, int] | None:
    if value is None:
        return None
    pair = tuple(value) if isinstance(value, Sequence) else ()
    whole = all(isinstance(n, int | np.integer) and not isinstance(n, bool) for n in pair)
    if len(pair) != 2 or not whole or not all(1 <= n <= _LARGEST_SIDE for n in pair):
        raise OptionError(
            f"{name} is {value!r}; give (height, width) in pixels, each 1 to {_LARGEST_SIDE}."
        )
    return int(pair[0]), int(pair[1])


def _numbers(name: str, value: object) -> tuple[float, ...] | None:
    if value is None:
        return None
    try:
        numbers = tuple(float(number) for number in value)  # type: ignore[attr-defined]
    except (TypeError, ValueError):
        numbers = ()
    fine = all(np.isfinite(numbers)) and not (name != "mean" and any(n <= 0 for n in numbers))
    if not numbers or not fine:
        above = "finite numbers" if name == "mean" else "finite numbers above zero"
        raise OptionError(f"{name} is {value!r}; give {above}, one a channel.")
    return numbers


@dataclass(frozen=True, slots=True)
class Plan:
    """A preprocessing with every choice made for one input.

    Attributes:
        given: the choices as given.
        spec: the input it feeds.
        size: (height, width) of the resize, None to leave images as they are.
        crop: (height, width) of the final centre crop, None for none.
        channel_order: "rgb", "bgr" or "gray".
        layout: "nchw", "nhwc", "nhw" (grey without a channel axis), "flat" (channels first,
            then rows, in one axis).
    """

    given: Preprocessing
    spec: InputSpec
    size: tuple[int, int] | None
    crop: tuple[int, int] | None
    channel_order: ChannelOrder
    layout: str

    @property
    def channels(self) -> int:
        """The number of channels, 1 or 3."""
        return 1 if self.channel_order == "gray" else 3

    def for_size(self, height: int, width: int) -> Plan:
        """Return the plan without the steps that leave images of this size as they are."""
        size = None if self.size == (height, width) else self.size
        crop = None if self.crop == (self.size or (height, width)) and size is None else self.crop
        return replace(self, size=size, crop=crop)

    def sample_shape(self, height: int, width: int) -> tuple[int, ...]:
        """Return the shape of one finished sample of this height and width."""
        return {
            "nchw": (self.channels, height, width),
            "nhwc": (height, width, self.channels),
            "nhw": (height, width),
            "flat": (self.channels * height * width,),
        }[self.layout]

    def finish(self, pixels: Array) -> Array:
        """Turn bytes into what the model expects.

        Args:
            pixels: `(n, height, width, channels)` uint8, RGB or grey.

        Returns:
            `(n, ...)` of the input's type and layout, C-contiguous.
        """
        if self.channel_order == "bgr":
            pixels = pixels[..., ::-1]
        values: Array = pixels
        if is_floating(self.spec.dtype):
            wide = np.float64 if self.spec.dtype == np.float64 else np.float32
            values = pixels.astype(wide)
            values *= wide(self.given.scale)
            if self.given.mean is not None:
                values -= np.asarray(self.given.mean, wide)
            if self.given.std is not None:
                values /= np.asarray(self.given.std, wide)
        if self.layout in ("nchw", "flat"):
            values = values.transpose(0, 3, 1, 2)
        shape = (len(pixels), *self.sample_shape(*pixels.shape[1:-1]))
        return np.ascontiguousarray(values.reshape(shape), self.spec.dtype)

    def record(self) -> dict[str, Any]:
        """Return the steps as kept in results, in the order done."""
        steps: dict[str, Any] = {"input": self.spec.name}
        if self.size is not None:
            steps["size"] = list(self.size)
            steps["resize"] = self.given.resize
            steps["interpolation"] = self.given.interpolation
        if self.crop is not None:
            steps["crop"] = list(self.crop)
        steps["channel_order"] = self.channel_order
        if is_floating(self.spec.dtype):
            steps["scale"] = self.given.scale
            steps["mean"] = None if self.given.mean is None else list(self.given.mean)
            steps["std"] = None if self.given.std is None else list(self.given.std)
        steps["layout"] = self.layout
        return steps


def make_plan(given: Preprocessing, spec: InputSpec, channels: int | None) -> Plan:
    """Make every choice that the caller left open, from the model's input.

    Args:
        given: the choices made.
        spec: what the model wants.
        channels: 1 or 3 where the raw data can be read in only one way, None for image files.

    Returns:
        The plan; `size` and `crop` lead to the model's height and width where it fixes them.

    Raises:
        DataError: the model's input leaves a choice open or contradicts one.
    """
    if not is_floating(spec.dtype) and (given.mean is not None or given.std is not None):
        raise DataError(
            f"mean and std were given, but input '{spec.name}' wants {spec}, whole numbers; "
            "leave them out."
        )
    layout = _layout(given, spec)
    order = _order(given, spec, layout, channels)
    wanted = _model_size(spec, layout)
    size, crop = given.size, given.crop
    if size is None and crop is None:
        size = wanted
    if given.resize == "cover" and size is not None and crop is None:
        crop = wanted or size
    plan = Plan(given, spec, size, crop, order, layout)
    _check_counts(plan)
    return plan


def _layout(given: Preprocessing, spec: InputSpec) -> str:
    rank = _IMAGE if spec.shape is None and given.layout else len(spec.shape or ())
    if rank == _FLAT and given.layout is not None:
        raise OptionError(
            f"layout is {given.layout!r}, but input '{spec.name}' wants {spec}, flat rows without "
            "a layout; leave it out."
        )
    if rank == _FLAT:
        return "flat"
    if rank == _PLAIN and given.layout is None:
        return "nhw"
    if rank != _IMAGE:
        raise DataError(
            f"input '{spec.name}' wants {spec}, which is no image; images feed inputs such as "
            "[N, 3, H, W], [N, H, W, 3], [N, H, W] or [N, D]."
        )
    if given.layout is not None or spec.shape is None:
        return str(given.layout)
    first_or_last = (spec.shape[1], spec.shape[-1])
    # An axis of size 1 or 3 is taken as channels; where there is none, an axis of unknown size is.
    sure = [size in CHANNELS for size in first_or_last]
    maybe = [not isinstance(size, int) for size in first_or_last]
    for first, last in (sure, maybe):
        if first != last:
            return "nchw" if first else "nhwc"
        if first:
            break
    raise DataError(
        f"input '{spec.name}' wants {spec}, which does not tell where the channels are; "
        "give the layout, 'nchw' or 'nhwc'."
    )


def _order(
    given: Preprocessing, spec: InputSpec, layout: str, channels: int | None
) -> ChannelOrder:
    if given.channel_order is not None:
        return given.channel_order
    if layout == "nhw":
        return "gray"
    axis = {"nchw": 1, "nhwc": -1}.get(layout)
    wanted = spec.shape[axis] if axis is not None and spec.shape is not None else None
    count = wanted if isinstance(wanted, int) else channels
    if count not in CHANNELS:
        raise DataError(
            f"input '{spec.name}' wants {spec}, which does not tell whether images are gray or "
            "in colour; give the channel order, 'rgb', 'bgr' or 'gray'."
        )
    return "gray" if count == 1 else "rgb"


def _model_size(spec: InputSpec, layout: str) -> tuple[int, int] | None:
    axes = {"nchw": (2, 3), "nhwc": (1, 2), "nhw": (1, 2)}.get(layout)
    if axes is None or spec.shape is None:
        return None
    height, width = spec.shape[axes[0]], spec.shape[axes[1]]
    return (height, width) if isinstance(height, int) and isinstance(width, int) else None


def _check_counts(plan: Plan) -> None:
    for name in ("mean", "std"):
        numbers = getattr(plan.given, name)
        if numbers is not None and len(numbers) not in (1, plan.channels):
            raise DataError(
                f"{name} has {len(numbers)} numbers, but input '{plan.spec.name}' wants "
                f"{plan.spec} with {plan.channels} channel(s); give one number a channel."
            )
    final = plan.crop or plan.size
    if final is None:
        return
    shape, wanted = plan.sample_shape(*final), plan.spec.shape
    if wanted is None or len(wanted) != len(shape) + 1:
        return
    if any(isinstance(w, int) and w != s for w, s in zip(wanted[1:], shape, strict=True)):
        raise DataError(
            f"preprocessing makes samples of {list(shape)}, but input '{plan.spec.name}' wants "
            f"{plan.spec}; change size, crop, channel_order or layout."
        )
