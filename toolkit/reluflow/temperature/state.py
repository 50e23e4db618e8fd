"""Saved states: can this release continue from one?"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, TypeVar

from reluflow.errors import DataError

Options = TypeVar("Options")


def check_state(
    name: str, state: Mapping[str, Any], version: int, fields: Collection[str] = ()
) -> None:
    """Refuse a state of another version, or one with missing fields.

    Args:
        name: of the argument that holds it.
        state: what `state_dict` returned, also after JSON.
        version: that this release writes and reads.
        fields: that it must have.

    Raises:
        DataError: another version, or a field is missing.

    Example:
        >>> check_state("state", {"version": 1, "rate": 0.1}, 1, ["version", "rate"])
    """
    if state.get("version") != version:
        raise DataError(
            f"{name} has version {state.get('version')!r}; this reluflow reads version "
            f"{version}: load it with the release that saved it."
        )
    missing = sorted(set(fields) - state.keys())
    if missing:
        raise DataError(f"{name} lacks {', '.join(missing)}; give a whole state_dict().")


def options_of(kind: type[Options], state: Mapping[str, Any]) -> Options:
    """Return the options that a state holds.

    Args:
        kind: their class.
        state: what `state_dict` returned, also after JSON.

    Raises:
        DataError: it holds options that this release does not know.

    Example:
        >>> from reluflow.temperature import CrossingOptions
        >>> options_of(CrossingOptions, {"options": {"growth": 2.0}}).growth
        2.0
    """
    try:
        return kind(**state["options"])
    except TypeError as error:
        raise DataError(
            f"state has options that this reluflow does not know ({error}); load it with the "
            "release that saved it."
        ) from error
