"""An ONNX model as a torch module: the same numbers as ONNX Runtime, and gradients."""

from pathlib import Path

import numpy as np
import onnx
import onnx.parser
import onnxruntime as ort
import pytest
import torch
from networks import light

from reluflow.errors import ModelError
from reluflow.graph import load
from reluflow_torch import from_onnx

EXPORTED = Path(__file__).parents[3] / "conformance" / "files"
LIGHT = ("resnet50", "shufflenet", "squeezenet", "densenet121", "inception_v1")
REFUSED = {  # file -> why
    "jax2onnx-23-scan": "with a subgraph",
    "ort-all-cnn": "com.microsoft.nchwc",
    "ort-dynamic-mlp": "DynamicQuantizeLinear, which cannot be differentiated",
    "ort-qdq-cnn": "DequantizeLinear, which cannot be differentiated",
    "ort-extended-cnn": "FusedConv of domain 'com.microsoft'",
    "skl2onnx-18-classifier": "Scaler of domain 'ai.onnx.ml'",
    "torch-dynamo-20-cond": "If with a subgraph",
    "torch-script-17-loop": "Loop with a subgraph",
}


def model_of(text: str) -> onnx.ModelProto:
    return onnx.parser.parse_model('<ir_version: 8, opset_import: ["" : 17]> ' + text)


def agree(proto: onnx.ModelProto, tolerance: float = 1e-4) -> None:
    options = ort.SessionOptions()
    options.log_severity_level = 3
    session = ort.InferenceSession(
        proto.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    rng = np.random.default_rng(0)
    feeds = {
        spec.name: rng.normal(size=[d if isinstance(d, int) else 2 for d in spec.shape]).astype(
            np.float32
        )
        for spec in session.get_inputs()
    }
    module = from_onnx(load(proto)).eval()
    with torch.no_grad():
        result = module(**{name: torch.from_numpy(value) for name, value in feeds.items()})
    results = result if isinstance(result, tuple) else (result,)
    for wanted, got in zip(session.run(None, feeds), results, strict=True):
        scale = np.abs(wanted).max() + 1e-9
        np.testing.assert_allclose(got.numpy() / scale, wanted / scale, atol=tolerance)


@pytest.mark.parametrize("name", LIGHT)
def test_known_architectures_give_what_onnx_runtime_gives(name: str) -> None:
    agree(light.with_random_weights(light.paths()[name]))


def float32_files() -> list[Path]:
    files = sorted(EXPORTED.rglob("*.onnx"))
    wanted = ("torch-", "tf2onnx", "jax2onnx", "paddle")
    skipped = (*REFUSED, "fp16", "cond", "-if", "loop", "scan", "unet")
    return [
        file
        for file in files
        if file.name.startswith(wanted) and not any(part in file.stem for part in skipped)
    ]


@pytest.mark.parametrize("path", float32_files(), ids=lambda path: path.stem)
def test_files_of_real_exporters_give_what_onnx_runtime_gives(path: Path) -> None:
    agree(onnx.load(path))


@pytest.mark.parametrize("stem", REFUSED)
def test_what_has_no_gradient_is_refused_by_name(stem: str) -> None:
    [path] = EXPORTED.rglob(f"{stem}.onnx")
    with pytest.raises(ModelError, match=REFUSED[stem]):
        from_onnx(load(path))


def test_training_mode_normalises_by_the_batch_and_gradients_reach_every_weight() -> None:
    torch.manual_seed(0)
    net = torch.nn.Sequential(
        torch.nn.Linear(6, 5), torch.nn.BatchNorm1d(5), torch.nn.ReLU(), torch.nn.Linear(5, 3)
    )
    proto = model_of(
        """g (float[N,6] x) => (float[N,3] y)
        <float[5,6] w0, float[5] b0, float[5] s, float[5] t, float[5] m, float[5] v,
         float[3,5] w1, float[3] b1>
        { h = Gemm<transB = 1>(x, w0, b0)
          n = BatchNormalization<momentum = 0.9>(h, s, t, m, v)
          r = Relu(n)
          y = Gemm<transB = 1>(r, w1, b1) }"""
    )
    tensors = dict(
        zip(
            ("w0", "b0", "s", "t", "m", "v", "w1", "b1"),
            (
                *net[0].parameters(),
                *net[1].parameters(),
                *list(net[1].buffers())[:2],
                *net[3].parameters(),
            ),
            strict=True,
        )
    )
    del proto.graph.initializer[:]
    for name, tensor in tensors.items():
        proto.graph.initializer.append(onnx.numpy_helper.from_array(tensor.detach().numpy(), name))
    module = from_onnx(load(proto))
    x, labels = torch.randn(16, 6), torch.randint(0, 3, (16,))
    ours, theirs = module(x), net(x)
    torch.testing.assert_close(ours, theirs)
    torch.nn.functional.cross_entropy(ours, labels).backward()
    torch.nn.functional.cross_entropy(theirs, labels).backward()
    grads = {module.names[name]: weight.grad for name, weight in module.named_parameters()}
    assert set(grads) == {"w0", "b0", "s", "t", "w1", "b1"}
    for name, grad in grads.items():
        torch.testing.assert_close(grad, tensors[name].grad)
    torch.testing.assert_close(module.weights.m, net[1].running_mean)


def test_a_softmax_at_the_end_is_taken_off_for_the_loss() -> None:
    proto = model_of(
        """g (float[N,3] x) => (float[N,3] y)
        { h = Relu(x) y = Softmax<axis = -1>(h) }"""
    )
    x = torch.tensor([[1.0, -2.0, 3.0]])
    assert from_onnx(load(proto)).logits()(x).tolist() == [[1.0, 0.0, 3.0]]
    plain = model_of("g (float[N,3] x) => (float[N,3] y) { y = Relu(x) }")
    assert from_onnx(load(plain)).logits()(x).tolist() == [[1.0, 0.0, 3.0]]


def test_bad_inputs_are_named() -> None:
    proto = model_of(
        "g (float[N,2] x) => (float[N,2] y) <float[2,2] w = {1,2,3,4}> { y = MatMul(x, w) }"
    )
    module = from_onnx(load(proto))
    with pytest.raises(ModelError, match="input 'x' is not given"):
        module()
    with pytest.raises(ModelError, match=r"\(MatMul\) cannot run in torch"):
        module(torch.ones(1, 3))
