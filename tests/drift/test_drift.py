"""Drift: patterns that known inputs did not show, thresholds that keep their rate, files."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import onnx
import pytest
import small_models

import reluflow
from reluflow.cli import main
from reluflow.data import open_data
from reluflow.drift import SiteReference, fit_reference, load_reference
from reluflow.drift.alarm import check_rate, group_threshold, input_threshold, interval
from reluflow.drift.reference import choose_sites
from reluflow.errors import DataError, ModelError, OptionError, OutputError
from reluflow.graph import load

RELU = """<ir_version: 8, opset_import: ["" : 17]>
    g (float[N,2,P] x) => (float[N,2,P] y) { y = Relu(x) }"""
SIGNS = np.array([[-1, -1], [-1, 1], [1, -1], [1, 1]], np.float32)
"""The four patterns of two units."""


def inputs(rows: list[list[int]]) -> np.ndarray:
    """Return `(n, 2, positions)` inputs that show these patterns, by number."""
    return np.moveaxis(SIGNS[np.array(rows)], 2, 1).copy()


@pytest.fixture
def relu() -> onnx.ModelProto:
    return onnx.parser.parse_model(RELU)


def test_the_share_of_unseen_patterns_is_counted_by_position(relu: onnx.ModelProto) -> None:
    known = inputs([[0, 1, 1, 0]] * 20)
    held = inputs([[0, 1, 2, 3], [0, 0, 0, 2]] * 50)
    reference = reluflow.fit_drift(relu, known, held_out=held)
    [site] = reference.sites
    assert (site.patterns, site.kept, site.chosen) == (2, 2, True)
    assert reference.shares[:2, 0].tolist() == [0.5, 0.25] and site.held_out == 0.375
    report = reluflow.check_drift(relu, reference, inputs([[2, 2, 3, 1], [1, 1, 1, 1]]), group=1)
    assert report.scores.tolist() == [0.75, 0.0] and report.score == 0.375
    assert report.alarms == (0,) and [each.score for each in report.groups] == [0.75, 0.0]
    assert not report.drift and report.sites[0].share == 0.375
    assert reluflow.check_drift(relu, reference, inputs([[2, 3, 2, 3]] * 40)).drift


def test_only_the_most_frequent_patterns_are_kept(relu: onnx.ModelProto) -> None:
    known = inputs([[0, 0, 0, 1]] * 10 + [[0, 2, 2, 3]] * 4)
    held = inputs([[0, 1, 2, 3]] * 200)
    reference = reluflow.fit_drift(relu, known, held_out=held, most_patterns=2)
    [site] = reference.sites
    assert (site.patterns, site.kept, site.rarest) == (4, 2, 8)
    assert site.held_out == 0.5  # 0 and 1 are kept, 34 and 10 times seen
    assert (
        "2 of 4 patterns are not kept; none of them was seen more than 8 times"
        in (reference.sentences()[-1])
    )


def test_every_fifth_input_is_held_out_whatever_the_batch(relu: onnx.ModelProto) -> None:
    rows = inputs([[n % 4, n % 3] for n in range(103)])
    found = []
    for size in (1, 7, 64):
        options = reluflow.AnalysisOptions(batch_size=size)
        found.append(reluflow.fit_drift(relu, rows, options=options))
    assert {len(each.shares) for each in found} == {20} and found[0].n_inputs == 83
    assert all(np.array_equal(found[0].tables[0], each.tables[0]) for each in found)
    assert all(np.array_equal(found[0].shares, each.shares) for each in found)


def test_a_model_of_fixed_batch_holds_out_whole_batches() -> None:
    proto = onnx.parser.parse_model(RELU.replace("N,2,P", "4,2,2"))
    found = reluflow.fit_drift(proto, inputs([[n % 4, n % 3] for n in range(40)]))
    assert (found.n_inputs, len(found.shares)) == (32, 8)


def test_sites_are_chosen_by_log_odds_and_the_later_of_equals() -> None:
    def chosen(*shares: float) -> int:
        sites = [SiteReference(str(n), 1, 1, 0, share, False) for n, share in enumerate(shares)]
        return [site.chosen for site in choose_sites(sites)].index(True)

    assert chosen(0.0, 0.02, 0.3, 1.0) == 2
    assert chosen(0.05, 0.5) == 0
    assert chosen(0.0, 0.0) == 1


def test_a_site_that_depends_on_the_batch_is_left_out() -> None:
    """The second Relu looks at the mean over the batch: an input alone has no share there."""
    proto = onnx.parser.parse_model("""<ir_version: 8, opset_import: ["" : 17]>
        g (float[N,3] x) => (float[N,3] z)
        { y = Relu(x) m = ReduceMean<axes = [0], keepdims = 1>(y) d = Sub(y, m) z = Relu(d) }""")
    rows = np.random.default_rng(0).normal(size=(500, 3)).astype(np.float32)
    found = reluflow.fit_drift(proto, rows)
    assert [site.site for site in found.sites] == ["y"]
    assert any("Site z is left out: its patterns depend on" in note for note in found.notes)


@pytest.mark.parametrize("law", ["uniform", "shares"])
def test_thresholds_keep_their_rate(law: str) -> None:
    """Over many draws of held-out and new scores, alarms come at the rate that is asked for."""
    random = np.random.default_rng(3)

    def draw(n: int) -> np.ndarray:
        if law == "uniform":
            return random.random(n)
        return random.binomial(49, random.beta(2, 18, n)) / 49  # discrete, skewed

    single, groups, rates = [], [], []
    for _ in range(150):
        held, new = draw(400), draw(3200)
        limit, (low, high) = input_threshold(held, 0.05)
        rate = (new > limit).mean()
        single.append(rate)
        rates.append(rate <= high and (law == "shares" or rate >= low))
        groups.append((new.reshape(100, 32).mean(axis=1) > group_threshold(held, 32, 0.05)).mean())
    assert np.mean(single) < 0.055 and (law == "shares" or np.mean(single) > 0.045)
    assert 0.04 < np.mean(groups) < 0.06
    assert np.mean(rates) > 0.9


def test_a_large_group_is_as_sure_as_the_held_out_inputs_allow() -> None:
    random = np.random.default_rng(1)
    draws = [(random.random(300), random.random(3000).mean()) for _ in range(400)]
    alarms = [mean > group_threshold(held, 3000, 0.05) for held, mean in draws]
    assert 0.025 < np.mean(alarms) < 0.08


def test_an_interval_holds_the_mean() -> None:
    random = np.random.default_rng(2)
    found = [interval(random.beta(2, 18, 40)) for _ in range(400)]
    assert 0.9 < np.mean([low <= 0.1 <= high for low, high in found]) < 0.99
    assert interval(np.array([0.3])) == (0.0, 1.0)


def test_a_rate_that_too_few_inputs_cannot_tell_is_refused() -> None:
    assert input_threshold(np.arange(99.0), 0.01)[0] == 98
    with pytest.raises(OptionError, match=r"0.01, which 98 held-out .* 0.01 or more, or fit .* 99"):
        input_threshold(np.arange(98.0), 0.01)
    for rate in (0, 0.6, float("nan")):
        with pytest.raises(OptionError, match=r"from 0\.0001 to 0\.5"):
            check_rate(rate)


def test_a_reference_comes_back_from_its_file(relu: onnx.ModelProto, tmp_path: Path) -> None:
    path = tmp_path / "ref"  # no suffix is added
    made = reluflow.fit_drift(relu, inputs([[n % 4, n % 3] for n in range(600)]), path)
    read = load_reference(path)
    assert [entry.name for entry in tmp_path.iterdir()] == ["ref"]
    assert read.to_dict() == made.to_dict() and read.notes == made.notes
    assert all(map(np.array_equal, read.tables, made.tables))
    new = inputs([[1, 2], [3, 0]])
    both = [reluflow.check_drift(relu, each, new).to_dict() for each in (made, path)]
    assert both[0] == both[1]


@pytest.mark.parametrize("damage", ["cut", "text", "other", "version", "table", "share", "part"])
def test_a_damaged_reference_is_refused(damage: str, relu: onnx.ModelProto, tmp_path: Path) -> None:
    path = tmp_path / "r.npz"
    reluflow.fit_drift(relu, inputs([[n % 4, n % 3] for n in range(600)]), path)
    with np.load(path) as file:
        arrays = dict(file)
    told = json.loads(str(arrays["told"]))
    if damage == "cut":
        path.write_bytes(path.read_bytes()[:-300])
    elif damage == "text":
        path.write_text("no archive")
    else:
        if damage == "other":
            told["format"] = "mine"
        elif damage == "version":
            told["version"] = 99
        elif damage == "table":
            arrays["table_0"] = arrays["table_0"][::-1]
        elif damage == "share":
            arrays["shares"] = arrays["shares"] + 2
        else:
            del arrays["table_0"]
        np.savez(path, **(arrays | {"told": np.array(json.dumps(told))}))
    with pytest.raises(OutputError, match=r"cannot be read as one .*; make one with"):
        load_reference(path)


def test_another_model_is_refused(tmp_path: Path) -> None:
    x = small_models.integers((600, 4)).astype(np.float32)
    one, other = small_models.dense(seed=0), small_models.dense(seed=1)
    reference = reluflow.fit_drift(one, x)
    with pytest.raises(ModelError, match=r"made for '<memory>' .*, and this model is another one"):
        reluflow.check_drift(other, reference, x)


def test_other_external_weights_are_another_model(tmp_path: Path) -> None:
    x = small_models.integers((600, 4)).astype(np.float32)
    path = tmp_path / "m.onnx"
    onnx.save(
        small_models.dense(), path, save_as_external_data=True, location="w", size_threshold=0
    )
    reference = reluflow.fit_drift(path, x)
    assert reluflow.check_drift(path, reference, x).n_inputs == 600
    weights = bytearray((tmp_path / "w").read_bytes())
    weights[0] ^= 1
    (tmp_path / "w").write_bytes(weights)
    with pytest.raises(ModelError, match="another one"):
        reluflow.check_drift(path, reference, x)
    os.remove(tmp_path / "w")
    with pytest.raises(ModelError):
        reluflow.check_drift(path, reference, x)


def test_what_cannot_be_done_is_said(relu: onnx.ModelProto) -> None:
    rows = inputs([[n % 4, n % 3] for n in range(600)])
    model = load(relu)
    with pytest.raises(DataError, match="the data hold 9 inputs, of which a fifth"):
        fit_reference(model, open_data(rows[:9], model.inputs))
    with pytest.raises(DataError, match="can be read once only, and every fifth"):
        reluflow.fit_drift(relu, iter([rows]))
    with pytest.raises(OptionError, match="most_patterns is 0; give a whole number from 1"):
        reluflow.fit_drift(relu, rows, most_patterns=0)
    reference = reluflow.fit_drift(relu, iter([rows]), held_out=rows)
    with pytest.raises(OptionError, match="sites names 'q', which the reference does not have"):
        reluflow.check_drift(relu, reference, rows, sites=["q"])
    with pytest.raises(OptionError, match="group is 0; give a whole number"):
        reluflow.check_drift(relu, reference, rows, group=0)
    nan = reluflow.check_drift(relu, reference, np.full((2, 2, 2), np.nan, np.float32))
    assert "Site y has 8 values that are NaN" in nan.notes[0]


def test_no_site_by_input_is_said() -> None:
    """Time comes before the batch: patterns of one input are not adjacent."""
    proto = onnx.parser.parse_model("""<ir_version: 8, opset_import: ["" : 17]>
        g (float[N,3,2] x) => (float[3,N,2] y)
        { t = Transpose<perm = [1, 0, 2]>(x) y = Relu(t) }""")
    rows = np.random.default_rng(0).normal(size=(50, 3, 2)).astype(np.float32)
    with pytest.raises(ModelError, match=r"no site has patterns .* set batch_size to 1"):
        reluflow.fit_drift(proto, rows)
    options = reluflow.AnalysisOptions(batch_size=1)
    assert reluflow.fit_drift(proto, rows, options=options).n_inputs == 40


def test_shipped_images_and_noise(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The command line: exit code 0 without drift, 3 with it; JSON holds what is printed."""
    models = Path(__file__).parents[2] / "models"
    images = np.load(models / "fashion_mnist_test_2000.npz")["image"]
    noise = 0.1 * np.random.default_rng(0).standard_normal((150, 1, 28, 28))
    np.save(tmp_path / "known.npy", images[:1500])
    np.save(tmp_path / "new.npy", images[1500:])
    np.save(tmp_path / "noisy.npy", np.clip(images[:150] + noise, 0, 1).astype(np.float32))
    model, ref = str(models / "fashion_resnet8.onnx"), str(tmp_path / "ref.npz")
    fit = ["drift", "fit", model, "--data", str(tmp_path / "known.npy"), "-o", ref]
    assert main(fit) == 0
    assert "held-out inputs" in capsys.readouterr().out
    check = ["drift", "check", model, "-r", ref, "--json", "-d"]
    assert main([*check, str(tmp_path / "new.npy")]) == 0
    told = json.loads(capsys.readouterr().out)
    assert not told["drift"] and len(told["scores"]) == 500 and len(told["alarms"]) < 25
    assert main([*check, str(tmp_path / "noisy.npy")]) == 3
    told = json.loads(capsys.readouterr().out)
    assert told["drift"] and len(told["alarms"]) > 120 and all(g["alarm"] for g in told["groups"])
    assert main(["drift", "fit", model, "-o", ref]) == 2
    assert main(["drift", "check", model, "-r", ref]) == 2
    before = Path(ref).read_bytes()
    assert main([*fit[:4], ref, "-o", ref]) == 2
    assert main([*fit[:-1], str(tmp_path / "no" / "ref.npz")]) == 2
    error = capsys.readouterr().err
    assert "would replace" in error and "cannot be written" in error
    assert Path(ref).read_bytes() == before
