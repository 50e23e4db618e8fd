"""Pages and tables name the layer that feeds a site where the site's own name does not."""

import re
from io import StringIO
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import numpy_helper, parser
from rich.console import Console

import reluflow
from reluflow.analysis import ComparisonReport, PatternReport
from reluflow.report import print_table, read_json, to_json, write_html

X = np.random.default_rng(5).normal(size=(60, 4)).astype(np.float32)


def network(names: tuple[str, str], layers: tuple[str, str], seed: int = 0) -> onnx.ModelProto:
    """Two dense layers of the given names before two switches of the given names."""
    proto = parser.parse_model("""<ir_version: 8, opset_import: ["" : 17]>
        g (float[N,4] x) => (float[N,5] y) {
          a = Gemm(x, first) b = Relu(a) c = Gemm(b, second) y = Relu(c) }""")
    rng = np.random.default_rng(seed)
    for node, tensor, layer, shape in zip(
        proto.graph.node[::2], ("first", "second"), layers, ((4, 6), (6, 5)), strict=True
    ):
        weight = rng.normal(size=shape).astype(np.float32)
        name = f"{layer}.weight" if layer else tensor
        proto.graph.initializer.append(numpy_helper.from_array(weight, name))
        node.input[1] = name
    for node, name in zip(proto.graph.node[1::2], names, strict=True):
        node.name = name
    onnx.checker.check_model(proto)
    return proto


def both(names: tuple[str, str], layers: tuple[str, str]) -> list[PatternReport | ComparisonReport]:
    first, second = network(names, layers), network(names, layers, seed=1)
    return [reluflow.analyze(first, X), reluflow.compare(first, second, X)]


def page_and_table(report: PatternReport | ComparisonReport, folder: Path) -> tuple[str, str]:
    write_html(report, folder / "page.html")
    console = Console(file=StringIO(), width=200)
    print_table(report, console)
    assert isinstance(console.file, StringIO)
    return (folder / "page.html").read_text("utf-8"), console.file.getvalue()


def without_breaks(page: str) -> str:
    return page.replace("<wbr>", "")


@pytest.mark.parametrize("which", [0, 1])
@pytest.mark.parametrize(
    ("names", "layers", "told"),
    [
        (("node_relu", "node_relu_1"), ("fc1", "fc2"), ("fc1", "fc2")),
        (("/fc10/Relu", "/fc2/Relu"), ("fc1", "fc2"), ("fc1",)),
        (("a.fc1.relu", "fc2_relu"), ("fc1", "fc2"), ("fc1", "fc2")),
        (("/stage/Relu", "r"), ("stage.0.conv1", "head"), ("stage.0.conv1", "head")),
    ],
)
def test_a_layer_stands_beside_its_site(
    tmp_path: Path,
    which: int,
    names: tuple[str, str],
    layers: tuple[str, str],
    told: tuple[str, ...],
) -> None:
    report = both(names, layers)[which]
    page, table = page_and_table(report, tmp_path)
    assert re.findall(r"<small>fed by (.*?)</small>", without_breaks(page)) == list(told)
    assert ">Layer</button>" in page and "layer" in table
    for layer in layers:  # a table's column is whole
        assert f'<td class="text">{layer}</td>' in page
        assert re.search(rf" {re.escape(layer)} ", table)
    for layer in told:
        assert re.search(rf'"sub": ?"[^"]*, {re.escape(layer)}"', page)


@pytest.mark.parametrize("which", [0, 1])
@pytest.mark.parametrize(
    ("names", "layers"),
    [
        (("/fc1/Relu", "/fc2/Relu"), ("fc1", "fc2")),
        (("node_relu", "node_relu_1"), ("", "")),
        (("m.a.relu", "fc2"), ("m.a", "fc2")),
    ],
)
def test_a_layer_that_says_no_more_is_not_repeated(
    tmp_path: Path, which: int, names: tuple[str, str], layers: tuple[str, str]
) -> None:
    page, table = page_and_table(both(names, layers)[which], tmp_path)
    shown = "fed by" in page, ">Layer</button>" in page, " layer " in table
    assert shown == (False, False, False)


@pytest.mark.parametrize("layer", ["<b>fc1", "fc1\x1b[2J", "\u202efc1"])
def test_layers_of_hostile_names_are_written_as_text(tmp_path: Path, layer: str) -> None:
    for report in both(("r", "s"), (layer, "fc2")):
        page, table = page_and_table(report, tmp_path)
        assert layer not in page and layer not in table.replace("<b>fc1", "")


def test_a_comparison_answers_to_its_layers_and_keeps_them(tmp_path: Path) -> None:
    report = both(("r", "s"), ("fc1", "fc2"))[1]
    assert isinstance(report, ComparisonReport)
    assert report["fc2"].name == "s" and "r (fc1)" in str(report)
    (tmp_path / "report.json").write_text(to_json(report), "utf-8")
    assert read_json(tmp_path / "report.json") == report


def test_reports_of_before_are_read(tmp_path: Path) -> None:
    report = both(("r", "s"), ("fc1", "fc2"))[1]
    older = re.sub(r',\n\s+"layer": "fc\d"', "", to_json(report))
    assert '"layer"' not in older
    (tmp_path / "report.json").write_text(older, "utf-8")
    found = read_json(tmp_path / "report.json")
    assert isinstance(found, ComparisonReport) and found.sites[0].layer == ""
