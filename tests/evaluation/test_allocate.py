"""A budget of samples: held, better than equal numbers for all, and stored as measured."""

import json
from itertools import product
from pathlib import Path

import numpy as np
import pytest
import small_models

import reluflow
from reluflow.cli import main
from reluflow.data import open_data
from reluflow.errors import ModelError, OptionError
from reluflow.evaluation import allocate
from reluflow.evaluation.budget.sensitivity import measure_sample_errors
from reluflow.evaluation.run import Runner
from reluflow.graph import (
    Model,
    find_psb,
    load,
    to_psb,
    with_own_samples,
    with_sample_factors,
    with_sampler,
)
from reluflow.sessions import has_library, open_session

ROOT = Path(__file__).resolve().parents[2]
NET = str(ROOT / "models" / "fashion_resnet8.onnx")
IMAGES = str(ROOT / "models" / "fashion_mnist_test_2000.npz")
needs_library = pytest.mark.skipif(not has_library(), reason="many draws take the native library")


@pytest.fixture(scope="module")
def psb() -> Model:
    return to_psb(load(NET)).model


def images(model: Model, n: int, start: int = 0):
    return open_data(np.load(IMAGES)["image"][start : start + n], model.inputs[:1])


def dense() -> Model:
    proto = small_models.dense(seed=1, units=12)
    rng = np.random.default_rng(0)
    for tensor in proto.graph.initializer:
        if tensor.name.startswith("w"):
            values = rng.normal(size=tuple(tensor.dims)).astype(np.float32)
            tensor.raw_data = values.tobytes()
    return to_psb(load(proto)).model


def noise(model: Model, samples: int, seeds: int, source) -> float:
    """Return the energy of the error of draws over that of the outputs."""
    runner = Runner(model, None, None)
    (batch,) = source.batches(source.n_samples)
    exact_session, extra = runner.at(0, 0)
    exact = exact_session.run({**batch, **extra})[0].astype(np.float64)
    total = 0.0
    for seed in range(100, 100 + seeds):
        session, extra = runner.at(samples, seed)
        total += float(np.sum((session.run({**batch, **extra})[0] - exact) ** 2))
    return total / seeds / float(np.sum(exact**2))


@needs_library
@pytest.mark.parametrize("budget", [1, 2, 3.5, 4, 8, 64])
def test_the_budget_is_held_and_the_file_says_so(psb: Model, budget: float) -> None:
    found = allocate(psb, images(psb, 8), budget)
    nodes = find_psb(found.model)
    assert 1 <= found.mean <= budget
    assert found.samples <= budget
    products = [node.products or 0 for node in nodes]
    assert [each.products for each in found.nodes] == products
    drawn = [node.samples(found.samples) for node in nodes]
    assert drawn == [each.samples for each in found.nodes]
    assert [node.sampler for node in nodes] == [each.sampler for each in found.nodes]
    assert np.dot(products, drawn) <= budget * sum(products)


@needs_library
@pytest.mark.parametrize("sampler", [None, "systematic", "binomial"])
@pytest.mark.parametrize("budget", [2, 4])
def test_the_error_is_less_than_with_equal_numbers(
    psb: Model, sampler: str | None, budget: int
) -> None:

    found = allocate(psb, images(psb, 32), budget, sampler=sampler, seeds=2)
    uniform = with_sampler(psb, sampler or ("nearest" if budget < 4 else "systematic")).model
    others = images(psb, 64, 500)
    own, equal = noise(found.model, found.samples, 6, others), noise(uniform, budget, 6, others)
    assert own < 0.8 * equal
    assert found.error < found.uniform


@needs_library
def test_no_choice_within_the_budget_has_less_measured_error() -> None:
    model = dense()
    source = open_data(np.random.default_rng(2).normal(size=(40, 4)).astype("f4"), model.inputs[:1])
    measured = measure_sample_errors(model, source, seeds=4)
    products = np.array([node.products for node in measured.nodes])
    found = allocate(model, source, 3, sampler="systematic", seeds=4)
    sums = [
        sum(measured.errors[row, level] for row, level in enumerate(levels))
        for levels in product(range(len(measured.levels)), repeat=len(products))
        if products @ np.array(measured.levels)[list(levels)] <= 3 * products.sum()
    ]
    assert found.error == pytest.approx(min(sums))


@needs_library
def test_the_measured_error_of_one_operator_is_that_of_a_run() -> None:
    model = dense()
    source = open_data(np.random.default_rng(2).normal(size=(40, 4)).astype("f4"), model.inputs[:1])
    measured = measure_sample_errors(model, source, sampler="nearest")
    own = with_own_samples(model)
    session = open_session(own.model)
    (batch,) = source.batches(40)
    exact = session.run(batch)[0].astype(np.float64)
    for row, node in enumerate(measured.nodes):
        for column, n in enumerate(measured.levels[:3]):
            drawn = open_session(with_sampler(own.model, "nearest").model)
            found = drawn.run({**batch, own.done[node.name]: np.array(n)})[0]
            error = np.sum((found - exact) ** 2) / np.sum(exact**2)
            assert measured.errors[row, column] == pytest.approx(error, rel=1e-6)


@needs_library
def test_few_samples_round_to_nearest_unless_a_sampler_is_given(psb: Model) -> None:
    found = allocate(psb, images(psb, 8), 2)
    assert {each.sampler for each in found.nodes if each.samples < 4} == {"nearest"}
    assert {each.sampler for each in found.nodes if each.samples >= 4} <= {"systematic"}
    drawn = allocate(psb, images(psb, 8), 2, sampler="systematic")
    assert {each.sampler for each in drawn.nodes} == {"systematic"}


@needs_library
def test_batches_and_earlier_factors_do_not_matter(psb: Model) -> None:
    source = images(psb, 12)
    found = allocate(psb, source, 4)
    again = allocate(found.model, source, 4, size=5, sampler="systematic")
    wanted = allocate(psb, source, 4, sampler="systematic")
    assert [each.samples for each in again.nodes] == [each.samples for each in wanted.nodes]
    assert again.error == pytest.approx(wanted.error, rel=0.01)  # rounding of sums


def test_without_the_library_the_draws_are_baked() -> None:
    model = dense()
    source = open_data(np.random.default_rng(2).normal(size=(9, 4)).astype("f4"), model.inputs[:1])
    without = measure_sample_errors(model, source, native=False)
    assert (without.errors[:, 0] > 0).all()
    if has_library():
        found = measure_sample_errors(model, source, native=True)
        np.testing.assert_allclose(without.errors, found.errors, rtol=1e-3, atol=1e-9)


def test_unknown_sizes_are_taken_from_the_data() -> None:
    model = to_psb(load(small_models.convolutional(size="S"))).model
    assert [node.products for node in find_psb(model)] == [None, None]
    x = small_models.integers((3, 2, 7, 7))
    found = allocate(model, open_data(x, model.inputs[:1]), 4, native=False)
    weights = [node.weights - node.zeros for node in find_psb(model)]
    assert [each.products for each in found.nodes] == [weights[0] * 49, weights[1] * 9]


@pytest.mark.parametrize("budget", [0, 0.5, 65, -1, float("nan")])
def test_a_budget_out_of_range_is_refused(psb: Model, budget: float) -> None:
    with pytest.raises(OptionError, match="give a number from 1 to 64"):
        allocate(psb, images(psb, 4), budget)


def test_other_arguments_are_refused_in_a_sentence(psb: Model) -> None:
    with pytest.raises(OptionError, match="sampler is 'other'; accepted are"):
        allocate(psb, images(psb, 4), 4, sampler="other")
    with pytest.raises(OptionError, match="seeds is 0; give a whole number from 1 on"):
        allocate(psb, images(psb, 4), 4, seeds=0)
    with pytest.raises(ModelError, match="has no PSB operator"):
        allocate(load(NET), images(psb, 4), 4)


@needs_library
def test_the_command_writes_the_file_and_inspect_and_eval_tell_of_it(tmp_path, capsys) -> None:
    given, out = tmp_path / "p.onnx", tmp_path / "a.onnx"
    reluflow.convert(NET, given, check=False)
    line = f"psb allocate {given} -o {out} -d {IMAGES} --budget 4 --limit 8"
    assert main([*line.split(), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["mean"] <= 4 and told["samples"] == 4
    assert main(line.split()) == 0
    assert "samples on average at n = 4" in " ".join(capsys.readouterr().out.split())
    assert main(["psb", "inspect", str(out), "--json"]) == 0
    layers = json.loads(capsys.readouterr().out)["layers"]
    assert [layer["factor"] * 4 for layer in layers] == [n["samples"] for n in told["nodes"]]
    assert main(f"psb eval {out} -d {IMAGES} --limit 8 --samples 4 --seeds 1".split()) == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert f"{told['mean']:.2f} at n = 4" in shown


def test_the_command_needs_data(tmp_path, capsys) -> None:
    reluflow.convert(NET, tmp_path / "p.onnx", check=False)
    assert main(["psb", "allocate", str(tmp_path / "p.onnx"), "-o", str(tmp_path / "a.onnx")]) == 2
    assert "give the inputs with --data" in capsys.readouterr().err
    assert not (tmp_path / "a.onnx").exists()


def test_the_cost_of_equal_numbers_is_the_number(psb: Model) -> None:
    plain = reluflow.inspect_psb(psb)
    assert [plain.mean_samples(n) for n in (1, 4, 64)] == [1, 4, 64]
    names = [node.name for node in find_psb(psb)]
    doubled = reluflow.inspect_psb(with_sample_factors(psb, dict.fromkeys(names, 2.0)).model)
    assert [doubled.mean_samples(n) for n in (1, 4, 64)] == [2, 8, 64]
    assert doubled.shift_adds == plain.shift_adds
