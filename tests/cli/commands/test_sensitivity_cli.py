"""`reluflow sensitivity` as its user runs it."""

import json
from pathlib import Path

import numpy as np
import pytest
from onnx import TensorProto, helper, load, numpy_helper, save

from reluflow.cli import main

RNG = np.random.default_rng(3)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small classifier with a softmax at its end, and inputs with labels."""
    made = tmp_path_factory.mktemp("sensitivity")
    weights = {"w0": (5, 24), "w1": (24, 24), "w2": (24, 4)}
    nodes = [
        helper.make_node("MatMul", ["x", "w0"], ["a"], "first"),
        helper.make_node("Relu", ["a"], ["b"], "relu/one"),
        helper.make_node("MatMul", ["b", "w1"], ["c"], "second"),
        helper.make_node("Relu", ["c"], ["d"], "relu/two"),
        helper.make_node("MatMul", ["d", "w2"], ["e"], "third"),
        helper.make_node("Softmax", ["e"], ["y"], "softmax", axis=-1),
    ]
    arrays = [
        numpy_helper.from_array(
            RNG.normal(size=shape).astype(np.float32) * (2 / shape[0]) ** 0.5, name
        )
        for name, shape in weights.items()
    ]
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 5])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["N", 4])],
        arrays,
    )
    save(
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8),
        made / "net.onnx",
    )
    np.savez(
        made / "data.npz",
        x=RNG.normal(size=(200, 5)).astype(np.float32),
        label=RNG.integers(0, 4, 200),
    )
    np.save(made / "targets.npy", RNG.normal(size=(200, 4)))
    np.save(made / "few.npy", RNG.integers(0, 4, 7))
    return made


def run(folder: Path, *more: str) -> int:
    return main(
        ["sensitivity", str(folder / "net.onnx"), "--data", str(folder / "data.npz"), *more]
    )


def test_json_has_the_sweep_and_the_fits(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(folder, "--rates", "1e-4:1e3:15", "--batches", "2", "--json") == 0
    result = json.loads(capsys.readouterr().out)
    assert result["sites"] == ["relu/one", "relu/two"]
    assert len(result["rates"]) == 15
    assert result["mean"][0] < 0.1 and result["mean"][-1] > 0.9
    assert {fit["model"]["name"] for fit in result["fits"]} == {"log-normal", "erf", "arctan"}


def test_table_and_folder(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "report"
    more = ["--optimizer", "adamw", "--rates", "1e-5:10:12", "--out", str(out)]
    assert run(folder, *more) == 0
    shown = capsys.readouterr().out
    assert "relu/two" in shown and "log-normal: mu" in shown
    assert sorted(path.name for path in out.iterdir()) == ["sensitivity.json", "sensitivity.png"]


@pytest.mark.parametrize("op", ["Gelu", "Softplus", "Elu"])
def test_smooth_activations_count_where_there_is_no_other_switch(
    op: str, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = load(folder / "net.onnx")
    model.opset_import[0].version = 20
    for node in model.graph.node:
        if node.op_type == "Relu":
            node.op_type = op
    save(model, tmp_path / "smooth.onnx")
    given = ["sensitivity", str(tmp_path / "smooth.onnx"), "--data", str(folder / "data.npz")]
    rates = ["--rates", "1e-2:10:5", "--json"]
    assert main([*given, *rates]) == 0
    found = json.loads(capsys.readouterr().out)
    assert main([*given, *rates, "--smooth"]) == 0
    asked = json.loads(capsys.readouterr().out)
    assert found["notes"][0] == (
        f"no ReLU or other switch is in the model: its smooth activations ({op}) count, at 0."
    )
    assert found["sites"] == asked["sites"] == ["relu/one", "relu/two"]
    assert found["mean"] == asked["mean"]
    next(node for node in model.graph.node if node.op_type == op).op_type = "Relu"
    save(model, tmp_path / "smooth.onnx")
    assert main([*given, *rates]) == 0
    assert json.loads(capsys.readouterr().out)["sites"] == ["relu/one"]


def test_another_loss_changes_the_step(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rates = ["--rates", "1e-2:1:5", "--json"]
    assert run(folder, *rates) == 0
    classes = json.loads(capsys.readouterr().out)
    assert run(folder, "--loss", "mse", "--labels", str(folder / "targets.npy"), *rates) == 0
    assert json.loads(capsys.readouterr().out)["mean"] != classes["mean"]


@pytest.mark.parametrize(
    ("more", "sentence"),
    [
        (["--rates", "1:2"], "--rates is '1:2'; give FIRST:LAST:COUNT"),
        (["--rates", "2:1:5"], "the first above 0"),
        (
            ["--loss", "hinge"],
            "--loss is 'hinge'; accepted are cross-entropy, binary-cross-entropy",
        ),
        (["--optimizer", "lbfgs"], "--optimizer is 'lbfgs'; accepted are sgd, adamw"),
        (["--batches", "0"], "--batches is 0"),
        (["--labels", "FOLDER/few.npy"], "there are 7 labels for 200 inputs"),
        (["--labels", "FOLDER/none.npy"], "cannot be read"),
        (["--label-name", "y"], "holds no array 'y'"),
        (["--out", "FOLDER/net.onnx/x"], "cannot be made"),
    ],
)
def test_bad_usage_is_one_sentence(
    folder: Path, capsys: pytest.CaptureFixture[str], more: list[str], sentence: str
) -> None:
    given = [part.replace("FOLDER", str(folder)) for part in more]
    assert run(folder, "--rates", "1e-2:1:3", *given) == 2
    error = capsys.readouterr().err
    assert sentence in error
    assert error.count("\n") == 1


def test_data_must_be_named(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["sensitivity", str(folder / "net.onnx")]) == 2
    assert "--data PATH" in capsys.readouterr().err


def classifier(path: Path, outputs: int, *, end: str | None = None, heads: int = 1) -> Path:
    """Save a net of one ReLU site with that many outputs and return its path."""
    shapes = {"w0": (5, 24), "w1": (24, outputs)}
    nodes = [
        helper.make_node("MatMul", ["x", "w0"], ["a"], "first"),
        helper.make_node("Relu", ["a"], ["b"], "relu"),
        helper.make_node("MatMul", ["b", "w1"], ["c"], "second"),
    ]
    names = ["c"]
    if end is not None:
        nodes.append(helper.make_node(end, ["c"], ["y"], "end"))
        names = ["y"]
    if heads == 2:
        nodes.append(helper.make_node("Neg", ["c"], ["z"], "other"))
        names.append("z")
    arrays = [
        numpy_helper.from_array(RNG.normal(size=shape).astype(np.float32), name)
        for name, shape in shapes.items()
    ]
    values = [helper.make_tensor_value_info(n, TensorProto.FLOAT, ["N", outputs]) for n in names]
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 5])],
        values,
        arrays,
    )
    save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    return path


@pytest.mark.parametrize(
    ("outputs", "heads", "classes", "loss", "sentence"),
    [
        (1, 1, 2, "cross-entropy", "one number per input (output [120, 1]), but --loss cross"),
        (3, 1, 9, "cross-entropy", "labels go from 0 to 8, but the model has 3 classes"),
        (3, 1, 3, "mse", "targets are [120] for an output [120, 3]"),
        (1, 1, 5, "binary-cross-entropy", "labels go from 0 to 4, but --loss binary-cross-entr"),
        (3, 2, 3, "cross-entropy", "the model has 2 outputs, but a loss takes one"),
    ],
)
def test_a_loss_that_does_not_fit_the_outputs_is_one_sentence(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    outputs: int,
    heads: int,
    classes: int,
    loss: str,
    sentence: str,
) -> None:
    model = classifier(tmp_path / "m.onnx", outputs, heads=heads)
    x = RNG.normal(size=(120, 5)).astype(np.float32)
    np.savez(tmp_path / "d.npz", x=x, label=np.arange(120) % classes)
    argv = ["sensitivity", str(model), "--data", str(tmp_path / "d.npz"), "--loss", loss]
    assert main([*argv, "--rates", "1e-2:1:3"]) == 2
    error = capsys.readouterr().err
    assert sentence in error and error.count("\n") == 1


@pytest.mark.parametrize("loss", ["cross-entropy", "binary-cross-entropy", "mse"])
def test_one_number_for_all_inputs_is_no_output_to_train(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], loss: str
) -> None:
    path = classifier(tmp_path / "m.onnx", 3)
    proto = load(path)
    proto.graph.node.append(helper.make_node("ReduceSum", ["c"], ["total"], keepdims=0))
    del proto.graph.output[:]
    proto.graph.output.append(helper.make_tensor_value_info("total", TensorProto.FLOAT, []))
    save(proto, path)
    np.savez(tmp_path / "d.npz", x=np.ones((8, 5), np.float32), label=np.arange(8) % 2)
    argv = ["sensitivity", str(path), "--data", str(tmp_path / "d.npz"), "--loss", loss]
    assert main(argv) == 2
    error = capsys.readouterr().err
    assert "gives one number for all inputs together" in error and error.count("\n") == 1


@pytest.mark.parametrize("end", [None, "Sigmoid"])
def test_one_logit_is_measured_with_the_binary_loss_and_a_rate_is_suggested(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], end: str | None
) -> None:
    model = classifier(tmp_path / "m.onnx", 1, end=end)
    x = RNG.normal(size=(120, 5)).astype(np.float32)
    np.savez(tmp_path / "d.npz", x=x, label=np.arange(120) % 2)
    argv = ["sensitivity", str(model), "--data", str(tmp_path / "d.npz")]
    argv += ["--loss", "binary-cross-entropy", "--rates", "1e-3:1e2:12"]
    assert main([*argv, "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert result["widths"] == [24]
    wanted = 1 - 2 ** -result["start_bits"]
    rate = result["suggested_rate"]
    reached = np.interp(np.log(rate), np.log(result["rates"]), result["mean"])
    assert reached == pytest.approx(wanted, abs=1e-9)
    assert main(argv) == 0
    assert f"Suggested rate: {rate:.3g}," in capsys.readouterr().out


def test_no_rate_is_suggested_where_none_reaches_the_temperature(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(folder, "--rates", "1e-9:1e-8:3") == 0
    assert "No rate is suggested: none of them crosses" in capsys.readouterr().out


def test_the_folder_is_named(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "report"
    assert run(folder, "--rates", "1e-2:1:3", "--out", str(out), "--json") == 0
    shown = capsys.readouterr()
    json.loads(shown.out)
    assert f"Wrote {out / 'sensitivity.png'}" in shown.err
    assert f"Wrote {out / 'sensitivity.json'}" in shown.err
