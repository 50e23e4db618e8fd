"""Where a converted model spends its time: which kernels belong together, and what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx.parser
import pytest
import small_models

import reluflow
from reluflow.cli import main
from reluflow.data import RandomData, open_data
from reluflow.evaluation import ProfileOptions, find_formats, profile
from reluflow.evaluation.timing.pair import pair_kernels
from reluflow.graph import chain_psb, label_nodes, load, to_psb
from reluflow.sessions import KernelTime, profile_models

FEW = ProfileOptions(runs=3, threads=1)
SHIPPED = "models/fashion_resnet8.onnx"


def parsed(text: str, opset: int = 17) -> onnx.ModelProto:
    return onnx.parser.parse_model(f'<ir_version: 8, opset_import: ["" : {opset}]> {text}')


@pytest.fixture(scope="module")
def resnet() -> reluflow.Model:
    return to_psb(load(SHIPPED)).model


def test_each_layer_stands_beside_what_it_took_over(resnet: reluflow.Model) -> None:
    found = reluflow.profile_psb(resnet, float_model=SHIPPED, options=FEW)
    layers = {row.name: row for row in found.nodes if row.psb}
    assert len(layers) == 10 and found.float_source == "given" and found.runs == 3
    assert {row.op for row in layers.values()} == {"PsbConv", "PsbMatMul"}
    # ReLUs and batch normalisation of the float model are in its convolutions, and have no rows.
    assert {row.float_op for row in layers.values()} == {"Conv", "Gemm"}
    assert {row.name for row in found.nodes if not row.psb} >= {"/pool/GlobalAveragePool"}
    for row in layers.values():
        assert row.ms and row.float_ms and row.ratio == pytest.approx(row.float_ms / row.ms)


def test_rows_add_up_and_the_slowest_comes_first(resnet: reluflow.Model) -> None:
    found = reluflow.profile_psb(resnet, options=ProfileOptions(samples=4, runs=3, threads=1))
    times = [row.ms for row in found.nodes if row.ms is not None]
    assert times == sorted(times, reverse=True)
    assert sum(times) == pytest.approx(found.ms)
    assert sum(row.float_ms or 0 for row in found.nodes) == pytest.approx(found.float_ms)
    assert sum(row.share for row in found.nodes) == pytest.approx(1)
    assert found.run_ms > 0 and found.float_run_ms > 0 and 0 < found.psb_share <= 1
    assert found.float_source == "rebuilt" and found.samples == 4
    assert found.inputs == {"image": (1, 1, 28, 28)}


def test_layers_left_in_float_are_rows_too() -> None:
    made = reluflow.convert(
        SHIPPED, options=reluflow.PsbOptions(exclude=("/dense/Gemm",)), check=False
    )
    found = reluflow.profile_psb(made.result.model, float_model=SHIPPED, options=FEW)
    [dense] = [row for row in found.nodes if row.name == "/dense/Gemm"]
    assert (dense.op, dense.float_op, dense.psb) == ("Gemm", "Gemm", False)
    assert dense.ms is not None and dense.float_ms is not None


def test_unfused_activations_belong_to_the_kernel_that_does_them_in_float(
    resnet: reluflow.Model,
) -> None:
    loose = reluflow.convert(SHIPPED, options=reluflow.PsbOptions(fuse=False), check=False)
    found = reluflow.profile_psb(loose.result.model, float_model=SHIPPED, options=FEW)
    first = next(row for row in found.nodes if row.name == "/conv/Conv")
    assert first.op == "PsbConv+Relu" and first.float_op == "Conv"
    assert sum(row.psb for row in found.nodes) == 10


def test_a_chain_stands_beside_the_float_model_it_was_made_from(resnet: reluflow.Model) -> None:
    formats = find_formats(resnet, open_data(RandomData(2), resnet.inputs))
    chained = chain_psb(resnet, formats).model
    found = reluflow.profile_psb(chained, float_model=SHIPPED, options=FEW)
    layers = [row for row in found.nodes if row.op == "FixedConv"]
    assert len(layers) == 9 and all(row.psb and row.ratio for row in layers)
    [begin] = [row for row in found.nodes if row.op == "ToFixed"]
    assert begin.psb and begin.float_ms is None
    with pytest.raises(reluflow.ReluflowError, match="part of a chain, has no float form; give"):
        reluflow.profile_psb(chained, options=FEW)


@pytest.mark.parametrize("size", [1, 3])
def test_the_first_batch_is_what_runs(resnet: reluflow.Model, size: int) -> None:
    images = np.zeros((5, 1, 28, 28), np.float32)
    options = ProfileOptions(runs=1, threads=1, batch_size=size)
    found = reluflow.profile_psb(resnet, images, options=options)
    assert found.inputs == {"image": (size, 1, 28, 28)}
    drawn = reluflow.profile_psb(resnet, RandomData(1, seed=2), options=options)
    assert drawn.inputs == found.inputs


def test_a_subgraph_counts_as_the_node_that_holds_it() -> None:
    model = load(
        parsed(
            """g (float[N,2] x, bool c) => (float[N,2] y) <float[2,2] w = {1,2,3,4}> {
            h = MatMul(x, w)
            y = If(c) <then_branch = a () => (float[N,2] u) { t = Exp(h) u = Exp(t) },
                       else_branch = b () => (float[N,2] u) { u = Neg(h) }> }"""
        )
    )
    feeds = {"x": np.ones((4, 2), np.float32), "c": np.array(True)}
    [found] = profile_models([(model, lambda run: feeds)], runs=2, threads=1)
    assert [kernel.op for kernel in found.kernels] == ["MatMul", "If"]


def kernels(*pairs: tuple[str, str, float]) -> list[KernelTime]:
    return [KernelTime(*pair) for pair in pairs]


def test_kernels_are_matched_by_number_by_tensor_and_by_what_they_took_over() -> None:
    this = label_nodes(
        load(parsed("g (float[N,2] x) => (float[N,2] y) { [one] a = Neg(x) [two] y = Exp(a) }"))
    ).done
    that = label_nodes(
        load(
            parsed(
                "g (float[N,2] x) => (float[N,2] y) "
                "{ [one] a = Neg(x) [act] r = Relu(a) [two] y = Exp(r) }"
            )
        )
    ).done
    ran = kernels(("reluflow@0@", "Neg", 2.0), ("y_nchwc", "Exp", 1.0), ("Reorder", "Reorder", 0.5))
    floats = kernels(("fused reluflow@0@", "FusedNeg", 3.0), ("reluflow@2@", "Exp", 4.0))
    work = {each.name: each for each in pair_kernels(this, ran, that, floats)}
    assert {name: [k.ms for k in each.floats] for name, each in work.items()} == {
        "one": [3.0],
        "two": [4.0],
        "(Reorder)": [],
    }
    # Named by the activation: the operator says that the kernel began two nodes before.
    floats = kernels(("r_nchwc", "Neg", 3.0), ("reluflow@2@", "Exp", 4.0))
    work = {each.name: each for each in pair_kernels(this, ran, that, floats)}
    assert [k.ms for k in work["one"].floats] == [3.0]
    # Ran by itself, the activation counts with what made its input.
    floats = kernels(("reluflow@0@", "Neg", 3.0), ("reluflow@1@", "Relu", 1.0))
    work = {each.name: each for each in pair_kernels(this, ran, that, floats)}
    assert [k.ms for k in work["one"].floats] == [3.0, 1.0]


def test_what_only_the_float_model_does_is_a_row_of_its_own() -> None:
    this = label_nodes(load(parsed("g (float[N,2] x) => (float[N,2] y) { [two] y = Exp(x) }"))).done
    that = label_nodes(
        load(parsed("g (float[N,2] x) => (float[N,2] y) { [one] a = Neg(x) [two] y = Exp(a) }"))
    ).done
    floats = kernels(("reluflow@0@", "Neg", 3.0), ("reluflow@1@", "Exp", 4.0))
    work = pair_kernels(this, kernels(("reluflow@0@", "Exp", 2.0)), that, floats)
    assert [(each.name, len(each.places)) for each in work] == [("two", 1), ("one", 0)]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"samples": 3}, "samples is 3; accepted are 0, 1, 2, 4"),
        ({"runs": 0}, "runs is 0; give a whole number from 1 to 10000"),
        ({"batch_size": 0}, "batch_size is 0; give a whole number of at least 1"),
    ],
)
def test_bad_options_are_refused(options: dict[str, Any], words: str) -> None:
    with pytest.raises(reluflow.ReluflowError, match=words):
        ProfileOptions(**options)


def test_the_fastest_run_can_count_instead_of_the_median() -> None:
    """Of three runs one has a single image, the others hundreds."""
    sizes = iter([1, 1, 300, 1, 300] * 2)
    model = load(SHIPPED)

    def feeds(run: int) -> dict[str, np.ndarray]:
        return {"image": np.zeros((next(sizes), 1, 28, 28), np.float32)}

    (median,) = profile_models([(model, feeds)], runs=3, threads=1)
    (fastest,) = profile_models([(model, feeds)], runs=3, threads=1, fastest=True)
    assert [each.name for each in fastest.kernels] == [each.name for each in median.kernels]
    assert fastest.run_ms < median.run_ms / 5


def test_what_does_not_belong_together_is_refused(resnet: reluflow.Model) -> None:
    other = small_models.dense()
    with pytest.raises(reluflow.ReluflowError, match="has no PSB operator"):
        reluflow.profile_psb(SHIPPED, options=FEW)
    with pytest.raises(reluflow.ReluflowError, match="which is converted already; give the model"):
        reluflow.profile_psb(resnet, float_model=resnet, options=FEW)
    with pytest.raises(reluflow.ReluflowError, match=r"which reads inputs \['x'\], and the conv"):
        reluflow.profile_psb(resnet, float_model=other, options=FEW)
    renamed = onnx.load(SHIPPED)
    for number, node in enumerate(renamed.graph.node):
        node.name = f"n{number}"
    with pytest.raises(reluflow.ReluflowError, match="of whose nodes the converted model has none"):
        reluflow.profile_psb(resnet, float_model=renamed, options=FEW)
    with pytest.raises(reluflow.ReluflowError, match="dims has 'q', but no input has"):
        reluflow.profile_psb(resnet, RandomData(1, dims={"q": 3}), options=FEW)
    with pytest.raises(reluflow.ReluflowError, match="data have zero samples"):
        profile(resnet, open_data([], resnet.inputs), options=FEW)


def test_sizes_that_the_model_leaves_open_are_asked_for(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = parsed(
        "g (float[N,1,H,8] x) => (float[N,2,H,8] y) <float[2,1,1,1] w = {1,2}> "
        "{ [c] h = Conv(x, w) y = Relu(h) }"
    )
    path = tmp_path / "p.onnx"
    reluflow.convert(model, path, check=False)
    assert main(["psb", "inspect", str(path), "--profile", "--runs", "1"]) == 2
    assert "axis 2 has no size; give it one: --dim H=224." in capsys.readouterr().err
    assert main(["psb", "inspect", str(path), "--profile", "--runs", "1", "--dim", "H=6"]) == 0
    shown = capsys.readouterr().out
    for words in ("x [1, 1, 6, 8]", "PsbConv", "this"):
        assert words in shown
