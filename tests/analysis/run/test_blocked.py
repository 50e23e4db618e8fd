"""Hashes read ONNX Runtime's blocked layout; the results stay the same bit for bit."""

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import pytest
import small_models
from networks.light import paths, random_input, with_random_weights
from onnx import helper

from reluflow.analysis.run import blocked
from reluflow.analysis.run.blocked import block_size, open_hashing
from reluflow.analysis.run.options import AnalysisOptions
from reluflow.analysis.run.pipeline import tap_all
from reluflow.errors import ModelError
from reluflow.graph import HashedTap, Model, Rewritten, hash_taps, load
from reluflow.patterns import DEFAULT_SEED, fingerprint
from reluflow.sessions import open_session


def residual(channels: int = 20, groups: int = 1, op: str = "Relu") -> onnx.ModelProto:
    """Return a residual block, a depthwise and a 1 x 1 convolution after a stem; float weights."""
    rng = np.random.default_rng(channels)
    c = channels
    shapes = {
        "stem": (c, 3, 3, 3),
        "a": (c, c // groups, 3, 3),
        "b": (c, c, 1, 1),
        "depth": (c, 1, 3, 3),
        "last": (2 * c + 1, c, 1, 1),
    }
    weights = {k: (rng.standard_normal(s) / s[1] ** 0.5).astype("f4") for k, s in shapes.items()}

    def conv(x: str, w: str, y: str, **more: Any) -> onnx.NodeProto:
        pad = shapes[w][2] // 2
        return helper.make_node("Conv", [x, w], [y], name=y, pads=[pad] * 4, **more)

    def switch(x: str, y: str) -> onnx.NodeProto:
        more: dict[str, Any] = {"alpha": 0.1} if op in ("LeakyRelu", "ThresholdedRelu") else {}
        return helper.make_node(op, [x], [y], name=y, **more)

    nodes = [
        conv("x", "stem", "c0", strides=[2, 2]),
        switch("c0", "r0"),
        conv("r0", "a", "c1", group=groups),
        switch("c1", "r1"),
        conv("r1", "b", "c2"),
        helper.make_node("Add", ["c2", "r0"], ["s"]),
        switch("s", "r2"),
        conv("r2", "depth", "c3", group=c, strides=[2, 2]),
        switch("c3", "r3"),
        conv("r3", "last", "c4"),
        switch("c4", "y"),
    ]
    return small_models.model(
        nodes, weights, {"x": ["N", 3, 19, 22]}, {"y": ["N", 2 * c + 1, "H", "W"]}
    )


def hashing(
    proto: onnx.ModelProto, **settings: Any
) -> tuple[Rewritten[tuple[HashedTap | None, ...]], Model]:
    model = load(proto)
    tapped = tap_all(model, AnalysisOptions(**settings))
    rewritten = hash_taps(tapped.model, tapped.done, keep=model.outputs, seed=DEFAULT_SEED)
    return rewritten, tapped.model


def nodes_run(proto: onnx.ModelProto, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return the operators of the model that `open_hashing` runs at last."""
    seen: list[Model] = []

    def spy(model: Model, **settings: Any) -> object:
        seen.append(model)
        return open_session(model, **settings)

    monkeypatch.setattr(blocked, "open_session", spy)
    open_hashing(hashing(proto)[0].model, ["y"], threads=1, optimisation="all")
    return [n.op_type for n in onnx.ModelProto.FromString(seen[-1].serialize()).graph.node]


def check_bits(proto: onnx.ModelProto, feeds: dict[str, np.ndarray], threads: int = 2) -> None:
    """Compare all outputs with a plain session, and all keys with numba's."""
    result, _ = hashing(proto)
    outputs = list(result.model.outputs)
    session = open_hashing(result.model, outputs, threads=threads, optimisation="all")
    plain = open_session(result.model, outputs=outputs, threads=threads)
    found = dict(zip(outputs, session.run(feeds), strict=True))
    for name, wanted in zip(outputs, plain.run(feeds), strict=True):
        np.testing.assert_array_equal(found[name], wanted, err_msg=name)
        assert found[name].shape == wanted.shape


def with_odd_values(shape: tuple[int, ...]) -> np.ndarray:
    x = np.random.default_rng(1).standard_normal(shape).astype(np.float32)
    x[0, 0, 3, 4], x[-1, 1, 0, 0], x[-1, 2, -1, -1] = np.nan, np.inf, -np.inf
    return x


@pytest.mark.parametrize("threads", [1, 2, 3])
@pytest.mark.parametrize(("channels", "groups"), [(20, 1), (16, 1), (17, 1), (48, 3), (9, 1)])
def test_channel_counts_of_all_kinds(channels: int, groups: int, threads: int) -> None:
    x = with_odd_values((3, 3, 19, 22))
    check_bits(residual(channels, groups), {"x": x}, threads)


@pytest.mark.parametrize("op", ["LeakyRelu", "ThresholdedRelu", "HardSwish"])
def test_switches_of_all_kinds(op: str) -> None:
    check_bits(residual(24, op=op), {"x": with_odd_values((2, 3, 19, 22))})


@pytest.mark.parametrize("name", ["resnet50", "shufflenet"])
def test_light_architectures(name: str) -> None:
    proto = with_random_weights(paths()[name])
    check_bits(proto, random_input(proto, 0))


def test_keys_are_those_of_the_patterns_room() -> None:
    proto = residual(20)
    result, tapped = hashing(proto, behind=False)
    taps = tap_all(load(proto), AnalysisOptions(behind=False)).done
    x = {"x": with_odd_values((2, 3, 19, 22))}
    session = open_hashing(result.model, list(result.model.outputs), threads=2, optimisation="all")
    hashes = dict(zip(session.outputs, session.run(x), strict=True))
    values = open_session(tapped, threads=2)
    shown = dict(zip(values.outputs, values.run(x), strict=True))
    for tap, found in zip(taps, result.done, strict=True):
        assert found is not None
        wanted = fingerprint(shown[tap.output], threshold=tap.site.threshold)
        np.testing.assert_array_equal(
            hashes[found.keys].view(np.uint64).reshape(-1, 2), wanted.keys
        )
        np.testing.assert_array_equal(hashes[found.active], wanted.active)
        assert hashes[found.nonfinite] == wanted.nonfinite


def blocks_here() -> int:
    """Return the block size of ONNX Runtime on this machine, found with 17 channels."""
    with tempfile.TemporaryDirectory() as folder:
        options = ort.SessionOptions()
        options.optimized_model_filepath = f"{folder}/model.onnx"
        options.log_severity_level = 4
        proto = residual(17)
        ort.InferenceSession(proto.SerializeToString(), options, ["CPUExecutionProvider"])
        graph = onnx.load(f"{folder}/model.onnx").graph
    if not any(node.domain == "com.microsoft.nchwc" for node in graph.node):
        return 0
    sizes = {t.dims[0] for t in graph.initializer if len(t.dims) == 4}
    return 8 if 24 in sizes else 16


def test_the_block_is_the_one_of_onnx_runtime() -> None:
    assert block_size() == blocks_here()


@pytest.mark.skipif(not blocks_here(), reason="ONNX Runtime has no blocked layout here")
def test_no_tap_brings_a_tensor_back_to_plain_order(monkeypatch: pytest.MonkeyPatch) -> None:
    ops = nodes_run(residual(20), monkeypatch)
    assert ops.count("PatternHash") == 5
    assert ops.count("ReorderOutput") == 1  # the model's own output


def test_an_unwritable_file_is_no_hindrance(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "nowhere"))
    ops = nodes_run(residual(20), monkeypatch)
    assert ops.count("PatternHash") == 5
    assert "Relu" in ops  # unchanged: nothing was optimised away beforehand


def test_lower_levels_of_optimisation_stay_as_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blocked, "block_size", lambda threads: pytest.fail("not asked for"))
    result, _ = hashing(residual(20))
    session = open_hashing(result.model, ["y"], threads=1, optimisation="extended")
    assert session.outputs == ("y",)


def test_external_weights_are_found(tmp_path: Path) -> None:
    onnx.save_model(
        residual(20),
        tmp_path / "m.onnx",
        save_as_external_data=True,
        location="m.data",
        size_threshold=0,
    )
    model = load(tmp_path / "m.onnx")
    tapped = tap_all(model, AnalysisOptions())
    result = hash_taps(tapped.model, tapped.done, keep=model.outputs, seed=1)
    outputs = list(result.model.outputs)
    x = {"x": with_odd_values((2, 3, 19, 22))}
    found = open_hashing(result.model, outputs, threads=1, optimisation="all").run(x)
    wanted = open_session(result.model, outputs=outputs, threads=1).run(x)
    for one, other in zip(found, wanted, strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_model_that_cannot_be_loaded_is_one_sentence() -> None:
    result, _ = hashing(residual(20))
    broken = onnx.ModelProto.FromString(result.model.serialize())
    broken.graph.initializer[0].dims[1] += 1
    with pytest.raises(ModelError, match="ONNX Runtime cannot load"):
        open_hashing(Model(broken), ["y"], threads=1, optimisation="all")
