"""The default hash on the model's device: equal to the toolkit's, bit for bit."""

from __future__ import annotations

from functools import lru_cache

import torch
from torch import Tensor

from reluflow.patterns import DEFAULT_SEED, fingerprint, unit_words


def fingerprints(bits: Tensor, *, seed: int = DEFAULT_SEED) -> Tensor:
    """Return the 128-bit fingerprint of the pattern of every sample.

    On the CPU the toolkit hashes. Elsewhere the XOR of the words of the active units is the parity
    of a matrix product, which every device computes exactly for up to 2^24 units.

    Args:
        bits: `(rows, units)` or `(images, units, pixels)` bool, as in `SitePattern.bits`.
        seed: seed of the words, in [0, 2^64).

    Returns:
        `(samples, 2)` int64 on the device of `bits`; viewed as uint64 these are the keys of
        `reluflow.patterns.fingerprint`.

    Example:
        >>> bits = torch.tensor([[True, False], [True, False], [False, False]])
        >>> keys = fingerprints(bits)
        >>> bool((keys[0] == keys[1]).all()), keys[2].tolist()
        (True, [0, 0])

    Reference: docs/spec.md, section 2, default hash.
    """
    if bits.device.type == "cpu":
        found = fingerprint(bits.to(torch.float32).numpy(), seed=seed)
        return torch.from_numpy(found.keys.view("int64"))
    return _by_parity(bits, seed)


def _by_parity(bits: Tensor, seed: int) -> Tensor:
    """Return what `fingerprints` does, by operations that every device has."""
    rows = bits if bits.dim() == 2 else bits.transpose(1, 2).flatten(0, 1)
    planes = _bit_planes(rows.shape[1], seed, str(rows.device))
    parity = (rows.float() @ planes).remainder(2.0).long().reshape(-1, 2, 64)
    keys: Tensor = (parity << torch.arange(64, device=rows.device)).sum(2)
    return keys


@lru_cache(maxsize=64)
def _bit_planes(units: int, seed: int, device: str) -> Tensor:
    """Return `(units, 128)` zeros and ones: the bits of the words of each unit."""
    words = torch.from_numpy(unit_words(units, seed).view("int64"))
    planes = (words[:, :, None] >> torch.arange(64)) & 1
    return planes.flatten(1).float().to(device)
