"""Numbers and names in readable form."""

from __future__ import annotations

import math
import re

MISSING = "\N{EN DASH}"
_LONGEST_NAME = 120
"""Characters; exporters' paths of nested modules are shorter, and longer ones break tables."""
_KIBI = 1024
_MINUTE = 60
_WHOLE = 100
"""Percent."""
_SHORT_FROM = 10**6
_THOUSAND = 3
"""Digits of a unit, and those that are shown."""
_UNITS = ("", "k", "M", "G", "T", "P")


def plain(text: str) -> str:
    r"""Return `text` with every unprintable character spelled out.

    Names come from files of unknown origin: control characters could move the
    cursor of a terminal, and direction marks could show a name that is not there.

    Example:
        >>> plain("conv\x1b[2J")
        'conv\\x1b[2J'
    """
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


def shorten(text: str, width: int, mark: str = "…") -> str:
    """Return `text` in at most `width` characters, cut in the middle.

    Names of sites differ at both ends more often than in the middle.

    Example:
        >>> shorten("/layer1/layer1.0/relu_1/Relu", 15)
        '/layer…u_1/Relu'
    """
    return _cut(text, width, max(0, (width - 2) // 2), mark)


def shorten_apart(names: list[str], width: int) -> list[str]:
    """Return names in at most `width` characters, cut where what tells them apart stays.

    All are cut at the same place, the nearest to the middle at which different names stay
    different; names that are alike wherever they are cut get their places in front.

    Args:
        names: in the order of their rows.
        width: characters.

    Example:
        >>> shorten_apart([f"/blocks/blocks.{k}/depthwise/Conv" for k in (0, 1)], 18)
        ['/…0/depthwise/Conv', '/…1/depthwise/Conv']
    """
    middle, different = max(0, (width - 2) // 2), len(set(names))
    for head in sorted(range(width), key=lambda head: abs(head - middle)):
        cut = [_cut(name, width, head) for name in names]
        if len(set(cut)) == different:
            return cut
    room = width - len(str(len(names))) - 1
    return [f"{k} {shorten(name, room)}" for k, name in enumerate(names, 1)]


def _cut(text: str, width: int, head: int, mark: str = "…") -> str:
    """Return `text` in at most `width` characters, so many of them from its beginning."""
    if len(text) <= width:
        return text
    return f"{text[:head]}{mark}{text[len(text) - max(0, width - 1 - head) :]}"


def site_name(name: str) -> str:
    """Return a site's name for a page: printable, never empty, at most 120 characters.

    Example:
        >>> site_name("")
        '(no name)'
    """
    return shorten(plain(name), _LONGEST_NAME) or "(no name)"


def layer_name(name: str, layer: str) -> str:
    """Return the layer that feeds a site, printable; "" where the site's name has it already.

    Example:
        >>> layer_name("node_relu_1", "fc1"), layer_name("/fc1/Relu", "fc1")
        ('fc1', '')
        >>> layer_name("/fc10/Relu", "fc1")
        'fc1'
    """
    named = re.search(rf"(?<![\w.]){re.escape(layer)}(?!\w)", name)
    return "" if named else shorten(plain(layer), _LONGEST_NAME)


def count(number: int | None) -> str:
    """Return a whole number with thousands separated.

    Example:
        >>> count(1234567)
        '1,234,567'
    """
    return MISSING if number is None else f"{number:,}"


def about(text: str, estimated: object) -> str:
    """Return a number's text, marked where it is an estimate.

    Example:
        >>> about("12", None), about("12", True), about(MISSING, True) == MISSING
        ('12', '~12', True)
    """
    return f"~{text}" if estimated and text != MISSING else text


def short_count(number: float | None) -> str:
    """Return a number of things in three digits and a unit: million, G, T or P.

    Example:
        >>> short_count(123456), short_count(4_268_842_647_552), short_count(45.5e6)
        ('123,456', '4.27 T', '45.5 M')
    """
    if number is None:
        return MISSING
    if number < _SHORT_FROM:
        return count(round(number))
    power = min(int(math.log10(number)) // _THOUSAND, len(_UNITS) - 1)
    value = number / 10.0 ** (_THOUSAND * power)
    digits = max(0, _THOUSAND - len(str(int(value))))
    return f"{value:,.{digits}f} {_UNITS[power]}"


def decimal(value: float, digits: int = 2) -> str:
    """Return a number with a fixed number of decimals.

    Example:
        >>> decimal(11.0271)
        '11.03'
    """
    if not math.isfinite(value):
        return MISSING
    text = f"{value:,.{digits}f}"
    return text.lstrip("-") if float(text.replace(",", "")) == 0 else text


def percent(fraction: float, digits: int = 1) -> str:
    """Return a fraction in percent; 0 % and 100 % are printed only for exact values.

    Example:
        >>> percent(0.1234), percent(0.0), percent(0.00001), percent(0.99999)
        ('12.3 %', '0 %', '<0.1 %', '>99.9 %')
    """
    if not math.isfinite(fraction):
        return MISSING
    if fraction in (0, 1):
        return f"{fraction * 100:.0f} %"
    step = 10.0**-digits
    value = fraction * 100
    if 0 < value < step:
        return f"<{step:.{digits}f} %"
    if _WHOLE - step < value < _WHOLE:
        return f">{_WHOLE - step:.{digits}f} %"
    return f"{value:,.{digits}f} %"


def size(n_bytes: int) -> str:
    """Return a number of bytes in binary units.

    Example:
        >>> size(102_400), size(12)
        ('100.0 KiB', '12 bytes')
    """
    if n_bytes < _KIBI:
        return f"{n_bytes} bytes"
    value = float(n_bytes)
    for unit in ("KiB", "MiB", "GiB"):
        value /= _KIBI
        if value < _KIBI:
            return f"{value:.1f} {unit}"
    return f"{value / _KIBI:.1f} TiB"


def duration(seconds: float) -> str:
    """Return a wall time in the unit that suits it.

    Example:
        >>> duration(0.0123), duration(7.25), duration(754)
        ('12 ms', '7.2 s', '12 min 34 s')
    """
    if not math.isfinite(seconds):
        return MISSING
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    if seconds < _MINUTE:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), _MINUTE)
    if minutes < _MINUTE:
        return f"{minutes} min {rest} s"
    return f"{minutes // _MINUTE} h {minutes % _MINUTE} min"


def plural(number: int, one: str, many: str = "") -> str:
    """Return the number and its noun.

    Example:
        >>> plural(1, "site"), plural(2, "entry", "entries")
        ('1 site', '2 entries')
    """
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def ranges(indices: list[int]) -> list[str]:
    """Return sorted indices as single numbers and runs.

    Example:
        >>> len(ranges([1, 4, 5, 6, 9]))
        3
    """
    runs: list[list[int]] = []
    for index in indices:
        if runs and runs[-1][1] == index - 1:
            runs[-1][1] = index
        else:
            runs.append([index, index])
    return [str(a) if a == b else f"{a}\N{EN DASH}{b}" for a, b in runs]
