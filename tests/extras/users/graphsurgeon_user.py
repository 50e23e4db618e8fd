"""A user of the extra graphsurgeon alone: rewrites between edits; arguments: data, folder."""

import sys

import numpy as np
import onnx
import onnx_graphsurgeon as gs

import reluflow
from reluflow.graph import find_sites, fold_batchnorm, load, tap

data, folder = sys.argv[1:]
with np.load(data) as stored:
    images = stored["image"][:100]
graph = gs.import_onnx(onnx.load(f"{folder}/early.onnx")).cleanup().toposort()
folded = fold_batchnorm(load(graph)).model.like(graph)
tapped = tap(load(folded), find_sites(load(folded))).model.like(folded)
assert isinstance(tapped, gs.Graph) and len(tapped.outputs) > len(folded.outputs)
assert [site.patterns for site in reluflow.analyze(folded, images)]
assert isinstance(reluflow.convert(folded).model.like(folded), gs.Graph)
onnx.save(gs.export_onnx(folded), f"{folder}/late.onnx")
