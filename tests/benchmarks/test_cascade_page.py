"""docs/attention.md holds the kept record of the cascades, and they are measured as they run."""

from __future__ import annotations

import json
from pathlib import Path

import cascade
import numpy as np
import pytest
from cascades.measure import ACCEPTED, COVERAGES, Bench, measure
from cascades.networks import Network

from reluflow.attention import (
    CascadeOptions,
    measure_cascade,
    open_pass,
    rival_ratio,
    threshold_for_loss,
)
from reluflow.data import open_data
from reluflow.graph import load

KEPT = json.loads(cascade.RECORD.read_text("utf-8"))


def test_the_page_is_what_the_record_gives() -> None:
    page = cascade.PAGE.read_text("utf-8")
    assert cascade.fill(page, KEPT) == page, "run python benchmarks/cascade.py --only-page"
    cascades = page[page.index("<!-- cascades -->") : page.index("<!-- /cascades -->")]
    assert cascades.count("| resnet8 |") == sum(
        row["network"] == "fashion_resnet8" for row in KEPT["results"]
    )


def test_the_kept_point_is_the_least_coverage_within_the_loss() -> None:
    for row in KEPT["results"]:
        within = [point for point in row["points"] if point["loss_points"] <= 100 * ACCEPTED + 1e-6]
        assert row["kept"] == min(within, key=lambda point: point["coverage"])
        assert row["points"][-1]["coverage"] == 1


def test_an_empty_page_is_filled() -> None:
    empty = "<!-- cascades --><!-- /cascades -->\n<!-- made --><!-- /made -->"
    filled = cascade.fill(empty, KEPT)
    assert KEPT["command"] in filled and "EfficientNet-Lite0" in filled


def test_what_halves_keep_has_columns_of_its_own() -> None:
    bare = [{key: row[key] for key in row if key != "halves"} for row in KEPT["results"]]
    rows = [{**row, "halves": row["points"][3]} for row in bare]
    plain, wide = cascade.table(bare), cascade.table(rows)
    assert "on the other half" not in plain and "on the other half" in wide
    for line, row in zip(wide.splitlines()[2:], rows, strict=True):
        point = row["points"][3]
        assert line.endswith(
            f"| {100 * point['coverage']:.1f} | {point['loss_points']:.2f} | {point['speed']:.2f} |"
        )


MODELS = Path(__file__).parents[2] / "models"


@pytest.mark.parametrize("labelled", [True, False])
@pytest.mark.parametrize("unsure", ["margin", "ratio"])
def test_a_cascade_is_measured_as_the_library_does(unsure: str, labelled: bool) -> None:
    kept = np.load(MODELS / "fashion_mnist_test_2000.npz")
    images, labels = kept["image"][:80], kept["label"][:80]
    small, large = (load(MODELS / f"fashion_{name}.onnx") for name in ("dsconv", "resnet8"))
    half = np.arange(80) % 2 == 0
    forms = {"float": large, "bytes": small}
    net = Network(forms, images, labels if labelled else None, half, 20)
    found = measure(Bench(net, 40, 1), unsure, ("bytes", None), ("float", None))
    options = CascadeOptions((None, None), measure=unsure, coverages=COVERAGES)
    source = open_data({"image": images}, large.inputs)
    expected = measure_cascade(
        small, large, source, labels if labelled else None, float_model=large, options=options
    )
    assert found["metric"] == expected.metric
    assert [p["value"] for p in found["points"]] == [p.value for p in expected.points]
    assert [p["coverage"] for p in found["points"]] == [p.coverage for p in expected.points]
    assert all(p["speed"] > 0 and p["shift_adds"] is None for p in found["points"])
    assert found["fine"] == expected.fine.value and found["coarse"] == expected.coarse.value


def test_thresholds_come_from_the_other_half() -> None:
    images = np.load(MODELS / "fashion_mnist_test_2000.npz")["image"][:80]
    forms = {name: load(MODELS / f"fashion_{name}.onnx") for name in ("resnet8", "dsconv")}
    scores = {
        name: open_pass(model).run({"image": images})[0][0]["logits"]
        for name, model in forms.items()
    }
    small, large = (scores[name].argmax(axis=1) for name in ("dsconv", "resnet8"))
    half = np.arange(80) < 40
    # keeping pass 1 loses nothing in the first half, and whatever differs in the second
    labels = np.where(half, small, large)
    net = Network({"float": forms["resnet8"], "bytes": forms["dsconv"]}, images, labels, half, 20)
    found = measure(Bench(net, 20, 1), "ratio", ("bytes", None), ("float", None))["halves"]
    unsure = rival_ratio(scores["dsconv"])
    harmed = (small != large)[~half]
    assert harmed.any()
    threshold = threshold_for_loss(unsure[~half], harmed, ACCEPTED, None)
    gone = np.where(half, unsure > threshold, unsure > unsure[half].max())
    assert found["coverage"] == gone.mean()
    assert found["value"] == (np.where(gone, large, small) == labels).mean()
