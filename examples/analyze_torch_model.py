"""Export a torch model to ONNX and count its activation patterns.

Run: python examples/analyze_torch_model.py [FOLDER]; the report goes to FOLDER/report.
"""

import sys
from io import BytesIO
from pathlib import Path
from typing import Any

import torch
from torch import nn

import reluflow


def main(folder: Path) -> None:
    """Analyse a small network on random inputs."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(8, 32), nn.ReLU(), nn.Linear(32, 16), nn.ReLU()).eval()
    inputs = torch.randn(1000, 8)

    # torch.onnx.export(model, (inputs,), dynamo=True) returns an ONNXProgram, which `analyze`
    # accepts as it is, but it needs the package onnxscript. The older exporter needs nothing else:
    file: Any = BytesIO()
    torch.onnx.export(
        model,
        (inputs,),
        file,
        input_names=["x"],
        dynamic_axes={"x": {0: "batch"}},
        dynamo=False,
    )
    report = reluflow.analyze(file.getvalue(), inputs, folder / "report")
    print(report)
    first = report[0]
    print(f"units of {first.site.name} that never fire: {first.dead_unit_indices}")

    most = reluflow.find_pattern(file.getvalue(), inputs, first.site.name, first.top[0])
    print(f"its most frequent pattern is shown by inputs {most.inputs.tolist()}")
    bits = reluflow.activation_bits(file.getvalue(), inputs, most.inputs[:2].tolist())
    print(f"bits of input {most.inputs[0]}: {bits[first.site.name][0, 0].astype(int)}")
    print(f"open {folder / 'report' / 'report.html'}")


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "."))
