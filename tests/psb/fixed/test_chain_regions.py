"""Regions of the operators on bytes: where(region, Y, base), and nothing else is written."""

from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
import pytest
from chain_cases import FLOATS, Arrays, Case, one_node, random_bytes, random_conv, random_end
from each_kernel import KERNELS, check_with
from regional.masks import KINDS, mask_of, run_into, spread

from reluflow.psb import encode, pack
from reluflow.psb.fixed import FixedFormat, fixed_conv, fixed_max_pool, from_fixed, to_fixed
from reluflow.sessions import get_library_path
from reluflow.sessions.library import register

pytestmark = pytest.mark.skipif(get_library_path() is None, reason="no native library")

PORTS = {
    "FixedConv": 8,
    "FromFixedConv": 6,
    "FixedAdd": 3,
    "FixedMul": 2,
    "FixedTable": 2,
    "FixedResize": 2,
    "FixedMaxPool": 1,
    "FixedAveragePool": 1,
    "ToFixed": 1,
    "FromFixed": 1,
}
"""The operators that take a region, and how many inputs stand in front of it."""


def open_regional(case: Case, region: np.ndarray, threads: int = 1) -> ort.InferenceSession:
    """Open a session of one operator with inputs `region` and `base`, either of any size."""
    held = {"region": region, "base": case.expected}
    proto = one_node(case.op, {**case.inputs, **held}, case.constants, case.attributes)
    node, graph = proto.graph.node[0], proto.graph
    names = [name for name in node.input if name not in held]
    names += [""] * (PORTS[case.op] - len(names))
    node.input[:] = [*names, *held]
    for value in graph.input:
        if value.name in held:
            value.type.tensor_type.ClearField("shape")
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 4
    register(options)
    return ort.InferenceSession(proto.SerializeToString(), options)


def pixels_of(case: Case) -> tuple[int, ...]:
    """Return the shape of a mask of Y's pixels."""
    y = case.expected.shape
    return (y[0], *y[2:]) if case.op in FLOATS else y[:-1]


def noise_like(y: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return values that Y may hold but that an operator hardly gives."""
    if y.dtype == np.uint8:
        return rng.integers(0, 256, y.shape).astype(np.uint8)
    return rng.normal(size=y.shape).astype(y.dtype)


def check_case(case: Case, seed: int, kinds: tuple[str, ...] = KINDS) -> None:
    """Run an operator in regions of all kinds, with a base and into a buffer that holds one."""
    rng = np.random.default_rng([seed, 11])
    session = None
    for number, kind in enumerate(kinds):
        region = mask_of(kind, pixels_of(case), rng)
        if number % 2:
            region = region.astype(np.uint8) * rng.integers(1, 256, region.shape, np.uint8)
        if number < 2:  # bool, then uint8: one session has one type
            sessions = [open_regional(case, region, threads) for threads in (1, 2)]
            session = (session or []) + [sessions]
        base, other = noise_like(case.expected, rng), noise_like(case.expected, rng)
        where = spread(region != 0, "first" if case.op in FLOATS else "last")
        assert session is not None
        for threaded in session[number % 2]:
            feeds = {**case.inputs, "region": region}
            empty = {**feeds, "base": base.ravel()[:0]}
            found = run_into(threaded, empty, other)
            np.testing.assert_array_equal(found, np.where(where, case.expected, other), case.op)
            found = run_into(threaded, {**feeds, "base": base}, other)
            np.testing.assert_array_equal(found, np.where(where, case.expected, base), case.op)
    assert session is not None
    left_out = {**case.inputs, "region": np.zeros(0, bool), "base": base.ravel()[:0]}
    np.testing.assert_array_equal(run_into(session[0][0], left_out, base), case.expected)


def check_conv(seed: int) -> None:
    """Check one random FixedConv, rows shorter or longer than a run."""
    check_case(random_conv(seed, columns=(0, 0, 37, 90)[seed % 4]), seed)


def check_end(seed: int) -> None:
    """Check one random FromFixedConv."""
    case = random_end(seed, columns=(0, 0, 37, 90)[seed % 4])
    if case.op in PORTS:
        check_case(case, seed)


def check_bytes(seed: int) -> None:
    """Check the operators on bytes that have pixels."""
    for case in random_bytes(seed):
        if case.op in PORTS:
            check_case(case, seed)


def check_others(seed: int) -> None:
    """Check the ends of chains and the largest of windows."""
    rng = np.random.default_rng(seed)
    form = FixedFormat(int(rng.integers(-2, 8)), int(rng.choice([0, 128])))
    sizes = rng.integers(1, 80, int(rng.integers(1, 3)))
    floats = (rng.normal(size=(2, int(rng.integers(1, 70)), *sizes)) * 9).astype(np.float32)
    floats.flat[:3] = np.nan, np.inf, -np.inf
    names = {"exponent": form.exponent, "zero": form.zero}
    of_y, of_x = ({f"{letter}_{key}": value for key, value in names.items()} for letter in "yx")
    for fills in (False, True):
        u = to_fixed(floats, form, fills_quads=fills)
        check_case(Case("ToFixed", {"x": floats}, {}, {**of_y, "fills_quads": int(fills)}, u), seed)
    u = to_fixed(floats, form)
    check_case(Case("FromFixed", {"x": u}, {}, of_x, from_fixed(u, form)), seed)
    kernel = [int(min(3, size)) for size in sizes]
    window: dict[str, Any] = {"strides": rng.integers(1, 3, len(sizes)).tolist()}
    window["pads"] = [k // 2 for k in kernel] * 2
    largest = fixed_max_pool(u, kernel, **window)
    check_case(
        Case("FixedMaxPool", {"x": u}, {}, {"kernel_shape": kernel, **window}, largest), seed
    )


MANY_CHANNELS = (
    ((1, 9, 40, 24), (320, 24, 3, 3), 0, 0),
    ((1, 9, 40, 24), (320, 24, 3, 3), 128, 4),
    ((2, 30, 34, 16), (300, 16, 1, 1), 0, 16),
    ((1, 40, 67, 64), (64, 64, 3, 3), 128, 64),
    ((1, 40, 67, 4), (70, 4, 5, 5), 0, 2),
)
"""x, weights, the zero point of x and samples: several blocks of channels, many pieces of work."""


def check_many_channels(seed: int) -> None:
    """Check convolutions whose blocks are drawn next to their use, or whose pieces are many."""
    rng = np.random.default_rng(seed)
    shape, kernel, zero, samples = MANY_CHANNELS[seed % len(MANY_CHANNELS)]
    x = rng.integers(0, 256, shape).astype(np.uint8)
    code = encode(rng.standard_t(3, kernel).astype(np.float32), p_bits=4)
    pads = [kernel[-1] // 2] * 4
    constants: Arrays = {"w": pack(code), "emax": code.emax, "b": np.zeros(1, np.float32)}
    constants |= {"samples": np.array(samples), "seed": np.array(seed)}
    attributes: dict[str, Any] = {"weight_shape": kernel, "p_bits": 4, "pads": pads}
    attributes |= {"x_exponent": 4, "x_zero": zero, "y_exponent": 1, "y_zero": 128}
    forms = FixedFormat(4, zero), FixedFormat(1, 128)
    given: dict[str, Any] = {"samples": samples, "seed": seed, "pads": pads}
    y = fixed_conv(x, code, x_form=forms[0], y_form=forms[1], **given)
    check_case(Case("FixedConv", {"x": x}, constants, attributes, y), seed)


@pytest.mark.parametrize("kernel", KERNELS)
def test_every_kernel_computes_the_region_alone(kernel: str) -> None:
    script = (
        "from test_chain_regions import check_bytes, check_conv, check_end, check_many_channels\n"
        "from test_chain_regions import check_others\n"
        "for seed in range(48): check_conv(seed)\n"
        "for seed in range(6): check_others(seed)\n"
        "for seed in range(8): check_bytes(seed)\n"
        "for seed in range(32): check_end(seed)\n"
        "for seed in range(5): check_many_channels(seed)\n"
    )
    check_with(kernel, script, Path(__file__).parent)


Y = np.zeros((1, 4, 5, 6), np.uint8)
PIXELS = np.ones((1, 4, 5), bool)
WINDOW: dict[str, Any] = {"kernel_shape": [1, 1]}
FAULTS = [
    (
        "FixedMaxPool",
        WINDOW,
        PIXELS[:, :3],
        Y[:0],
        r"region has shape \[1, 3, 5\], but \[1, 4, 5\]",
    ),
    ("FixedMaxPool", WINDOW, PIXELS[0], Y[:0], r"region has shape \[4, 5\], but \[1, 4, 5\] is"),
    ("FixedMaxPool", WINDOW, PIXELS.astype(np.int32), Y[:0], "but bool or uint8 is wanted"),
    ("FixedMaxPool", WINDOW, PIXELS[:0], Y, "there is no region; give a region, or no base"),
    ("FixedMaxPool", WINDOW, PIXELS, Y[..., :5], r"base has shape \[1, 4, 5, 5\], but that of Y"),
    (
        "FromFixed",
        {},
        PIXELS,
        Y.astype(np.float32),
        r"base has .*, but that of Y, \[1, 6, 4, 5\], is",
    ),
]


@pytest.mark.parametrize(("op", "attributes", "region", "base", "sentence"), FAULTS)
def test_a_wrong_region_is_one_sentence(
    op: str, attributes: dict[str, Any], region: np.ndarray, base: np.ndarray, sentence: str
) -> None:
    session = open_regional(Case(op, {"x": Y}, {}, attributes, base), region)
    with pytest.raises(Exception, match=sentence) as caught:
        session.run(None, {"x": Y, "region": region, "base": base})
    assert "\n" not in str(caught.value).strip()


def test_a_number_without_axes_has_no_region() -> None:
    zero = np.zeros((), np.uint8)
    number = Case("FixedAdd", {"a": zero, "b": zero}, {}, {}, zero)
    session = open_regional(number, PIXELS)
    nothing = {**number.inputs, "region": PIXELS[:0], "base": Y[0, 0, 0, :0]}
    assert session.run(None, nothing)[0] == 0
    with pytest.raises(Exception, match=r"Y has shape \[\], but a region wants an axis of inputs"):
        session.run(None, {**nothing, "region": PIXELS})
