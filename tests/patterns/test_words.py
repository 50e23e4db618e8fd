"""Words and hashes never change silently."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from reluflow.errors import OptionError
from reluflow.patterns import DEFAULT_SEED, fingerprint, global_keys, thesis_hash, unit_words

GOLDEN = json.loads((Path(__file__).parents[1] / "golden" / "pattern_hashes.json").read_text())


def ramp(shape):
    """Pre-activations from integers alone: the same on every machine."""
    i = np.arange(np.prod(shape), dtype=np.int64)
    return ((i * 7919 + 13) % 101 - 50).astype(np.float32).reshape(shape)


def as_hex(keys):
    return [f"{a:016x}{b:016x}" for a, b in keys.tolist()]


def test_published_splitmix64_numbers():
    expected = [6457827717110365317, 3203168211198807973, 9817491932198370423, 4593380528125082431]
    assert unit_words(2, seed=1234567).ravel().tolist() == expected


def test_words_of_a_unit_do_not_depend_on_their_number():
    np.testing.assert_array_equal(unit_words(5), unit_words(4096)[:5])
    assert len(np.unique(unit_words(4096))) == 2 * 4096


def test_golden_words():
    assert GOLDEN["default_seed"] == DEFAULT_SEED
    assert as_hex(unit_words(4)) == GOLDEN["words"]


@pytest.mark.parametrize("name", sorted(GOLDEN["fingerprints"]))
def test_golden_fingerprints(name):
    case = GOLDEN["fingerprints"][name]
    found = fingerprint(ramp(case["shape"]), unit_axis=case["unit_axis"])
    assert as_hex(found.keys[:: case["every"]]) == case["keys"]
    assert found.active[:8].tolist() == case["active"]


def test_golden_thesis_hash():
    assert thesis_hash(ramp((3, 70))).tolist() == GOLDEN["thesis"]


def test_golden_global_keys():
    sites = [(s, fingerprint(ramp((2, 5 + s, 3))).keys) for s in range(3)]
    assert as_hex(global_keys(sites, 2)) == GOLDEN["global"]


def test_refusals():
    with pytest.raises(OptionError, match=r"units is -1, but a site has 0 or more"):
        unit_words(-1)
    with pytest.raises(OptionError, match=r"seed is -5, but must be in \[0, 2\^64\)"):
        unit_words(1, seed=-5)
