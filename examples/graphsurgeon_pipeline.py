"""Fold, tap and convert a graph that onnx_graphsurgeon edits before and after.

Needs the extra `graphsurgeon`. Run: python examples/graphsurgeon_pipeline.py [FOLDER]
"""

import sys
from pathlib import Path

import onnx
import onnx_graphsurgeon as gs

from reluflow.graph import find_sites, fold_batchnorm, load, tap, to_psb

MODELS = Path(__file__).parents[1] / "models"


def main(folder: Path) -> None:
    """Cut the head off, rewrite what is left, name its output anew, and save."""
    graph = gs.import_onnx(onnx.load(MODELS / "fashion_resnet8_bn_after_add.onnx"))
    (pool,) = (node for node in graph.nodes if node.op == "GlobalAveragePool")
    graph.outputs = [pool.outputs[0].to_variable("float32", ("N", 64, 1, 1))]
    graph.cleanup().toposort()

    folded = fold_batchnorm(load(graph))
    print(f"folded {len(folded.done)} of batch normalisation, {len(folded.refused)} refused")
    rewrites = {
        "tapped": tap(folded.model, find_sites(folded.model)),
        "shift_adds": to_psb(folded.model),
    }
    for name, result in rewrites.items():
        made = result.model.like(graph)  # a gs.Graph again, to edit on
        made.outputs[0].name = "features"
        made.cleanup().toposort()
        onnx.save(gs.export_onnx(made), folder / f"{name}.onnx")
        print(f"{name}.onnx: {len(made.nodes)} nodes, {len(made.outputs)} outputs")


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "."))
