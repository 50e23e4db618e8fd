"""ResNet-8 for 28 x 28 grey images, and its export with batch normalisation kept as nodes."""

from __future__ import annotations

import warnings
from pathlib import Path

import onnx
import torch  # noqa: TID251  # a recipe runs outside the toolkit
from torch import Tensor, nn  # noqa: TID251

WIDTHS = (16, 32, 64)
N_CLASSES = 10
OPSET = 17


class BasicBlock(nn.Module):
    """Post-activation residual block: relu(bn(conv(relu(bn(conv(x))))) + shortcut(x)).

    The shortcut is x itself, or a 1 x 1 convolution with batch normalisation where the
    block changes width or size.
    """

    def __init__(self, n_in: int, n_out: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(n_in, n_out, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(n_out)
        self.relu1 = nn.ReLU()
        self.conv2 = nn.Conv2d(n_out, n_out, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(n_out)
        self.relu2 = nn.ReLU()
        self.shortcut: nn.Sequential | None = None
        if stride != 1 or n_in != n_out:
            self.shortcut = nn.Sequential(
                nn.Conv2d(n_in, n_out, 1, stride, bias=False), nn.BatchNorm2d(n_out)
            )

    def forward(self, x: Tensor) -> Tensor:
        """Maps `(n, n_in, h, w)` to `(n, n_out, h / stride, w / stride)`."""
        residual = self.bn2(self.conv2(self.relu1(self.bn1(self.conv1(x)))))
        skip = x if self.shortcut is None else self.shortcut(x)
        return self.relu2(residual + skip)


class ResNet8(nn.Module):
    """Stem, three basic blocks of 16, 32 and 64 channels, global average pool, dense layer.

    The image is taken on the scale [0, 1]; the batch normalisation after the stem
    convolution does what a normalisation of the input would do.
    """

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, WIDTHS[0], 3, padding=1, bias=False)
        self.bn = nn.BatchNorm2d(WIDTHS[0])
        self.relu = nn.ReLU()
        self.block1 = BasicBlock(WIDTHS[0], WIDTHS[0], stride=1)
        self.block2 = BasicBlock(WIDTHS[0], WIDTHS[1], stride=2)
        self.block3 = BasicBlock(WIDTHS[1], WIDTHS[2], stride=2)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.dense = nn.Linear(WIDTHS[2], N_CLASSES)

    def forward(self, image: Tensor) -> Tensor:
        """Maps images `(n, 1, 28, 28)` in [0, 1] to logits `(n, 10)`."""
        x = self.relu(self.bn(self.conv(image)))
        x = self.block3(self.block2(self.block1(x)))
        return self.dense(self.pool(x).flatten(1))


def export_onnx(model: ResNet8, path: Path, properties: dict[str, str]) -> None:
    """Writes the model in inference mode, batch normalisation unfolded, batch size free.

    `TrainingMode.PRESERVE` is what keeps the exporter from folding batch normalisation
    into the convolutions; the nodes still use the running statistics.

    Args:
        model: the trained network; left in evaluation mode.
        path: the .onnx file to write.
        properties: metadata_props of the file.
    """
    model.eval()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # the TorchScript exporter is meant
        torch.onnx.export(
            model,
            (torch.zeros(2, 1, 28, 28),),
            str(path),
            input_names=["image"],
            output_names=["logits"],
            dynamic_axes={"image": {0: "N"}, "logits": {0: "N"}},
            opset_version=OPSET,
            training=torch.onnx.TrainingMode.PRESERVE,
            do_constant_folding=False,
            dynamo=False,
        )
    proto = onnx.load(path)
    proto.graph.name = "fashion_resnet8"
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
