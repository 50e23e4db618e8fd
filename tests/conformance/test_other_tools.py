"""Files that other tools made of a shipped network: their sites, patterns and conversion."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest

from reluflow import analyze
from reluflow.errors import ModelError
from reluflow.graph import Model, find_psb, find_sites, load, psb_in_floats, to_psb
from reluflow.sessions import open_session

MODELS = Path(__file__).parents[2] / "models"
PATH = MODELS / "fashion_micro.onnx"
IMAGES = np.load(MODELS / "fashion_mnist_test_2000.npz")["image"][:60]
UNITS = [24, 24, 48, 48, 64, 64, 96, 96, 128]
"""By hand, from the network: a convolution, then a depthwise and a pointwise one in each block."""


def slimmed(path: Path) -> None:
    onnx.save(pytest.importorskip("onnxslim").slim(onnx.load(PATH)), path)


def simplified(path: Path) -> None:
    onnx.save(pytest.importorskip("onnxsim").simplify(onnx.load(PATH))[0], path)


def halved(path: Path, blocked: tuple[str, ...] = ()) -> None:
    float16 = pytest.importorskip("onnxconverter_common.float16")
    blocks = [*float16.DEFAULT_OP_BLOCK_LIST, *blocked]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it warns of every number that float16 rounds to 0
        made = float16.convert_float_to_float16(
            onnx.load(PATH), keep_io_types=True, op_block_list=blocks
        )
    onnx.save(made, path)


def optimised(path: Path, level: str) -> None:
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = getattr(onnxruntime.GraphOptimizationLevel, level)
    options.optimized_model_filepath = str(path)
    options.log_severity_level = 3
    onnxruntime.InferenceSession(str(PATH), options, providers=["CPUExecutionProvider"])


def quantised(path: Path) -> None:
    from onnxruntime import quantization

    class Batches(quantization.CalibrationDataReader):
        def __init__(self) -> None:
            self.left = iter([{"image": image[None]} for image in IMAGES[:8]])

        def get_next(self) -> Any:
            return next(self.left, None)

    quantization.quantize_static(PATH, path, Batches(), per_channel=True)


def feeds() -> list[dict[str, Any]]:
    return [{"image": image[None]} for image in IMAGES[:8]]


def nncf(path: Path) -> None:
    tool = pytest.importorskip("nncf")
    onnx.save(tool.quantize(onnx.load(PATH), tool.Dataset(feeds()), subset_size=8), path)


def aimet(path: Path) -> None:
    tool = pytest.importorskip("aimet_onnx.quantsim")
    simulated = tool.QuantizationSimModel(onnx.load(PATH))
    simulated.compute_encodings(feeds())
    onnx.save(simulated.to_onnx_qdq(), path)


def olive(path: Path) -> None:
    passes = pytest.importorskip("olive.passes.olive_pass")
    from olive.data.config import DataComponentConfig, DataConfig
    from olive.data.registry import Registry
    from olive.model import ONNXModelHandler
    from olive.passes.onnx.quantization import OnnxStaticQuantization

    def few(**_: object) -> list[tuple[dict[str, Any], int]]:
        return [({"image": image}, 0) for image in IMAGES[:8]]

    Registry.register_dataset("few")(few)
    data = DataConfig(
        name="few",
        type="DataContainer",
        load_dataset_config=DataComponentConfig(type="few"),
        pre_process_data_config=DataComponentConfig(type="skip_pre_process"),
        post_process_data_config=DataComponentConfig(type="skip_post_process"),
        dataloader_config=DataComponentConfig(params={"batch_size": 1}),
    )
    settings = {"data_config": data, "quant_format": "QDQ", "per_channel": True}
    step = passes.create_pass_from_dict(OnnxStaticQuantization, settings, disable_search=True)
    made = step.run(ONNXModelHandler(str(PATH)), str(path.with_suffix("")))
    path.write_bytes(Path(made.model_path).read_bytes())


TOOLS = {
    "onnxslim": slimmed,
    "onnxsim": simplified,
    "float16": halved,
    "float16-block-list": lambda path: halved(path, ("Gemm", "Relu")),
    "onnxruntime-extended": lambda path: optimised(path, "ORT_ENABLE_EXTENDED"),
    "onnxruntime-qdq": quantised,
    "nncf": nncf,
    "aimet": aimet,
    "olive": olive,
}


QUANTISED = ("onnxruntime-qdq", "nncf", "aimet", "olive")


def answers(model: Model) -> Any:
    return np.asarray(open_session(model).run({"image": IMAGES})[0]).argmax(axis=-1)


@pytest.mark.filterwarnings("ignore")  # of the tools
@pytest.mark.parametrize("tool", TOOLS)
def test_a_file_of_another_tool_is_analysed_and_converted(tool: str, tmp_path: Path) -> None:
    path = tmp_path / "made.onnx"
    TOOLS[tool](path)
    model = load(path)
    assert [site.units for site in find_sites(model)] == UNITS
    made, given = analyze(path, IMAGES), analyze(PATH, IMAGES)
    if "extended" in tool:
        assert any("9 FusedConv" in note for note in made.notes)
    assert [site.units for site in made.sites] == UNITS
    rounding = 0.05 if tool in QUANTISED else 0.01
    for one, other in zip(made.sites, given.sites, strict=True):
        assert one.samples == other.samples
        assert one.patterns == pytest.approx(other.patterns, rel=rounding, abs=2)
    converted = to_psb(model)
    norms = 9 if tool in ("onnxruntime-qdq", "aimet") else 0  # quantised before their norm
    assert len(find_psb(converted.model)) == 10 + norms and not converted.refused
    floats = psb_in_floats(converted.model).model
    assert (answers(floats) == answers(load(path))).mean() >= 0.9


def test_what_multiplies_integers_is_told(tmp_path: Path) -> None:
    from onnxruntime.quantization import QuantType, quantize_dynamic

    path = tmp_path / "made.onnx"
    quantize_dynamic(PATH, path, weight_type=QuantType.QUInt8)
    made, given = analyze(path, IMAGES), analyze(PATH, IMAGES)
    for one, other in zip(made.sites, given.sites, strict=True):
        assert one.patterns == pytest.approx(other.patterns, rel=0.05, abs=2)
    assert any("depend on the batch" in note for note in made.notes)  # its scale is the batch's
    told = to_psb(load(path)).refused
    assert [each.op for each in told] == ["ConvInteger"] * 9 + ["MatMulInteger"]
    assert {
        "its form with QuantizeLinear and DequantizeLinear" in each.reason for each in told
    } == {True}


def test_the_layout_of_one_processor_is_told(tmp_path: Path) -> None:
    path = tmp_path / "made.onnx"
    optimised(path, "ORT_ENABLE_ALL")
    model = load(path)
    if not any(node.domain == "com.microsoft.nchwc" for node in model._proto.graph.node):
        pytest.skip("this processor has no blocked layout")
    sites = find_sites(model)
    assert len(sites) == len(UNITS) and all(site.untappable for site in sites)
    with pytest.raises(ModelError, match="write it at the level ORT_ENABLE_EXTENDED"):
        analyze(path, IMAGES)
    assert any("optimised at the level extended" in one.reason for one in to_psb(model).refused)
