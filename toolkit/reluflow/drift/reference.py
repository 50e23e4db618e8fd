"""The stored reference: which patterns a model shows on known data, and how often others come."""

from __future__ import annotations

import hashlib
import json
import os
import tokenize
import zipfile
import zlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from reluflow.errors import ModelError, OptionError, OutputError
from reluflow.files import appearing
from reluflow.frames import Shown, SiteTable
from reluflow.graph import Model

_FORMAT = "reluflow drift reference"
_VERSION = 1
_WORKING_SHARE = 0.1
"""Share of unseen patterns at which a site tells most: far below it hardly any pattern can be new
to it, far above it nearly all are, drift or not. Found on FashionMNIST; see docs/drift.md."""
_DIGITS = 12


@dataclass(frozen=True, slots=True)
class SiteReference:
    """What is kept of one site; `fit_reference` returns them.

    Attributes:
        site: its name.
        patterns: distinct patterns of the reference inputs.
        kept: how many of them are in the table: the most frequent ones.
        rarest: how often the most frequent pattern that is not kept was seen, 0 if all are kept.
        held_out: mean share of patterns of held-out inputs that are not in the table, in [0, 1].
        chosen: whether the score is made of this site by default.
    """

    site: str
    patterns: int
    kept: int
    rarest: int
    held_out: float
    chosen: bool


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class DriftReference(SiteTable[SiteReference]):
    """Patterns of known inputs, and the scores of held-out ones; made by `fit_reference`.

    Attributes:
        model: name of the model's file.
        model_sha256: of the file and its external weights: no other model is checked with it.
        data: where the inputs came from.
        preprocessing: of these inputs.
        n_inputs: inputs whose patterns are in the tables.
        held_out: where the held-out inputs came from.
        seed: of the hash.
        smooth: whether smooth activations are sites too.
        sites: in graph order.
        tables: for each site `(kept,)` uint64, ascending: the first 64 bits of each pattern's
            fingerprint. Neither bits nor counts nor inputs are kept.
        shares: `(n_held_out, n_sites)` share of patterns not in the table, of each held-out input.
        notes: sentences on what else is to be known.
    """

    model: str
    model_sha256: str
    data: str
    preprocessing: dict[str, Any]
    n_inputs: int
    held_out: str
    seed: int
    smooth: bool
    sites: tuple[SiteReference, ...]
    tables: tuple[NDArray[np.uint64], ...]
    shares: NDArray[np.float64]
    notes: tuple[str, ...]

    _shown: ClassVar[Shown] = {
        "site": ("site", "text"),
        "patterns": ("patterns", "count"),
        "kept": ("kept", "count"),
        "new in held-out inputs": ("held_out", "share"),
    }

    def _heading(self) -> str:
        return f"{self.model}: reference of {self.n_inputs:,} inputs"

    def _sentences(self) -> tuple[str, ...]:
        return (*self.sentences(), *self.notes)

    @property
    def nbytes(self) -> int:
        """Bytes of the tables and the held-out shares: about the size of the file."""
        return sum(table.nbytes for table in self.tables) + self.shares.nbytes

    def columns(self, names: Sequence[str] | None) -> list[int]:
        """Return the indices of some sites; of the chosen ones where none are named.

        Args:
            names: of sites.

        Raises:
            OptionError: there is no such site.
        """
        known = [site.site for site in self.sites]
        if names is None:
            return [index for index, site in enumerate(self.sites) if site.chosen]
        for name in names:
            if name not in known:
                raise OptionError(
                    f"sites names {name!r}, which the reference does not have; give some of "
                    f"{', '.join(known)}."
                )
        return sorted({known.index(name) for name in names})

    def check_model(self, model: Model) -> None:
        """Refuse a model that the reference was not made for.

        Args:
            model: the model.

        Raises:
            ModelError: its SHA-256 is another one.
        """
        found = identify(model)
        if found != self.model_sha256:
            raise ModelError(
                f"the reference was made for {self.model!r} (SHA-256 "
                f"{self.model_sha256[:_DIGITS]}), and this model is another one "
                f"({found[:_DIGITS]}), whose patterns mean something else; make a reference for it."
            )

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the reference as an .npz; the file appears completely or not at all.

        Args:
            path: file to write; an existing one is replaced.

        Raises:
            OutputError: the file cannot be written.
        """
        told = {name: getattr(self, name) for name in _TOLD}
        told |= {"format": _FORMAT, "version": _VERSION, "sites": [asdict(s) for s in self.sites]}
        arrays: dict[str, Any] = {f"table_{i}": table for i, table in enumerate(self.tables)}
        try:
            with appearing(path) as partial, partial.open("wb") as file:
                np.savez(file, told=np.array(json.dumps(told)), shares=self.shares, **arrays)
        except OSError as error:
            raise OutputError(
                f"out is {os.fspath(path)!r}, which cannot be written ({error.strerror}); choose "
                "another place."
            ) from error

    def to_dict(self) -> dict[str, Any]:
        """Return everything but the tables, ready for JSON."""
        told = {name: getattr(self, name) for name in _TOLD}
        return told | {
            "sites": [asdict(site) for site in self.sites],
            "n_held_out": len(self.shares),
            "bytes": self.nbytes,
            "notes": list(self.notes),
            "findings": list(self.sentences()),
        }

    def sentences(self) -> tuple[str, ...]:
        """Return what the reference is, in words."""
        chosen = [site for site in self.sites if site.chosen]
        names = ", ".join(site.site for site in chosen)
        dropped = [site for site in self.sites if site.kept < site.patterns]
        return (
            f"{self.n_inputs:,} inputs gave the patterns and {len(self.shares):,} others the "
            f"thresholds; {self.nbytes / 2**20:.1f} MiB.",
            f"The score is taken at {names}, where {chosen[0].held_out:.2%} of the held-out "
            f"inputs' patterns are not in the reference: nearest to {_WORKING_SHARE:.0%}.",
            *(
                f"Site {each.site}: {each.patterns - each.kept:,} of {each.patterns:,} patterns "
                f"are not kept; none of them was seen more than {each.rarest:,} times."
                for each in dropped
            ),
        )


_TOLD = (
    *("model", "model_sha256", "data", "preprocessing", "n_inputs", "held_out", "seed", "smooth"),
    "notes",
)
"""Attributes that are kept as they are."""


def choose_sites(sites: Sequence[SiteReference]) -> tuple[SiteReference, ...]:
    """Mark the site whose share of unseen patterns among held-out inputs is nearest to 10 %.

    Near in log odds, as 1 % and 0.1 % are as far apart as 10 % and 1 %; the later site of two
    equal ones, which has looked at more of the input.

    Args:
        sites: in graph order.

    Example:
        >>> found = choose_sites([SiteReference(n, 9, 9, 0, s, False)
        ...                       for n, s in (("a", 0.001), ("b", 0.07), ("c", 0.6))])
        >>> [site.chosen for site in found]
        [False, True, False]
    """
    shares = np.clip([site.held_out for site in sites], 1e-9, 1 - 1e-9)
    odds = np.log(shares / (1 - shares))
    apart = np.abs(odds - np.log(_WORKING_SHARE / (1 - _WORKING_SHARE)))
    best = len(sites) - 1 - int(np.argmin(apart[::-1]))
    return tuple(replace(site, chosen=index == best) for index, site in enumerate(sites))


def identify(model: Model) -> str:
    """Return the SHA-256 of a model and of its files of external weights.

    Args:
        model: the model.

    Raises:
        ModelError: such a file cannot be read.
    """
    if not model.external_files:
        return model.sha256
    digest = hashlib.sha256(model.sha256.encode())
    for path in model.external_files:
        try:
            with path.open("rb") as file:
                digest.update(hashlib.file_digest(file, "sha256").digest())
        except OSError as error:
            raise ModelError(
                f"weights {str(path)!r} cannot be read ({error.strerror}); put them beside the "
                "model."
            ) from error
    return digest.hexdigest()


def load_reference(source: DriftReference | str | os.PathLike[str]) -> DriftReference:
    """Return a reference that `DriftReference.save` wrote.

    Args:
        source: its file, or a reference, which is returned as it is.

    Raises:
        OutputError: it cannot be read, is damaged, or is something else.

    Example:
        >>> load_reference("models/fashion_mnist_test_2000.npz")  # doctest: +ELLIPSIS
        Traceback (most recent call last):
        reluflow.errors.OutputError: reference is 'models/fashion_mnist_test_2000.npz', which ...
    """
    if isinstance(source, DriftReference):
        return source
    path = Path(source)
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
            return _read(arrays)
    except (OSError, ValueError, KeyError, TypeError, EOFError, *_DAMAGED) as error:
        raise OutputError(
            f"reference is {str(path)!r}, which cannot be read as one ({_why(error)}); make one "
            "with reluflow drift fit."
        ) from error


_DAMAGED = (
    *(zipfile.BadZipFile, zlib.error, AttributeError, RuntimeError, MemoryError),
    *(SyntaxError, SystemError, tokenize.TokenError, IndexError, OverflowError),
)
"""Beside the others; numpy parses the header of an array as a text of Python."""


def _why(error: BaseException) -> str:
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    if isinstance(error, KeyError):
        return "it lacks a part"
    return " ".join(str(error).split()).rstrip(".") or type(error).__name__


def _read(arrays: Any) -> DriftReference:
    """Return what an archive holds.

    Raises:
        ValueError: it is not what `save` writes; KeyError and TypeError too.
    """
    told = json.loads(str(arrays["told"]))
    if not isinstance(told, dict) or told.get("format") != _FORMAT:
        raise ValueError("it is another kind of file")
    if told["version"] != _VERSION:
        raise ValueError(f"its version is {told['version']}, and this reluflow reads {_VERSION}")
    sites = tuple(SiteReference(**each) for each in told["sites"])
    tables = tuple(arrays[f"table_{index}"] for index in range(len(sites)))
    shares = arrays["shares"]
    for table, site in zip(tables, sites, strict=True):
        whole = table.dtype == np.uint64 and table.shape == (site.kept,) and site.kept > 0
        if not whole or (table[1:] <= table[:-1]).any():
            raise ValueError(f"the table of site {site.site} is damaged")
    fits = shares.dtype == np.float64 and shares.ndim == 2 and shares.shape[1] == len(sites)
    if not fits or not len(shares) or not sites or not ((shares >= 0) & (shares <= 1)).all():
        raise ValueError("the held-out shares are damaged")
    if sum(site.chosen for site in sites) < 1:
        raise ValueError("no site is chosen")
    kept = {name: told[name] for name in _TOLD} | {"notes": tuple(told["notes"])}
    return DriftReference(**kept, sites=sites, tables=tables, shares=shares)
