"""Write pattern_hashes.json from the numpy reference, only when a hash is meant to change."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from reluflow.patterns import DEFAULT_SEED, global_keys, unit_words
from reluflow.patterns.reference import reference_fingerprint, reference_thesis_hash


def ramp(shape):
    i = np.arange(np.prod(shape), dtype=np.int64)
    return ((i * 7919 + 13) % 101 - 50).astype(np.float32).reshape(shape)


def as_hex(keys):
    return [f"{a:016x}{b:016x}" for a, b in keys.tolist()]


def fingerprints(shape, unit_axis, every):
    keys, active, _ = reference_fingerprint(ramp(shape), unit_words(shape[unit_axis]), unit_axis)
    return {
        "shape": shape,
        "unit_axis": unit_axis,
        "every": every,
        "keys": as_hex(keys[::every]),
        "active": active[:8].tolist(),
    }


def global_case():
    sites = []
    for s in range(3):
        keys, _, _ = reference_fingerprint(ramp((2, 5 + s, 3)), unit_words(5 + s))
        sites.append((s, keys))
    return as_hex(global_keys(sites, 2))


def main():
    golden = {
        "default_seed": DEFAULT_SEED,
        "words": as_hex(unit_words(4)),
        "fingerprints": {
            "dense": fingerprints((4, 130), 1, 1),
            "plane": fingerprints((2, 33, 7, 7), 1, 20),
            "tokens": fingerprints((2, 5, 64), -1, 3),
        },
        "thesis": reference_thesis_hash(ramp((3, 70))).tolist(),
        "global": global_case(),
    }
    path = Path(__file__).with_name("pattern_hashes.json")
    path.write_text(json.dumps(golden, indent=1) + "\n")


if __name__ == "__main__":
    main()
