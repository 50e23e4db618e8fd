"""Recipe: torch 2.13.0 (CPU) and onnxscript 0.7.2, the dynamo and the TorchScript exporter.

pip install torch==2.13.0 onnxscript==0.7.2 onnx
python torch_export.py
"""

from __future__ import annotations

import io
import warnings
from collections.abc import Callable
from functools import partial

import onnx
import torch
import torch_models as zoo
from common import attempt

IMAGE = (2, 3, 6, 6)
INPUTS: dict[str, tuple[Callable[[], torch.nn.Module], tuple[int, ...]]] = {
    "cnn": (zoo.Cnn, IMAGE),
    "mlp": (zoo.Mlp, (2, 5)),
    "shared": (zoo.Shared, IMAGE),
    "knees": (zoo.Knees, IMAGE),
    "spelled": (zoo.Spelled, (2, 3)),
    "gate": (zoo.Gate, (2, 3)),
    "transformer": (zoo.Transformer, (2, 5, 8)),
    "signal": (zoo.Signal, (2, 1, 64)),
    "smooth": (zoo.Smooth, (2, 3)),
    "convnext": (zoo.ConvNext, (2, 4, 6, 6)),
    "mixer": (zoo.Mixer, (2, 5, 8)),
    "norms": (zoo.Norms, IMAGE),
    "unet": (zoo.Unet, IMAGE),
    "volume": (zoo.Volume, (2, 2, 3, 3, 3)),
}
DYNAMO = {"cnn": (18, 20, 25), "smooth": (18, 20, 25), "knees": (18, 25), "spelled": (18, 25)}
SCRIPT = {
    "cnn": (9, 11, 13, 17, 20),
    "knees": (9, 11, 13, 14, 20),
    "spelled": (9, 11, 12, 17),
    "smooth": (9, 14, 20),
    "mlp": (7, 9, 20),
}


def module(name: str) -> tuple[torch.nn.Module, torch.Tensor]:
    """Build a module with fixed weights, some BN statistics, and an input."""
    torch.manual_seed(0)
    make, shape = INPUTS[name]
    net, x = make(), torch.randn(shape)
    net.train()
    net(x)
    return net.eval(), x


def by_dynamo(net, args, opset: int, **options) -> onnx.ModelProto:
    """Export with the dynamo exporter."""
    options.setdefault("dynamic_shapes", ({0: torch.export.Dim("batch")},))
    program = torch.onnx.export(
        net, args, dynamo=True, opset_version=opset, verbose=False, **options
    )
    return program.model_proto


def by_script(net, args, opset: int, **options) -> onnx.ModelProto:
    """Export with the TorchScript exporter."""
    buffer = io.BytesIO()
    options.setdefault("dynamic_axes", {"x": {0: "batch"}})
    options.setdefault("input_names", ["x"])
    torch.onnx.export(net, args, buffer, dynamo=False, opset_version=opset, **options)
    return onnx.load_from_string(buffer.getvalue())


def main() -> None:
    """Export every module with both exporters; say which ones they refuse."""
    for name in INPUTS:
        net, x = module(name)
        for opset in DYNAMO.get(name, (20,)):
            attempt(f"torch-dynamo-{opset}-{name}", partial(by_dynamo, net, (x,), opset))
        for opset in SCRIPT.get(name, (17,)):
            attempt(f"torch-script-{opset}-{name}", partial(by_script, net, (x,), opset))
    odd_ones()


def odd_ones() -> None:
    """Export modules that need arguments of their own."""
    torch.manual_seed(0)
    x = torch.randn(2, 3)
    attempt("torch-dynamo-20-thresholds", lambda: by_dynamo(zoo.Thresholds().eval(), (x,), 20))
    zero = zoo.Thresholds(0.0).eval()
    attempt("torch-script-17-thresholds", lambda: by_script(zero, (x,), 17))
    attempt("torch-script-17-threshold01", lambda: by_script(zoo.Thresholds().eval(), (x,), 17))
    attempt("torch-dynamo-20-cond", lambda: by_dynamo(zoo.Cond().eval(), (x,), 20))
    scripted = torch.jit.script(zoo.ScriptedIf().eval())
    attempt("torch-script-17-if", lambda: by_script(scripted, (x,), 17))
    loop = torch.jit.script(zoo.ScriptedLoop().eval())
    attempt(
        "torch-script-17-loop",
        lambda: by_script(loop, (torch.randn(2, 4), 2), 17, input_names=["x", "n"]),
    )
    net, image = module("cnn")
    axes = {"x": {0: "n", 2: "h", 3: "w"}}
    attempt("torch-script-17-cnn-anysize", lambda: by_script(net, (image,), 17, dynamic_axes=axes))
    every = ({0: torch.export.Dim.DYNAMIC, 2: torch.export.Dim.DYNAMIC},)
    net, image = module("knees")
    attempt(
        "torch-dynamo-20-knees-anysize", lambda: by_dynamo(net, (image,), 20, dynamic_shapes=every)
    )
    net, image = module("cnn")
    half, image = net.half(), image.half()
    attempt("torch-dynamo-20-cnn-fp16", lambda: by_dynamo(half, (image,), 20))
    attempt("torch-script-17-cnn-fp16", lambda: by_script(half, (image,), 17))
    net, image = module("cnn")
    attempt("torch-dynamo-20-cnn-static", lambda: by_dynamo(net, (image,), 20, dynamic_shapes=None))
    attempt(
        "torch-dynamo-18-cnn-raw",
        lambda: by_dynamo(net, (image,), 18, optimize=False),
    )
    net, x = module("smooth")
    attempt("torch-dynamo-18-smooth-raw", lambda: by_dynamo(net, (x,), 18, optimize=False))


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    main()
