"""Fold, tap and convert inside a pipeline of onnx_ir passes.

Needs the extra `ir`. Run: python examples/onnx_ir_pass.py [FOLDER]
"""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import onnx_ir as ir
from onnx_ir.passes.common import CheckerPass, RemoveUnusedNodesPass

from reluflow.graph import Model, Rewritten, find_sites, fold_batchnorm, load, tap, to_psb

MODELS = Path(__file__).parents[1] / "models"


class RewritePass(ir.passes.FunctionalPass):
    """Any rewrite of reluflow as a pass, which returns a new model and leaves its input alone."""

    def __init__(self, rewrite: Callable[[Model], Rewritten[Any]]) -> None:
        self.rewrite = rewrite

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Rewrite a model, and say what was done and what was not."""
        result = self.rewrite(load(model))
        done = getattr(result.done, "converted", result.done)
        print(f"{self.rewrite.__name__}: {len(done)} done, {len(result.refused)} refused")
        for refused in result.refused:
            print(f"  {refused.node}: {refused.reason}")
        return ir.passes.PassResult(result.model.like(model), modified=bool(done))


def tap_all(model: Model) -> Rewritten[Any]:
    """Make the pre-activation of every switch an output."""
    return tap(model, find_sites(model))


def convert(model: Model) -> Rewritten[Any]:
    """Turn the multiplications into shift-adds."""
    return to_psb(model)


def main(folder: Path) -> None:
    """Run passes of both packages in turn, and save what comes out."""
    model = ir.load(MODELS / "fashion_resnet8_bn_after_add.onnx")
    fold = ir.passes.Sequential(RemoveUnusedNodesPass(), RewritePass(fold_batchnorm), CheckerPass())
    folded = fold(model).model
    for name, rewrite in (("tapped", tap_all), ("shift_adds", convert)):
        made = ir.passes.Sequential(RewritePass(rewrite), CheckerPass())(folded).model
        ir.save(made, folder / f"{name}.onnx")
        print(f"{name}.onnx: {len(made.graph)} nodes, {len(made.graph.outputs)} outputs")


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "."))
