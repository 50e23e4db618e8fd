"""Helpers of the graph room's tests, as fixtures that return functions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
import onnx.parser
import onnxruntime
import pytest

from reluflow.graph import Model, load

Feeds = dict[str, np.ndarray]


def _parse(inner: str, opset: int = 17, ir: int = 8, extra: str = "") -> onnx.ModelProto:
    imports = f'"" : {opset}{extra}'
    return onnx.parser.parse_model(f"<ir_version: {ir}, opset_import: [{imports}]>\n{inner}")


@pytest.fixture
def parse() -> Callable[..., onnx.ModelProto]:
    """`parse(text, opset=17, ir=8)`: a ModelProto from ONNX's text form."""
    return _parse


@pytest.fixture
def text_model() -> Callable[..., Model]:
    """`text_model(text, opset=17, ir=8)`: the same, loaded."""
    return lambda *args, **kwargs: load(_parse(*args, **kwargs))


def _run(model: Any, feeds: Feeds) -> dict[str, Any]:
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.intra_op_num_threads = 1
    options.log_severity_level = 4
    data = str(model) if not isinstance(model, Model) else model.serialize()
    session = onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(None, feeds), strict=True))


@pytest.fixture
def run() -> Callable[[Any, Feeds], dict[str, Any]]:
    """`run(model or path, feeds)`: outputs by name, graph optimisation off."""
    return _run


@pytest.fixture
def check_tap() -> Callable[..., dict[str, Any]]:
    """`check_tap(model, result, feeds)`: checks that hold for every tap; returns all outputs."""

    def check(model: Model, result: Any, feeds: Feeds) -> dict[str, Any]:
        tapped = result.model
        onnx.checker.check_model(tapped._proto)
        assert tapped.ir_version == model.ir_version
        assert tapped.opset == model.opset
        assert tapped.outputs[: len(model.outputs)] == model.outputs
        assert len(set(tapped.outputs)) == len(tapped.outputs)
        before, after = _run(model, feeds), _run(tapped, feeds)
        for name, value in before.items():
            if isinstance(value, np.ndarray):
                assert value.tobytes() == after[name].tobytes()
            else:  # sequences and maps
                assert repr(value) == repr(after[name])
        for tap in result.done:
            assert after[tap.output].dtype in (np.float32, np.float64)
        return after

    return check
