"""PsbConv against the numpy oracle: the same bits for every kernel and number of threads."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
from networks.psb import KERNELS, assert_same_bits, open_native, psb_node, run_psb

from reluflow.psb import conv, encode, pack

SAMPLERS = ["systematic", "binomial", "nearest"]

# (x shape, weight shape, attributes). A new case is a new row.
ROWS: list[tuple[tuple[int, ...], tuple[int, ...], dict[str, Any]]] = [
    ((1, 1, 1, 1), (1, 1, 1, 1), {}),
    ((1, 3, 9, 8), (5, 3, 3, 3), {"pads": [1, 1, 1, 1]}),
    ((2, 64, 7, 7), (64, 64, 3, 3), {"pads": [1, 1, 1, 1]}),
    ((2, 16, 7, 9), (70, 16, 3, 2), {"strides": [2, 1], "dilations": [1, 2], "pads": [0, 2, 1, 0]}),
    ((1, 200, 5, 5), (33, 200, 1, 1), {"strides": [2, 2]}),
    ((3, 129, 4, 6), (17, 129, 1, 1), {}),
    ((1, 3, 23, 23), (64, 3, 7, 7), {"strides": [2, 2], "pads": [3, 3, 3, 3]}),
    ((1, 5, 10, 11), (6, 5, 4, 4), {"strides": [3, 2], "auto_pad": "SAME_UPPER"}),
    ((1, 5, 10, 11), (6, 5, 4, 4), {"strides": [2, 3], "auto_pad": "SAME_LOWER"}),
    ((1, 5, 10, 11), (6, 5, 4, 4), {"auto_pad": "VALID"}),
    ((2, 8, 12, 37), (8, 1, 3, 3), {"group": 8, "pads": [1, 1, 1, 1]}),
    ((1, 8, 12, 12), (16, 1, 3, 3), {"group": 8, "pads": [1, 1, 1, 1], "strides": [2, 2]}),
    ((1, 4, 14, 14), (4, 1, 9, 9), {"group": 4, "pads": [4, 4, 4, 4]}),
    ((1, 12, 6, 6), (90, 4, 3, 3), {"group": 3, "pads": [1, 1, 1, 1]}),
    ((1, 40, 5, 5), (20, 40, 3, 3), {"x_bits": 16, "pads": [1, 1, 1, 1]}),
    ((1, 6, 5, 5), (4, 6, 3, 3), {"x_bits": 2}),
    ((2, 5, 33), (7, 5, 3), {"pads": [1, 1], "strides": [2]}),
    ((1, 1, 400), (32, 1, 80), {"strides": [4]}),
    ((1, 64, 40, 41), (9, 64, 3, 3), {"pads": [1, 1, 1, 1], "strides": [2, 1]}),
    ((2, 200, 30, 30), (66, 200, 1, 1), {}),
    ((2, 6, 30), (6, 1, 5), {"group": 6, "pads": [4, 4], "dilations": [2]}),
    ((1, 6, 7, 7), (6, 1, 5, 5), {"group": 6, "pads": [2, 2, 2, 2]}),
    ((1, 6, 15, 28), (6, 1, 5, 5), {"group": 6, "pads": [2, 2, 2, 2], "strides": [2, 2]}),
    ((1, 3, 40, 112), (3, 1, 3, 3), {"group": 3, "pads": [1, 1, 1, 1]}),
    ((1, 3, 20, 20), (3, 1, 3, 3), {"group": 3, "pads": [2, 2, 2, 2], "dilations": [2, 2]}),
    ((1, 96, 14, 14), (70, 96, 3, 3), {"pads": [1, 1, 1, 1]}),
    ((1, 9, 12, 12), (12, 3, 3, 3), {"group": 3, "pads": [1, 2, 1, 2], "dilations": [1, 2]}),
]
IDS = [f"{x}-{w}-{'-'.join(a) or 'plain'}" for x, w, a in ROWS]


def made(row: int, p_bits: int) -> tuple[Any, ...]:
    x_shape, w_shape, attributes = ROWS[row]
    rng = np.random.default_rng(row)
    x = rng.standard_normal(x_shape).astype(np.float32)
    w = rng.standard_normal(w_shape) * 2.0 ** rng.integers(
        -3, 4, (w_shape[0], *[1] * (len(w_shape) - 1))
    )
    w[rng.random(w_shape) < 0.1] = 0
    bias = rng.standard_normal(w_shape[0]).astype(np.float32) if row % 2 else None
    return x, encode(w, p_bits=p_bits), bias, dict(attributes)


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("row", range(len(ROWS)), ids=IDS)
def test_every_sampler_is_equal_to_the_bit(
    row: int, kernel: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RELUFLOW_KERNEL", kernel)
    x, code, bias, attributes = made(row, p_bits=(4, 16, 1, 8)[row % 4])
    for sampler in SAMPLERS:
        options = attributes | {"sampler": sampler, "stream": row}
        session = open_native(psb_node("PsbConv", code, bias, rank=x.ndim, **options), row % 2 + 1)
        for n in (0, 1, 4, 64):
            want = conv(x, code, bias, samples=n, seed=row - 5, **options)
            assert_same_bits(run_psb(session, x, n, row - 5), want)


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("kernel", KERNELS)
def test_every_n_is_equal_to_the_bit(
    kernel: str, threads: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RELUFLOW_KERNEL", kernel)
    x, code, bias, attributes = made(3, p_bits=8)
    session = open_native(psb_node("PsbConv", code, bias, rank=4, **attributes), threads)
    for n in (0, 1, 2, 4, 8, 16, 32, 64):
        for seed in (0, 2**40 + 1, -1):
            want = conv(x, code, bias, samples=n, seed=seed, **attributes)
            assert_same_bits(run_psb(session, x, n, seed), want)


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("row", [0, 1, 3, 10, 13, 16])
def test_draws_per_product_are_equal_to_the_bit(
    row: int, kernel: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RELUFLOW_KERNEL", kernel)
    x, code, bias, attributes = made(row, p_bits=6)
    for sampler in SAMPLERS:
        options = attributes | {"sampler": sampler, "draws": "product", "stream": 2}
        session = open_native(psb_node("PsbConv", code, bias, rank=x.ndim, **options), 2)
        want = conv(x, code, bias, samples=2, seed=9, **options)
        assert_same_bits(run_psb(session, x, 2, 9), want)


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize(
    "activation",
    [
        {"activation": "relu"},
        {"activation": "clip", "clip_min": 0.0, "clip_max": 6.0},
        {"activation": "clip", "clip_min": -0.5, "clip_max": 0.25, "x_exponent": 9},
        {"activation": "clip", "clip_max": 0.0},
        {"x_exponent": 101},
        {"x_exponent": -(2**40)},
    ],
    ids=str,
)
def test_fused_activations_are_equal_to_the_bit(
    activation: dict[str, Any], kernel: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RELUFLOW_KERNEL", kernel)
    for row in (1, 11):
        x, code, bias, attributes = made(row, p_bits=4)
        options = attributes | activation
        session = open_native(psb_node("PsbConv", code, bias, rank=4, **options), 2)
        want = conv(x, code, bias, samples=4, seed=1, **options)
        assert_same_bits(run_psb(session, x, 4, 1), want)


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("row", range(len(ROWS)), ids=IDS)
def test_an_added_z_is_equal_to_the_bit(
    row: int, kernel: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RELUFLOW_KERNEL", kernel)
    x, code, bias, attributes = made(row, p_bits=4)
    draws = "product" if row in (1, 10) else "run"
    for activation in ("none", "relu", "clip"):
        options = attributes | {"activation": activation, "clip_max": 0.5, "draws": draws}
        model = psb_node("PsbConv", code, bias, rank=x.ndim, z=True, **options)
        without = conv(x, code, bias, samples=4, seed=2, **options)
        z = np.random.default_rng(row).standard_normal(without.shape).astype(np.float32)
        want = conv(x, code, bias, z, samples=4, seed=2, **options)
        assert (want != without).any()
        assert_same_bits(run_psb(open_native(model, row % 2 + 1), x, 4, 2, z=z), want)


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("scale", [0.0, 1e-42, 1e-30, 1.0, 3e38])
def test_odd_activations_are_equal_to_the_bit(
    scale: float, kernel: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RELUFLOW_KERNEL", kernel)
    x, code, bias, attributes = made(1, p_bits=4)
    with np.errstate(over="ignore"):
        x = x * np.float32(scale)
    x[0, 0, 0, :4] = [np.nan, np.inf, -np.inf, -0.0]
    session = open_native(psb_node("PsbConv", code, bias, rank=4, **attributes))
    want = conv(x, code, bias, samples=16, seed=1, **attributes)
    assert_same_bits(run_psb(session, x, 16, 1), want)


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("gain", [2.0**-140, 2.0**-126, 2.0**120])
def test_extreme_weights_are_equal_to_the_bit(
    gain: float, kernel: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RELUFLOW_KERNEL", kernel)
    rng = np.random.default_rng(1)
    code = encode(rng.standard_normal((20, 6, 3, 3)) * gain, p_bits=4)
    for size in (1e-20, 1.0, 1e20):
        x = (rng.standard_normal((1, 6, 8, 8)) * size).astype(np.float32)
        session = open_native(psb_node("PsbConv", code, rank=4))
        assert_same_bits(run_psb(session, x, 4), conv(x, code, samples=4))


@pytest.mark.parametrize("kernel", KERNELS)
def test_the_largest_sums_do_not_overflow(kernel: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RELUFLOW_KERNEL", kernel)
    code = encode(np.full((18, 256, 1, 1), 1.99999), p_bits=16)
    x = np.full((1, 256, 3, 3), 1.0, np.float32)
    x[:, :, 1] = -1
    for x_bits in (12, 16):
        session = open_native(psb_node("PsbConv", code, rank=4, x_bits=x_bits))
        want = conv(x, code, samples=64, x_bits=x_bits)
        assert np.abs(want).min() > 500
        assert_same_bits(run_psb(session, x, 64), want)


@pytest.mark.parametrize("kernel", KERNELS)
def test_weights_that_are_no_constant_are_read_at_each_run(
    kernel: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RELUFLOW_KERNEL", kernel)
    x, code, bias, attributes = made(1, p_bits=4)
    other = encode(np.random.default_rng(8).standard_normal(code.shape), p_bits=4)
    session = open_native(psb_node("PsbConv", code, bias, rank=4, constant=False, **attributes))
    for each in (code, other):
        feeds = {"w": pack(each), "emax": each.emax}
        want = conv(x, each, bias, samples=8, seed=1, **attributes)
        assert_same_bits(run_psb(session, x, 8, 1, **feeds), want)


def test_an_empty_batch_gives_an_empty_result() -> None:
    _, code, bias, attributes = made(1, p_bits=4)
    session = open_native(psb_node("PsbConv", code, bias, rank=4, **attributes))
    assert run_psb(session, np.zeros((0, 3, 9, 8), np.float32), 4).shape == (0, 5, 9, 8)


def test_one_session_serves_several_threads() -> None:
    x, code, bias, attributes = made(2, p_bits=4)
    session = open_native(psb_node("PsbConv", code, bias, rank=4, **attributes), 2)
    want = [conv(x, code, bias, samples=4, seed=s, **attributes) for s in range(3)]

    def work(i: int) -> bool:
        return bool((run_psb(session, x, 4, i % 3) == want[i % 3]).all())

    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(work, range(60)))
