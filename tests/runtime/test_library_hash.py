"""PatternHash against the fingerprints of the patterns room: the same bits."""

from typing import Any

import numpy as np
import onnxruntime as ort
import pytest
from networks.psb import KERNELS, one_node, open_native
from onnx import TensorProto

from reluflow.patterns import Fingerprints, fingerprint, hashing


def by_both_engines(x: np.ndarray, **options: Any) -> list[Fingerprints]:
    """Return the fingerprints of the native function and those of numba."""
    found = [fingerprint(x, **options)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(hashing, "has_hash", lambda: False)
        return [*found, fingerprint(x, **options)]


SHAPES = [
    (7,),
    (1, 1),
    (3, 5),
    (700, 33),
    (2, 3, 5),
    (2, 70, 24, 25),
    (2, 64, 7, 7),
    (3, 513),
    (2, 4, 3, 2, 5),
    (0, 4, 3),
    (2, 0, 3),
]


def session_of(rank: int, **attributes: Any) -> ort.InferenceSession:
    inputs: Any = {"x": (TensorProto.FLOAT, [f"d{i}" for i in range(rank)])}
    outputs: Any = dict.fromkeys(("keys", "active", "nonfinite"), TensorProto.INT64)
    return open_native(one_node("PatternHash", inputs, {}, ["x"], outputs, attributes), 2)


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_fingerprints_are_those_of_the_patterns_room(
    shape: tuple[int, ...], kernel: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RELUFLOW_KERNEL", kernel)
    rng = np.random.default_rng(len(shape))
    x = rng.standard_normal(shape).astype(np.float32)
    odd = rng.random(shape) < 0.1
    x[odd] = rng.choice([np.nan, np.inf, -np.inf, 0.0, -0.0, 0.1], int(odd.sum()))
    for axis in range(-x.ndim, x.ndim):
        for threshold in (0.0, 0.1):
            options: dict[str, Any] = {"unit_axis": axis, "threshold": threshold}
            keys, active, bad = session_of(x.ndim, seed=99, **options).run(None, {"x": x})
            samples = [n for i, n in enumerate(shape) if i != axis % x.ndim]
            assert keys.shape == (*samples, 2)
            for want in by_both_engines(x, seed=99, **options):
                np.testing.assert_array_equal(keys.view(np.uint64).reshape(-1, 2), want.keys)
                np.testing.assert_array_equal(active, want.active)
                assert bad.shape == () and bad == want.nonfinite


def blocks_of(x: np.ndarray, block: int) -> np.ndarray:
    """Return `(N, C, ...)` as ONNX Runtime keeps it in blocks, NaN where it fills up."""
    n, units, *rest = x.shape
    fill = np.full((n, -units % block, *rest), np.nan, np.float32)
    whole = np.concatenate([x, fill], axis=1)
    return np.moveaxis(whole.reshape(n, -1, block, *rest), 2, -1).reshape(whole.shape)


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("block", [8, 16])
@pytest.mark.parametrize("shape", [(2, 17, 5, 7), (1, 64, 3, 3), (3, 5, 1, 1), (1, 40, 33, 32)])
def test_blocked_tensors_have_the_same_fingerprints(
    shape: tuple[int, ...], block: int, kernel: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RELUFLOW_KERNEL", kernel)
    rng = np.random.default_rng(block)
    x = rng.standard_normal(shape).astype(np.float32)
    odd = rng.random(shape) < 0.1
    x[odd] = rng.choice([np.nan, np.inf, -np.inf, 0.0, -0.0, 0.1], int(odd.sum()))
    for threshold in (0.0, -0.5):
        want = fingerprint(x, threshold=threshold)
        session = session_of(4, threshold=threshold, block=block, units=shape[1])
        keys, active, bad = session.run(None, {"x": blocks_of(x, block)})
        assert keys.shape == (shape[0], *shape[2:], 2)
        np.testing.assert_array_equal(keys.view(np.uint64).reshape(-1, 2), want.keys)
        np.testing.assert_array_equal(active, want.active)
        assert bad == want.nonfinite


def test_defaults_are_those_of_the_patterns_room() -> None:
    x = np.random.default_rng(0).standard_normal((4, 9, 6)).astype(np.float32)
    want = fingerprint(x)
    keys, active, _ = session_of(3).run(None, {"x": x})
    np.testing.assert_array_equal(keys.view(np.uint64).reshape(-1, 2), want.keys)
    np.testing.assert_array_equal(active, want.active)


def test_a_large_seed_is_taken_as_unsigned() -> None:
    x = np.random.default_rng(0).standard_normal((4, 9)).astype(np.float32)
    keys, _, _ = session_of(2, seed=-5).run(None, {"x": x})
    np.testing.assert_array_equal(keys.view(np.uint64), fingerprint(x, seed=2**64 - 5).keys)


def test_a_wrong_axis_is_one_sentence() -> None:
    session = session_of(2, unit_axis=2)
    with pytest.raises(Exception, match=r"PatternHash: unit_axis is 2, but X has shape \[3, 4\]"):
        session.run(None, {"x": np.zeros((3, 4), np.float32)})
