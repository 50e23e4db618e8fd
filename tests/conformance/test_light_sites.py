"""The site lists of the nine light architectures equal the ones derived by hand."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from networks import light

from reluflow.graph import SwitchSite, find_sites, load

TABLE = json.loads(Path(__file__).with_name("light_sites.json").read_text(encoding="utf-8"))
SMALL = ["squeezenet", "shufflenet", "inception_v1", "inception_v2", "densenet121", "resnet50"]


def as_row(site: SwitchSite, rank: int) -> dict[str, object]:
    return {
        "op": site.op,
        "node": site.name,
        "tensor": site.tensor,
        "threshold": site.threshold,
        "unit_axis": site.unit_axis % rank,
        "units": site.units,
    }


def expected_rows(name: str) -> tuple[list[dict[str, object]], list[int]]:
    sites = TABLE[name]["sites"]
    keys = ("op", "node", "tensor", "threshold", "unit_axis", "units")
    return [{key: site[key] for key in keys} for site in sites], [site["rank"] for site in sites]


def compare(name: str, source: Path | onnx.ModelProto) -> None:
    expected, ranks = expected_rows(name)
    found = find_sites(load(source))
    assert len(found) == TABLE[name]["count"], TABLE[name]["why"]
    assert [as_row(site, rank) for site, rank in zip(found, ranks, strict=True)] == expected
    assert all(site.scope == "" and not site.smooth and not site.untappable for site in found)


def test_the_table_covers_what_the_package_ships() -> None:
    assert sorted(light.paths()) == sorted(TABLE)


@pytest.mark.parametrize("name", sorted(TABLE))
def test_sites_of_the_file_as_shipped(name: str) -> None:
    compare(name, light.paths()[name])


@pytest.mark.parametrize("name", [*SMALL, "bvlc_alexnet"])
def test_sites_with_random_weights(name: str) -> None:
    compare(name, light.with_random_weights(light.paths()[name], seed=1))


@pytest.mark.parametrize("name", SMALL)
def test_random_weights_give_answers_that_depend_on_the_image(name: str) -> None:
    model = light.with_random_weights(light.paths()[name], seed=0, batch=2)
    onnx.checker.check_model(model)
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    session = ort.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    (answer,) = session.run(None, light.random_input(model, seed=1))
    assert answer.shape[:2] == (2, 1000)
    assert np.isfinite(answer).all()
    assert answer.std() > 0
    assert not np.array_equal(answer[0], answer[1])


def test_the_same_seed_gives_the_same_model() -> None:
    path = light.paths()["squeezenet"]
    first, again, other = (light.with_random_weights(path, seed) for seed in (3, 3, 4))
    assert first.SerializeToString() == again.SerializeToString()
    assert first.SerializeToString() != other.SerializeToString()
