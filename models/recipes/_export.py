"""Export of a trained network to ONNX, with batch normalisation kept as nodes."""

from __future__ import annotations

import warnings
from pathlib import Path

import onnx
import torch  # a recipe runs outside the toolkit
from torch import nn

OPSET = 17


def export_onnx(
    model: nn.Module,
    path: Path,
    properties: dict[str, str],
    name: str,
    *,
    free_size: bool = False,
    example: torch.Tensor | None = None,
) -> None:
    """Writes the model in inference mode, batch normalisation unfolded, batch size free.

    `TrainingMode.PRESERVE` is what keeps the exporter from folding batch normalisation
    into the convolutions; the nodes still use the running statistics.

    Args:
        model: the trained network; left in evaluation mode.
        path: the .onnx file to write.
        properties: metadata_props of the file.
        name: of the graph.
        free_size: whether rows and columns of the pictures are free too, for a network whose
            output has pixels.
        example: two inputs of another kind than grey images of 28 x 28 pixels, which are then
            called cepstra.
    """
    model.eval()
    called = "image" if example is None else "cepstra"
    free: dict[str, dict[int, str]] = {called: {0: "N"}, "logits": {0: "N"}}
    if free_size:
        free["image"] |= {2: "rows", 3: "columns"}
        free["logits"] |= {2: "cell_rows", 3: "cell_columns"}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # the TorchScript exporter is meant
        torch.onnx.export(
            model,
            (torch.zeros(2, 1, 28, 28) if example is None else example,),
            str(path),
            input_names=[called],
            output_names=["logits"],
            dynamic_axes=free,
            opset_version=OPSET,
            training=torch.onnx.TrainingMode.PRESERVE,
            do_constant_folding=False,
            dynamo=False,
        )
    proto = onnx.load(path)
    proto.graph.name = name
    onnx.helper.set_model_props(proto, properties)
    _unshare_initializers(proto)
    onnx.checker.check_model(proto, full_check=True)
    onnx.save(proto, path)


def _unshare_initializers(proto: onnx.ModelProto) -> None:
    """Gives every parameter its own initializer again.

    The exporter merges equal ones behind an Identity node. Some are equal for good: the
    two biases of batch normalisation that meet in one addition get the same gradients.
    """
    graph = proto.graph
    stored = {tensor.name: tensor for tensor in graph.initializer}
    for node in [n for n in graph.node if n.op_type == "Identity" and n.input[0] in stored]:
        copy = graph.initializer.add()
        copy.CopyFrom(stored[node.input[0]])
        copy.name = node.output[0]
        graph.node.remove(node)
