"""Melodies of synthetic instruments: inputs of a transcriber of notes."""

from __future__ import annotations

import numpy as np
from real.pictures import Array

RATE = 22_050
"""Samples per second."""
_VOICES = 3
_LOWEST = 110.0
_OCTAVES = 3


def melodies(n: int, length: int, seed: int) -> Array:
    """Return melodies in up to three voices, each with an instrument and a loudness of its own.

    Args:
        n: number of melodies.
        length: of each, in samples.
        seed: chooses notes, their lengths, overtones, attacks and noise.

    Returns:
        `(n, length, 1)` from -1 to 1.
    """
    rng = np.random.default_rng(seed)
    found = np.empty((n, length, 1), np.float32)
    for i in range(n):
        voices = sum(_voice(length, rng) for _ in range(rng.integers(1, _VOICES + 1)))
        sound = np.asarray(voices) + 0.003 * rng.standard_normal(length)
        loudest = np.abs(sound).max()
        found[i, :, 0] = sound * rng.uniform(0.2, 0.9) / loudest
    return found


def _voice(length: int, rng: np.random.Generator) -> np.ndarray:
    """Return notes one after another, played on one instrument."""
    overtones = rng.uniform(0, 1, 6) / np.arange(1, 7)
    attack, decay = rng.uniform(0.005, 0.05), rng.uniform(0.3, 2)
    sound = np.zeros(length)
    start = int(rng.uniform(0, 0.3) * RATE)
    while start < length:
        steps = min(length - start, int(rng.uniform(0.15, 0.8) * RATE))
        time = np.arange(steps) / RATE
        pitch = _LOWEST * 2 ** (rng.integers(12 * _OCTAVES) / 12)
        tones = [a * np.sin(2 * np.pi * k * pitch * time) for k, a in enumerate(overtones, 1)]
        release = np.minimum(1, (steps - np.arange(steps)) / (0.02 * RATE))
        shape = np.minimum(1, time / attack) * np.exp(-time / decay) * release
        sound[start : start + steps] += sum(tones) * shape
        start += steps
    return sound
