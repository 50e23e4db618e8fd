"""A user of the extra ir alone: rewrites between passes of onnx_ir; arguments: data, folder."""

import sys

import numpy as np
import onnx_ir as ir
from onnx_ir.passes.common import CheckerPass, RemoveUnusedNodesPass

import reluflow
from reluflow.graph import find_sites, fold_batchnorm, load, tap

data, folder = sys.argv[1:]
with np.load(data) as stored:
    images = stored["image"][:100]
model = RemoveUnusedNodesPass()(ir.load(f"{folder}/early.onnx")).model
folded = fold_batchnorm(load(model)).model.like(model)
tapped = tap(load(folded), find_sites(load(folded))).model.like(folded)
assert isinstance(tapped, ir.Model) and len(tapped.graph.outputs) > len(folded.graph.outputs)
CheckerPass()(tapped)
assert [site.patterns for site in reluflow.analyze(folded, images)]
assert isinstance(reluflow.convert(folded).model.like(folded), ir.Model)
ir.save(folded, f"{folder}/late.onnx")
