"""Derive light_sites.json: the switch sites of the nine light models, twice and independently.

This file knows nothing of reluflow. It derives each list in two ways that must agree:

1. *Reading the file.* The only comparing operator of all nine graphs is Relu: the operators are
   ConstantOfShape, Conv, Gemm, BatchNormalization, LRN, Relu, MaxPool, AveragePool,
   GlobalAveragePool, Concat, Sum, Mul, Add, Unsqueeze, Reshape, Transpose, Dropout and Softmax.
   No Relu has a constant input. So the sites are the Relu nodes, in the order of the file, and
   the pre-activation is the Relu's one input, the threshold 0.
   The units are read off the weights on the way back from the Relu: Conv gives the first
   dimension of its weight (OIHW), Gemm with transB = 1 the first of its weight; Mul and Add with
   an unsqueezed vector, BatchNormalization and Sum keep the units; Concat on axis 1 adds them.
   (The light files keep a big weight as a ConstantOfShape of a shape tensor; its dimensions are
   then the *values* of that shape tensor.)
   Every Relu input comes from a Conv-like chain (rank 4, units on axis 1) or a Gemm (rank 2,
   units on the last axis, which is axis 1 too). So unit_axis is 1 everywhere.
2. *By hand.* `BY_HAND` spells the units of every switch in the order in which the papers' tables
   list them; `WHY` is the count in words.

Run it to write the JSON anew: `python tests/conformance/derive_light_sites.py`.
"""

# ruff: noqa: RUF005
from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import onnx
from onnx import numpy_helper

TABLE = Path(__file__).with_name("light_sites.json")
KEEP_UNITS = {"BatchNormalization", "Mul", "Add", "Sum", "MaxPool", "AveragePool", "Relu"}


def _fire(squeeze: int, expand: int) -> list[int]:
    """SqueezeNet's fire module: squeeze 1x1, then expand 1x1 and expand 3x3."""
    return [squeeze, expand, expand]


def _dense_block(n_in: int, n_layers: int) -> list[int]:
    """DenseNet's BN-Relu-Conv pairs: all that came before (grows by 32), then 4 x 32."""
    return [units for layer in range(n_layers) for units in (n_in + 32 * layer, 128)]


def _bottleneck(width: int, n_blocks: int) -> list[int]:
    """ResNet v1 bottleneck: two inner Relus and one after the sum."""
    return [width, width, 4 * width] * n_blocks


def _shuffle_stage(n_in: int, n_out: int, n_units: int) -> list[int]:
    """ShuffleNet: per unit one Relu after the first group conv and one at the end.

    The first unit of a stage makes n_out - n_in channels and joins them with the pooled input.
    This file's units have no narrow waist: the channels of the shuffle (4 groups x 28, 34, 68 or
    136, as the Reshape targets say) equal what the unit makes, not a quarter of it.
    """
    return [n_out - n_in, n_out] + [n_out, n_out] * (n_units - 1)


def _inception_v2(
    one: int, three: tuple[int, int], double: tuple[int, int], pool: int
) -> list[int]:
    """BN-Inception: 1x1, 3x3 reduce and 3x3, double 3x3 reduce, a and b, pool projection.

    The stride-2 modules (3c, 4e) have neither 1x1 nor pool projection (0 here).
    """
    units = [one, *three, double[0], double[1], double[1], pool]
    return [n for n in units if n]


BY_HAND: dict[str, list[int]] = {
    "bvlc_alexnet": [96, 256, 384, 384, 256, 4096, 4096],
    "zfnet512": [96, 256, 512, 512, 512, 4096, 1024],
    "vgg19": [64] * 2 + [128] * 2 + [256] * 4 + [512] * 8 + [4096] * 2,
    "squeezenet": [64]
    + _fire(16, 64) * 2
    + _fire(32, 128) * 2
    + _fire(48, 192) * 2
    + _fire(64, 256) * 2
    + [1000],
    "resnet50": [64]
    + _bottleneck(64, 3)
    + _bottleneck(128, 4)
    + _bottleneck(256, 6)
    + _bottleneck(512, 3),
    "densenet121": [64]
    + _dense_block(64, 6)
    + [256]
    + _dense_block(128, 12)
    + [512]
    + _dense_block(256, 24)
    + [1024]
    + _dense_block(512, 16)
    + [1024],
    # conv1, conv2 reduce, conv2; per module 1x1, 3x3 reduce, 3x3, 5x5 reduce, 5x5, pool proj.
    "inception_v1": [64, 64, 192]
    + [64, 96, 128, 16, 32, 32]
    + [128, 128, 192, 32, 96, 64]
    + [192, 96, 208, 16, 48, 64]
    + [160, 112, 224, 24, 64, 64]
    + [128, 128, 256, 24, 64, 64]
    + [112, 144, 288, 32, 64, 64]
    + [256, 160, 320, 32, 128, 128]
    + [256, 160, 320, 32, 128, 128]
    + [384, 192, 384, 48, 128, 128],
    "inception_v2": [64, 64, 192]
    + _inception_v2(64, (64, 64), (64, 96), 32)
    + _inception_v2(64, (64, 96), (64, 96), 64)
    + _inception_v2(0, (128, 160), (64, 96), 0)
    + _inception_v2(224, (64, 96), (96, 128), 128)
    + _inception_v2(192, (96, 128), (96, 128), 128)
    # 4c and 4d: the module has 576 channels, so the pool projection is 576 - 480 = 96 (the
    # table of the paper prints 128 there, which does not add up).
    + _inception_v2(160, (128, 160), (128, 160), 96)
    + _inception_v2(96, (128, 192), (160, 192), 96)
    + _inception_v2(0, (128, 192), (192, 256), 0)
    + _inception_v2(352, (192, 320), (160, 224), 128)
    + _inception_v2(352, (192, 320), (192, 224), 128),
    "shufflenet": [24]
    + _shuffle_stage(24, 136, 4)
    + _shuffle_stage(136, 272, 8)
    + _shuffle_stage(272, 544, 4),
}

WHY = {
    "bvlc_alexnet": "5 conv + 2 fc (fc6, fc7; fc8 goes to the softmax) = 7",
    "zfnet512": "5 conv + 2 fc (fc6, fc7) = 7",
    "vgg19": "2 + 2 + 4 + 4 + 4 conv = 16, and 2 fc (fc6, fc7) = 18",
    "squeezenet": "conv1 + 8 fire x (squeeze, expand 1x1, expand 3x3) + conv10 = 1 + 24 + 1 = 26",
    "resnet50": "conv1 + (3 + 4 + 6 + 3) bottlenecks x 3 (two inner, one after the sum) = 49",
    "densenet121": "conv1 + 2 x (6 + 12 + 24 + 16) + 3 transitions + the last BN = 1+116+3+1 = 121",
    "inception_v1": "conv1, conv2 reduce, conv2 + 9 modules x 6 = 3 + 54 = 57",
    "inception_v2": "3 + 8 modules x 7 + 2 stride-2 modules (3c, 4e) x 5 = 3 + 56 + 10 = 69",
    "shufflenet": "conv1 + (4 + 8 + 4) units x 2 = 1 + 32 = 33",
}


def read_sites(path: Path) -> list[dict[str, Any]]:
    """List the sites of one light file by reading it."""
    graph = onnx.load(str(path)).graph
    dims = {tensor.name: list(tensor.dims) for tensor in graph.initializer}
    values = {tensor.name: tensor for tensor in graph.initializer}
    made_by = {}
    for node in graph.node:
        if node.op_type == "ConstantOfShape":
            shape = numpy_helper.to_array(values[node.input[0]])
            dims[node.output[0]] = [int(dim) for dim in shape]
        for name in node.output:
            made_by[name] = node
    return [
        {
            "op": "Relu",
            "node": node.name,
            "output": node.output[0],
            "tensor": node.input[0],
            "threshold": 0.0,
            "unit_axis": 1,
            "rank": 2 if made_by[node.input[0]].op_type == "Gemm" else 4,
            "units": _units(node.input[0], made_by, dims),
        }
        for node in graph.node
        if node.op_type == "Relu"
    ]


def _units(tensor: str, made_by: dict[str, onnx.NodeProto], dims: dict[str, list[int]]) -> int:
    """Walk back from a tensor to the weight that says how many units it has."""
    node = made_by[tensor]
    if node.op_type in ("Conv", "Gemm"):
        return dims[node.input[1]][0]
    if node.op_type == "Concat":
        return sum(_units(name, made_by, dims) for name in node.input)
    if node.op_type in KEEP_UNITS:
        return _units(node.input[0], made_by, dims)
    raise SystemExit(f"no rule for {node.op_type} before {tensor}: read the graph again")


def derive() -> dict[str, dict[str, Any]]:
    """Derive the whole table and insist that reading and hand agree."""
    folder = Path(onnx.__file__).parent / "backend" / "test" / "data" / "light"
    table: dict[str, dict[str, Any]] = {}
    for path in sorted(folder.glob("light_*.onnx")):
        name = path.stem.removeprefix("light_")
        sites = read_sites(path)
        read = [site["units"] for site in sites]
        if read != BY_HAND[name]:
            raise SystemExit(f"{name}: read {read}, by hand {BY_HAND[name]}")
        table[name] = {"why": WHY[name], "count": len(sites), "sites": sites}
    if set(table) != set(BY_HAND):
        raise SystemExit(f"expected {sorted(BY_HAND)}, the package ships {sorted(table)}")
    return table


def to_json(table: dict[str, dict[str, Any]]) -> str:
    """One line per site, so that a difference shows as a line."""
    blocks = []
    for name, entry in table.items():
        rows = ",\n".join("      " + json.dumps(site) for site in entry["sites"])
        head = f'    "why": {json.dumps(entry["why"])},\n    "count": {entry["count"]},\n'
        blocks.append(f'  {json.dumps(name)}: {{\n{head}    "sites": [\n{rows}\n    ]\n  }}')
    return "{\n" + ",\n".join(blocks) + "\n}\n"


if __name__ == "__main__":
    TABLE.write_text(to_json(derive()), encoding="utf-8")
    print(f"wrote {TABLE}")
