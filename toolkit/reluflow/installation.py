"""What of reluflow is installed here, what is missing, and how to get it."""

from __future__ import annotations

import ctypes
import os
import platform
import re
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from importlib import metadata
from typing import Any, ClassVar

from packaging.requirements import Requirement

from reluflow._version import __version__
from reluflow.errors import OptionError
from reluflow.frames import Shown, Tabular
from reluflow.native import ENVIRONMENT_VARIABLE, call, find_function, get_library_path
from reluflow.sessions import default_threads

_KERNEL = "reluflow_kernel_v1"
_NAME_BYTES = 16
_REQUIRED = ""
_FOR_DEVELOPERS = ("dev", "docs", "test")
"""Extras that are not looked for: no command needs them."""


@dataclass(frozen=True, slots=True)
class Package:
    """One package that reluflow declares; part of an `Installation`.

    Attributes:
        name: as on the package index.
        extra: the extra that needs it, "" where every installation does.
        wanted: versions that are declared, such as ">=1.26".
        version: that is installed, "" where it is not.
        fits: it is installed in a version that is declared.

    Example:
        >>> numpy = next(each for each in doctor().packages if each.name == "numpy")
        >>> numpy.extra, numpy.fits
        ('', True)
    """

    name: str
    extra: str
    wanted: str
    version: str
    fits: bool


@dataclass(frozen=True, slots=True, repr=False)
class Installation(Tabular):
    """What `doctor` found.

    Attributes:
        version: of reluflow.
        python: version of Python.
        machine: system and processor.
        processors: that this process may use.
        library: path of the native library, "" where there is none.
        kernel: the kernels that it uses here, "" where it does not tell.
        problem: why there is no library, or what it complains of; "" without.
        packages: required ones first, then by extra.
    """

    version: str
    python: str
    machine: str
    processors: int
    library: str
    kernel: str
    problem: str
    packages: tuple[Package, ...]

    _shown: ClassVar[Shown] = {
        "package": ("name", "text"),
        "extra": ("extra", "text"),
        "wanted": ("wanted", "text"),
        "installed": ("version", "text"),
    }

    @property
    def works(self) -> bool:
        """Every required package is there in a version that is declared."""
        return all(each.fits for each in self.packages if each.extra == _REQUIRED)

    def to_dict(self) -> dict[str, Any]:
        """Return plain dictionaries, lists, strings and numbers, ready for JSON."""
        return asdict(self) | {"works": self.works}

    def sentences(self) -> tuple[str, ...]:
        """Return what is here, what is missing and how to get it."""
        return tuple(self._say())

    def _say(self) -> Iterator[str]:
        yield f"reluflow {self.version}, Python {self.python}, {self.machine}."
        yield f"Processors that this process may use: {self.processors}."
        if self.library:
            kernel = self.kernel or "not told"
            yield f"Native library: {self.library}; kernels: {kernel}."
        if self.problem:
            yield f"Native library: {self.problem}"
            yield (
                "Without the library all analyses work, hashed and counted by numba; converted "
                "models run in ONNX Runtime alone, more slowly and with baked draws."
            )
        if not self.packages:
            yield (
                "reluflow runs from its source and is not installed, so that no versions are "
                "declared; pip install it to have them checked."
            )
        for each in self.packages:
            if each.extra == _REQUIRED and not each.fits:
                found = f"is {each.version}" if each.version else "is missing"
                yield (
                    f"Required {each.name}{each.wanted} {found}; "
                    f"pip install '{each.name}{each.wanted}'."
                )
        yield from self._say_extras()

    def _say_extras(self) -> Iterator[str]:
        extras = dict.fromkeys(each.extra for each in self.packages if each.extra != _REQUIRED)
        for extra in extras:
            of_it = [each for each in self.packages if each.extra == extra]
            lacking = [each for each in of_it if not each.fits]
            found = ", ".join(f"{each.name} {each.version}" for each in of_it if each.fits)
            if not lacking:
                yield f"Extra {extra}: {found}."
                continue
            names = ", ".join(
                f"{each.name} {each.version}, not {each.wanted}" if each.version else each.name
                for each in lacking
            )
            yield f"Extra {extra} lacks {names}; pip install 'reluflow[{extra}]'."

    def _heading(self) -> str:
        return f"reluflow {self.version} on Python {self.python}"

    def _records(self) -> Sequence[dict[str, Any]]:
        return [asdict(each) for each in self.packages]

    def _sentences(self) -> Sequence[str]:
        return self.sentences()


def doctor() -> Installation:
    """Return what of reluflow is installed here, and what is missing.

    Nothing is imported or run but the native library, which tells its kernels.

    Example:
        >>> found = doctor()
        >>> found.works, found.sentences()[0].split()[0]
        (True, 'reluflow')

    Reference: docs/releases.md.
    """
    library, kernel, problem = _library()
    system = f"{platform.system()} {platform.machine()}"
    return Installation(
        version=__version__,
        python=platform.python_version(),
        machine=f"{system}, {platform.libc_ver()[0] or 'unknown libc'} {platform.libc_ver()[1]}",
        processors=default_threads(),
        library=library,
        kernel=kernel,
        problem=problem,
        packages=tuple(_packages()),
    )


def _library() -> tuple[str, str, str]:
    """Return path, kernels and complaint of the native library."""
    try:
        path = get_library_path()
    except OptionError as error:
        named = os.environ.get(ENVIRONMENT_VARIABLE)
        return "", "", str(error) if named else _how_to_get_it()
    if find_function(_KERNEL) is None:
        return path, "", ""
    name = ctypes.create_string_buffer(_NAME_BYTES)
    try:
        call(_KERNEL, name, ctypes.c_int64(_NAME_BYTES))
    except OptionError as error:
        return path, "", str(error)
    return path, name.value.decode(), ""


def _how_to_get_it() -> str:
    return (
        "none; install the wheel of this platform, or install reluflow again from its sources "
        "where a C++ compiler and cmake are."
    )


def _packages() -> Iterator[Package]:
    """Yield what reluflow declares, as its own metadata have it."""
    try:
        declared = metadata.requires("reluflow") or []
    except metadata.PackageNotFoundError:
        return
    for text in declared:
        needed = Requirement(text)
        extra = _extra(needed)
        if extra in _FOR_DEVELOPERS or needed.name == "reluflow":
            continue
        version = _version(needed.name)
        fits = bool(version) and needed.specifier.contains(version, prereleases=True)
        yield Package(needed.name, extra, str(needed.specifier), version, fits)


def _extra(needed: Requirement) -> str:
    found = re.search(r"extra == [\"']([^\"']+)", str(needed.marker or ""))
    return found[1] if found else _REQUIRED


def _version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return ""
