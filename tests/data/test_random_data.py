"""Random inputs: the same whatever the batch size, and only in sizes that are known."""

from __future__ import annotations

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reluflow.data import InputSpec, Preprocessing, RandomData, open_data
from reluflow.errors import OptionError

TYPES = ["float32", "float16", "float64", ml_dtypes.bfloat16, "int64", "bool", "uint8", "complex64"]


@given(
    n_samples=st.integers(1, 9),
    batch_size=st.integers(1, 10),
    start=st.integers(0, 9),
    seed=st.integers(0, 2**63),
    dtype=st.sampled_from(TYPES),
)
def test_batches_do_not_depend_on_their_size(n_samples, batch_size, start, seed, dtype):
    spec = InputSpec("x", np.dtype(dtype), ("N", 3))
    source = open_data(RandomData(n_samples, seed), [spec])
    whole = source.take(range(n_samples))["x"]
    assert whole.dtype == spec.dtype
    start = min(start, n_samples)
    parts = [batch["x"] for batch in source.batches(batch_size, start)]
    assert np.concatenate([whole[:start], *parts]).tobytes() == whole.tobytes()


def draws(dtype, **options):
    spec = InputSpec("x", np.dtype(dtype), ("N", 1000))
    return open_data(RandomData(20, 5, **options), [spec]).take(range(20))["x"]


def test_values_are_what_the_text_says():
    floats = draws("float32")
    assert abs(floats.mean()) < 0.03 and abs(floats.std() - 1) < 0.03
    assert set(np.unique(draws("uint8"))) == set(range(256))
    assert np.unique(draws("int64")).tolist() == [0, 1]
    assert np.unique(draws("int32", high=5)).tolist() == [0, 1, 2, 3, 4]
    assert np.unique(draws("int32", high={"x": 3})).tolist() == [0, 1, 2]
    assert np.unique(draws("uint8", high={"x": 3})).tolist() == [0, 1, 2]
    assert np.unique(draws("int32", high={"y": 3})).tolist() == [0, 1]
    assert 0.45 < draws("bool").mean() < 0.55
    assert abs(draws("complex64").imag.std() - 1) < 0.05


def test_inputs_and_seeds_draw_differently():
    inputs = [InputSpec(name, np.dtype("f4"), ("N", 8)) for name in ("x", "y")]
    batch = open_data(RandomData(2, 1), inputs).take([0, 1])
    other = open_data(RandomData(2, 2), inputs).take([0, 1])
    rows = [batch["x"][0], batch["x"][1], batch["y"][0], other["x"][0]]
    assert len({row.tobytes() for row in rows}) == 4


def test_sizes_are_taken_by_name_or_by_place():
    spec = InputSpec("x", np.dtype("f4"), ("N", 3, "H", None))
    asked = RandomData(2, dims={"H": 4, "x[3]": 5})
    source = open_data(asked, [spec])
    assert source.take([1])["x"].shape == (1, 3, 4, 5)
    assert source.description.kind == "random" and source.description.source.endswith("seed 0")


def test_the_fingerprint_follows_seed_shape_and_bound():
    def print_of(asked, size=4):
        return open_data(asked, [InputSpec("x", np.dtype("i8"), (None, size))]).description

    base = print_of(RandomData(3, 1))
    assert base == print_of(RandomData(3, 1))
    others = [RandomData(3, 2), RandomData(4, 1), RandomData(3, 1, high=9)]
    prints = {print_of(asked).fingerprint for asked in others} | {base.fingerprint}
    assert len(prints | {print_of(RandomData(3, 1), 5).fingerprint}) == 5


@pytest.mark.parametrize(
    ("shape", "match"),
    [
        (None, "'x' has an unknown rank, so random data cannot be drawn"),
        (("N", "H"), r"wants float32 \[N, H\], and axis 1 has no size; .*dims=\{'H': 224\}"),
        (("N", 3, None), r"axis 2 has no size; .*dims=\{'x\[2\]': 224\}"),
    ],
)
def test_unknown_sizes_are_asked_for(shape, match):
    with pytest.raises(OptionError, match=match):
        open_data(RandomData(2), [InputSpec("x", np.dtype("f4"), shape)])


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"n_samples": 0}, "n_samples is 0; give a whole number of at least 1"),
        ({"n_samples": 2.5}, "n_samples is 2.5"),
        ({"n_samples": 2, "seed": -1}, "seed is -1; give a whole number of at least 0"),
        ({"n_samples": 2, "dims": {"H": 0}}, r"dims\['H'\] is 0"),
        ({"n_samples": 2, "high": 0}, "high is 0"),
        ({"n_samples": 2, "high": {"x": True}}, r"high\['x'\] is True"),
    ],
)
def test_options_that_make_no_sense_are_refused(options, match):
    with pytest.raises(OptionError, match=match):
        RandomData(**options)


def test_a_bound_above_the_type_is_refused():
    spec = InputSpec("x", np.dtype("i1"), ("N", 2))
    with pytest.raises(OptionError, match=r"high is 300 for input 'x', but int8 ends at 127"):
        open_data(RandomData(2, high=300), [spec])


def test_random_data_take_no_preprocessing():
    spec = InputSpec("x", np.dtype("f4"), ("N", 1, 2, 2))
    with pytest.raises(OptionError, match=r"preprocessing was given with random data, seed 0"):
        open_data(RandomData(2), [spec], preprocessing=Preprocessing())
