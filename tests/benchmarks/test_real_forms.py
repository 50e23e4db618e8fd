"""Made forms of the real networks: kept, taken again, timed again without being measured."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import real_models
from benched.tiny import TASK, inputs, tiny
from real.forms import kept
from real.forms.kept import Forms, origin
from real.forms.retime import times_of
from real.measure import Effort
from real.variants import VARIANTS, Given, Variant

from reluflow.graph import load

FORMS = ("int8_tensor", "psb")


def given_for(path: Path, seed: int = 0) -> Given:
    return Given(load(path), {"x": inputs(False, 4) + np.float32(seed)})


@pytest.fixture
def network(tmp_path: Path) -> Path:
    return tiny(tmp_path / "tiny.onnx")


def test_a_kept_form_is_taken_again_as_it_was(network: Path) -> None:
    variant, forms = VARIANTS["psb"], Forms("tiny", network.parent / "forms")
    first = forms.make("psb", variant, given_for(network))
    again = forms.make("psb", variant, given_for(network))
    assert (first.kept, again.kept) == (False, True)
    assert forms.path("psb").name == "tiny.psb.onnx"
    assert again.build_s == first.build_s > 0
    assert (again.model.sha256, again.model.size_bytes) == (
        first.model.sha256,
        first.model.size_bytes,
    )


def test_without_a_folder_every_form_is_made_and_nothing_written(network: Path) -> None:
    before = list(network.parent.iterdir())
    for _ in range(2):
        assert not Forms("tiny").make("psb", VARIANTS["psb"], given_for(network)).kept
    assert list(network.parent.iterdir()) == before


def test_other_origins_make_the_form_anew(network: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    forms, variant = Forms("tiny", network.parent / "forms"), VARIANTS["int8_tensor"]
    forms.make("a", variant, given_for(network))
    assert not forms.make("a", variant, given_for(network, seed=1)).kept  # other data
    assert not forms.make("a", VARIANTS["int8_channel"], given_for(network, seed=1)).kept
    other = tiny(network.with_name("other.onnx"), seed=1)
    assert not forms.make("a", VARIANTS["int8_channel"], given_for(other, seed=1)).kept
    assert forms.make("a", VARIANTS["int8_channel"], given_for(other, seed=1)).kept
    monkeypatch.setattr(kept, "PACKAGES", ("onnx",))
    assert not forms.make("a", VARIANTS["int8_channel"], given_for(other, seed=1)).kept


def test_the_settings_of_a_form_are_part_of_its_origin(network: Path) -> None:
    given = given_for(network)
    found = [origin(VARIANTS[name], given) for name in ("int8_channel", "int8_tensor")]
    assert [each["settings"]["per_channel"] for each in found] == ["True", "False"]
    assert found[0]["module"] == found[1]["module"]
    here = origin(Variant("here", "psb", lambda given: given.model), given)
    assert here["module"] != found[0]["module"]


def test_a_form_that_was_not_kept_wholly_is_made_anew(network: Path) -> None:
    forms, variant = Forms("tiny", network.parent / "forms"), VARIANTS["psb"]
    for missing in ("tiny.psb.onnx", "tiny.psb.json"):
        forms.make("psb", variant, given_for(network))
        (network.parent / "forms" / missing).unlink()
        assert not forms.make("psb", variant, given_for(network)).kept
        assert forms.make("psb", variant, given_for(network)).kept


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr(sys, "argv", ["benchmarks/real_models.py", *arguments])
    return real_models.main()


@pytest.fixture
def record(network: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the record of a run that timed nothing and kept its forms."""
    monkeypatch.chdir(network.parent)
    monkeypatch.setattr(real_models, "TASKS", {"magika": TASK})
    tiny(Path("magika.onnx"))
    arguments = ("--models", ".", "--quick", "--json", "record.json", "--threads", "--forms", "f")
    assert run(monkeypatch, *arguments, "--variants", *FORMS) == 0
    return Path("record.json")


def rows(record: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(record.read_text("utf-8"))
    return found


RETIME = ("--models", ".", "--json", "record.json", "--forms", "f", "--retime", "--rounds", "1")


def test_times_are_replaced_and_nothing_else(record: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = rows(record)
    assert before["results"]["networks"]["magika"]["times"] == {}
    made = {path: path.read_bytes() for path in Path("f").iterdir()}
    assert len(made) == 2 * len(FORMS)
    assert run(monkeypatch, *RETIME, "--threads", "1") == 0
    after = rows(record)
    row = after["results"]["networks"]["magika"]
    times, by = row.pop("times"), row.pop("timed_by")
    assert set(times["1"]["forms"]) == {"float", "int8_tensor", "psb, 4", "psb, 16"}
    assert by["command"].endswith("--retime --rounds 1 --threads 1") and by["machine"]
    del before["results"]["networks"]["magika"]["times"]
    assert after == before
    assert {path: path.read_bytes() for path in Path("f").iterdir()} == made


def test_only_forms_that_were_measured_are_timed(network: Path) -> None:
    forms = Forms("tiny", network.parent / "forms")
    made = forms.make("psb", VARIANTS["psb"], given_for(network)).model
    variants: dict[str, Any] = {
        "psb": {"sha256": made.sha256, "points": [{"samples": 0}, {"samples": 4}]},
        "int8_channel": {"failed": "it cannot."},
    }
    row = {"sha256": load(network).sha256, "inputs": 4, "variants": variants}
    effort = Effort(rounds=1, threads=(1,))
    found = times_of(network, TASK, row, effort, forms)["1"]["forms"]
    assert set(found) == {"float", "psb, 4", "psb, 16"}


def test_another_form_or_network_than_the_records_is_not_timed(
    record: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept_record = record.read_bytes()
    Path("f/magika.psb.onnx").write_bytes(Path("f/magika.int8_tensor.onnx").read_bytes())
    with pytest.raises(FileNotFoundError, match=r"magika\.psb\.onnx is not the form that the rec"):
        run(monkeypatch, *RETIME)
    Path("f/magika.psb.onnx").unlink()
    with pytest.raises(FileNotFoundError, match="measured; measure it again with --forms"):
        run(monkeypatch, *RETIME)
    tiny(Path("magika.onnx"), seed=1)
    with pytest.raises(FileNotFoundError, match=r"magika\.onnx is not the network that the rec"):
        run(monkeypatch, *RETIME)
    assert record.read_bytes() == kept_record


@pytest.mark.parametrize(
    "arguments",
    [("--json", "r.json"), ("--forms", "f"), ("--forms", "f", "--json", "r.json", "--threads")],
)
def test_what_timing_again_needs_is_said(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...]
) -> None:
    with pytest.raises(SystemExit):
        run(monkeypatch, "--retime", *arguments)
    assert "--retime needs --forms, --json and a number of --threads." in capsys.readouterr().err


def test_a_task_of_several_inputs_is_timed_on_its_first(network: Path) -> None:
    asked: list[tuple[bool, int]] = []

    def watched(calibration: bool, n: int) -> np.ndarray:
        asked.append((calibration, n))
        return inputs(calibration, n)

    row = {"sha256": load(network).sha256, "inputs": 3, "variants": {}}
    effort = Effort(rounds=1, threads=(1,))
    times_of(network, replace(TASK, inputs=watched), row, effort, Forms("tiny", network.parent))
    assert asked == [(False, 3)]
