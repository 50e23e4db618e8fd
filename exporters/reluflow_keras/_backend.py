"""Keras with its backend, or one sentence on what is missing."""

from __future__ import annotations

import os

try:
    import keras as keras
except ImportError as error:
    if error.name == "keras":
        raise
    named = os.environ.get("KERAS_BACKEND", "that of its settings")
    raise ImportError(
        f"Keras cannot import its backend, {named} ({error}). The extra keras brings none: install "
        "jax, torch or tensorflow beside it, and name it before Python starts, such as "
        "KERAS_BACKEND=jax."
    ) from error
