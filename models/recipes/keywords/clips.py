"""The set of spoken keywords: clips of two groups of voices, as coefficients in steps of 1/32."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from keywords.speech import (
    CLASS_NAMES,
    COEFFICIENTS,
    FRAMES,
    KEYWORDS,
    UNSEEN,
    VARIANTS,
    cepstra,
    clip_of,
    speak,
    to_steps,
)
from numpy.typing import NDArray


@dataclass(frozen=True)
class KeywordSet:
    """Coefficients and labels.

    Attributes:
        inputs: float32 `(n, 1, 49, 10)`, multiples of 1/32 from -4 to 127/32.
        labels: int64 `(n,)`, places in `CLASS_NAMES`.
    """

    inputs: NDArray[np.float32]
    labels: NDArray[np.int64]

    def some(self, count: int) -> KeywordSet:
        """Returns so many of its clips, as evenly from the whole as they come."""
        at = np.linspace(0, len(self.labels) - 1, count).round().astype(int)
        return KeywordSet(self.inputs[at], self.labels[at])


def make_sets(times: int, copies: int, seed: int) -> tuple[KeywordSet, KeywordSet]:
    """Makes the clips of training and those of the test, whose voices training never hears.

    Args:
        times: that each voice says each keyword.
        copies: of each training word, each elsewhere in its second and in other noise.
        seed: of all choices.

    Returns:
        Training and test. The mean and deviation that coefficients are scaled by are those of the
        training clips.
    """
    rng = np.random.default_rng(seed)
    heard = [variant for variant in VARIANTS if variant not in UNSEEN]
    train, train_labels = _clips(heard, times, copies, rng)
    test, test_labels = _clips(UNSEEN, times, 1, rng)
    mean, scale = train.mean((0, 1)), train.std((0, 1))
    return (
        KeywordSet(to_steps(train, mean, scale), train_labels),
        KeywordSet(to_steps(test, mean, scale), test_labels),
    )


def _clips(
    variants: tuple[str, ...] | list[str], times: int, copies: int, rng: np.random.Generator
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    words = speak(variants, times, rng)
    silent = len(words) // (len(KEYWORDS) + 3)  # as many as a keyword has
    given = [*words, *[None] * silent] * copies
    labels = [CLASS_NAMES.index("silence") if word is None else word.label for word in given]
    found = np.empty((len(given), FRAMES, COEFFICIENTS), np.float32)
    for k, word in enumerate(given):
        found[k] = cepstra(clip_of(word, rng))
    return found, np.array(labels, np.int64)


def cached_sets(path: Path, times: int, copies: int, seed: int) -> tuple[KeywordSet, KeywordSet]:
    """Reads the sets that an earlier run kept, or makes and keeps them.

    Args:
        path: an .npz file.
        times: as in `make_sets`.
        copies: as in `make_sets`.
        seed: as in `make_sets`.
    """
    made = np.array([times, copies, seed])
    if path.exists():
        with np.load(path) as kept:
            if np.array_equal(kept["made"], made):
                return (
                    KeywordSet(kept["train"], kept["train_labels"]),
                    KeywordSet(kept["test"], kept["test_labels"]),
                )
    train, test = make_sets(times, copies, seed)
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(
        path,
        made=made,
        train=train.inputs,
        train_labels=train.labels,
        test=test.inputs,
        test_labels=test.labels,
    )
    return train, test
