"""Site lists and taps on the output of real exporters, against lists made by hand.

`exporters/sites.json` holds, for each file, the switch sites in graph order. A field may be a
list: any of its values is right (two names for one idiom, a tensor behind an Identity); a list of
ops means that several nodes spell the switch, so that its name may be any of theirs. "or"
holds other right pairs of tensor and threshold. An "optional" site repeats what the site before
it says (the Relu(-x) of a spelled PRelu): a list may have it or leave it out; if it is there, it
must be as the table says. "fused" lists nodes that hide a switch: a list may have them only as
untappable, and where it says how many units they have it must be right.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import pytest

from reluflow.graph import SwitchSite, find_sites, load, tap

FOLDER = Path(__file__).with_name("files")
TABLE: dict[str, dict[str, Any]] = json.loads((FOLDER / "sites.json").read_text(encoding="utf-8"))
NAMES = sorted(TABLE)
OPEN = {"num_channels": 3, "height": 16, "width": 16}
"""Open sizes of the image transformer, which takes no others."""
NUMPY_TYPES = {"tensor(float)": np.float32, "tensor(float16)": np.float16}


def session(model: bytes) -> ort.InferenceSession:
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    return ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def random_feeds(runner: ort.InferenceSession) -> dict[str, np.ndarray]:
    """Two samples of standard normal input, or of tokens and masks; a loop runs 3 times."""
    rng = np.random.default_rng(0)
    feeds = {}
    for value in runner.get_inputs():
        sizes = [
            size if isinstance(size, int) else OPEN.get(str(size), 6 if axis else 2)
            for axis, size in enumerate(value.shape)
        ]
        if value.type == "tensor(int64)":
            feeds[value.name] = rng.integers(0, 2, sizes) if sizes else np.array(3, np.int64)
        else:
            feeds[value.name] = rng.standard_normal(sizes).astype(NUMPY_TYPES[value.type])
    return feeds


def read(name: str) -> bytes:
    return (FOLDER / f"{name}.onnx").read_bytes()


def any_of(value: object) -> list[object]:
    return value if isinstance(value, list) else [value]


def fits(site: SwitchSite, row: dict[str, Any]) -> bool:
    """Is this site the one of the table's row?"""
    places = [(tensor, row["threshold"]) for tensor in any_of(row["tensor"])]
    places += [(other["tensor"], other["threshold"]) for other in row.get("or", [])]
    named = isinstance(row["op"], str) and not site.scope
    return (
        site.op in any_of(row["op"])
        and (not named or site.name in (row["node"], row["output"]))
        and site.scope == row.get("scope", "")
        and site.units in any_of(row["units"])
        and site.unit_axis % row["rank"] == row["unit_axis"]
        and any(
            site.tensor == tensor and site.threshold == pytest.approx(threshold, abs=1e-5)
            for tensor, threshold in places
        )
    )


def assert_same_list(found: list[SwitchSite], rows: list[dict[str, Any]], why: str) -> None:
    """Walk both lists in order; only optional rows may be skipped."""
    left = list(rows)
    for site in found:
        while left and left[0].get("optional") and not fits(site, left[0]):
            left.pop(0)
        assert left, f"{site} is one too many ({why})"
        assert fits(site, left[0]), f"{site}\nis not\n{left[0]}\n({why})"
        left.pop(0)
    missing = [row for row in left if not row.get("optional")]
    assert not missing, f"missing: {missing} ({why})"


def check(name: str, key: str, found: list[SwitchSite]) -> None:
    """Compare the tappable sites scope by scope; inside a scope the order counts."""
    rows = sorted(TABLE[name][key], key=lambda row: row.get("scope", ""))
    seen = sorted((site for site in found if not fused(name, site)), key=lambda site: site.scope)
    assert_same_list(seen, rows, TABLE[name]["why"])


def fused(name: str, site: SwitchSite) -> bool:
    """Is this site a switch inside a fused node, said to be untappable?"""
    units = {row["node"]: row["units"] for row in TABLE[name].get("fused", [])}
    if site.name not in units:
        return False
    assert site.untappable
    assert site.units in (None, units[site.name]), f"{site}: {units[site.name]} units"
    return True


def test_every_file_has_a_list() -> None:
    assert sorted(path.stem for path in FOLDER.glob("*.onnx")) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_the_table_fits_the_file(name: str) -> None:
    """Every tensor of the table has the rank and the units it says, when the file runs."""
    rows = [row for key in ("sites", "smooth") for row in TABLE[name][key] if "scope" not in row]
    shown = {str(tensor): row for row in rows for tensor in any_of(row["tensor"])}
    model = onnx.load_from_string(read(name))
    own = {value.name for value in [*model.graph.input, *model.graph.output]}
    model.graph.output.extend(onnx.ValueInfoProto(name=name) for name in shown if name not in own)
    runner = session(model.SerializeToString())
    feeds = random_feeds(runner)
    outputs = [value.name for value in runner.get_outputs()]
    values = feeds | dict(zip(outputs, runner.run(None, feeds), strict=True))
    for tensor, row in shown.items():
        shape = values[tensor].shape
        assert len(shape) == row["rank"], tensor
        assert shape[row["unit_axis"]] in any_of(row["units"]), tensor


@pytest.mark.parametrize("name", NAMES)
def test_sites(name: str) -> None:
    found = list(find_sites(load(read(name))))
    check(name, "sites", found)
    assert not any(site.smooth for site in found)
    assert len({(site.scope, site.name) for site in found}) == len(found)


@pytest.mark.parametrize("name", NAMES)
def test_smooth_sites(name: str) -> None:
    found = find_sites(load(read(name)), smooth=True)
    check(name, "sites", [site for site in found if not site.smooth])
    check(name, "smooth", [site for site in found if site.smooth])
    assert all(site.threshold == 0 for site in found if site.smooth)


@pytest.mark.parametrize("name", NAMES)
def test_a_path_gives_the_same_sites(name: str) -> None:
    assert find_sites(load(FOLDER / f"{name}.onnx")) == find_sites(load(read(name)))


@pytest.mark.parametrize("name", NAMES)
def test_taps_leave_the_model_as_it_was(name: str) -> None:
    before = read(name)
    model = load(before)
    result = tap(model, find_sites(model, smooth=True))
    after = result.model.serialize()
    proto, original = onnx.load_from_string(after), onnx.load_from_string(before)
    onnx.checker.check_model(proto)
    assert proto.ir_version == original.ir_version
    opset_before = {entry.domain: entry.version for entry in original.opset_import}
    opset_after = {entry.domain: entry.version for entry in proto.opset_import}
    assert opset_after[""] == opset_before[""]
    assert opset_after.items() <= opset_before.items()
    plain, tapped = session(before), session(after)
    feeds = random_feeds(plain)
    names = [value.name for value in plain.get_outputs()]
    for left, right in zip(plain.run(names, feeds), tapped.run(names, feeds), strict=True):
        if isinstance(left, list):
            assert left == right
        else:
            assert left.dtype == right.dtype
            assert left.tobytes() == right.tobytes()


@pytest.mark.parametrize("name", NAMES)
def test_taps_deliver_the_pre_activations(name: str) -> None:
    """The tapped values are those of the tensor itself, shown by hand as a graph output.

    A float16 tap comes out as float32, and the CPU computes float16 models in float32: what the
    switch saw there is the value before it is rounded to the tensor's type.
    """
    before = read(name)
    model = load(before)
    sites = find_sites(model, smooth=True)
    result = tap(model, sites)
    assert len(result.done) + len(result.refused) == len(sites)
    main = [entry for entry in result.done if entry.site.scope == ""]
    assert [entry.site for entry in main] == [s for s in sites if not s.scope and not s.untappable]
    proto = onnx.load_from_string(before)
    own = {value.name for value in [*proto.graph.input, *proto.graph.output]}
    wanted = {entry.site.tensor for entry in main}
    proto.graph.output.extend(onnx.ValueInfoProto(name=name) for name in sorted(wanted - own))
    by_hand, tapped = session(proto.SerializeToString()), session(result.model.serialize())
    feeds = random_feeds(by_hand)
    outputs = [value.name for value in by_hand.get_outputs()]
    values = feeds | dict(zip(outputs, by_hand.run(None, feeds), strict=True))
    for entry in main:
        (value,) = tapped.run([entry.output], feeds)
        expected = values[entry.site.tensor]
        np.testing.assert_array_equal(value.astype(expected.dtype), expected)
        assert entry.site.units in (None, value.shape[entry.unit_axis])
