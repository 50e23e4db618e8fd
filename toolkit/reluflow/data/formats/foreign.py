"""Arrays of other libraries (torch, jax, pandas, ...) as numpy arrays; none is imported."""

from __future__ import annotations

from typing import Any

import numpy as np

from reluflow.data.sources.words import first_line
from reluflow.errors import DataError


def is_foreign_array(value: object) -> bool:
    """Tell whether a value is an array of another library: a tensor, a data frame, an image."""
    return not isinstance(value, np.ndarray | str | bytes) and (
        hasattr(value, "__array__") or hasattr(value, "__dlpack__")
    )


def as_array(value: object, what: str, place: str = "") -> np.ndarray:
    """Return anything array-like as a numpy array; memory is shared where that is possible.

    A tensor on another device is copied to the CPU, one that records gradients is detached, and
    bfloat16, which numpy lacks, becomes float32.

    Args:
        value: an array, tensor, list of numbers, ...
        what: the data and their verb, in words that begin a sentence, as in "data are".
        place: where it was found, in words that follow its type.

    Raises:
        DataError: numpy cannot read it.
    """
    if isinstance(value, np.ndarray):
        return value
    try:
        return np.asarray(_on_cpu(value))
    except Exception as error:  # the conversion of a foreign tensor may raise anything
        raise DataError(
            f"{what} a {type(value).__name__}{place} that numpy cannot read ({first_line(error)}); "
            "give arrays."
        ) from error


def _on_cpu(value: Any) -> Any:
    """Detach whatever has the methods of a torch tensor and copy it to the CPU."""
    if not (hasattr(value, "detach") and hasattr(value, "cpu")):
        return value
    plain = value.detach().cpu()
    for name in ("resolve_conj", "resolve_neg"):
        plain = getattr(plain, name)() if hasattr(plain, name) else plain
    return plain.float() if str(getattr(plain, "dtype", "")) == "torch.bfloat16" else plain


def is_module(source: object) -> bool:
    """Tell whether something is a network of a framework, which is callable but not data."""
    return any(
        kind.__name__ == "Module" and kind.__module__.startswith("torch.nn")
        for kind in type(source).__mro__
    )
