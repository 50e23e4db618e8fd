"""Pages of words in the fonts that matplotlib installs: inputs of a text detector."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont
from real.pictures import Array, views

WORDS = (
    "shift add sign power weight sample seed draw mean noise layer pattern unit site bias channel "
    "float integer exponent mantissa picture table figure thesis network image bread street garden "
    "Station Market Coffee OPEN Exit Museum Hotel 1984 42 7.50 A4 River North Platform Closed"
).split()


@dataclass(frozen=True)
class Press:
    """What pages are made of.

    Attributes:
        fonts: files of matplotlib's fonts.
        pictures: names of the photographs that some words stand on.
        seed: chooses words, sizes, colours and places.
    """

    fonts: tuple[str, ...]
    pictures: tuple[str, ...]
    seed: int


CALIBRATION = Press(("DejaVuSans.ttf", "STIXGeneral.ttf", "cmtt10.ttf"), ("coffee", "coins"), 1)
TEST = Press(
    ("DejaVuSans-Bold.ttf", "DejaVuSerif.ttf", "DejaVuSansMono.ttf", "STIXGeneralItalic.ttf"),
    ("china", "chelsea", "astronaut"),
    2,
)


def pages(press: Press, n: int, height: int, width: int) -> Array:
    """Return pages of words, every other one on a photograph.

    Args:
        press: fonts, photographs, seed.
        n: number of pages.
        height: of a page in pixels.
        width: of a page in pixels.

    Returns:
        `(n, height, width, 3)`, red, green, blue from 0 to 255.
    """
    rng = np.random.default_rng(press.seed)
    pictures = views(press.pictures, -(-n // len(press.pictures)), height, width, press.seed)
    found = np.empty((n, height, width, 3), np.float32)
    for i in range(n):
        light = bool(rng.integers(2))
        ground = np.full((height, width, 3), 255 * light) + rng.uniform(-40, 40, 3)
        if i % 2:
            ground = 0.4 * pictures[i * len(pictures) // n] + 0.6 * ground
        page = Image.fromarray(np.clip(ground, 0, 255).astype(np.uint8))
        _print(page, press.fonts, light, rng)
        found[i] = np.asarray(page, np.float32)
    return found


def _print(
    page: Image.Image, fonts: tuple[str, ...], light: bool, rng: np.random.Generator
) -> None:
    """Print lines of words from top to bottom, each in a font, size and colour of its own."""
    pen = ImageDraw.Draw(page)
    top = 6
    while True:
        size = int(rng.integers(12, 34))
        if top + 1.4 * size > page.height:
            return
        font = ImageFont.truetype(font_file(str(rng.choice(fonts))), size)
        low = 0 if light else 160
        ink = tuple(int(value) for value in rng.integers(low, low + 90, 3))
        left = int(rng.integers(4, page.width // 4))
        line = " ".join(rng.choice(WORDS, 8))
        while line and left + pen.textlength(line, font) > page.width - 4:
            line = line.rpartition(" ")[0]
        pen.text((left, top), line, fill=ink, font=font)
        top += int(1.5 * size)


def font_file(name: str) -> str:
    """Return the path of one of matplotlib's fonts."""
    spec = find_spec("matplotlib")
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError(f"the font {name} comes with matplotlib; install matplotlib.")
    return str(Path(spec.origin).parent / "mpl-data" / "fonts" / "ttf" / name)
