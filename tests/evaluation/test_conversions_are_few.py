"""A conversion copies, folds and encodes once, however its options were chosen."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

import numpy as np
import pytest

import reluflow
from reluflow.cli import main
from reluflow.data import open_data
from reluflow.evaluation import calibrate, choose_activation_bits
from reluflow.graph import Model, PsbOptions, find_psb, load, plan_psb, psb_alone, to_psb
from reluflow.graph.proto.copy import copy_proto
from reluflow.graph.proto.model import _parse
from reluflow.graph.rewrite.fold_batchnorm import fold_norms
from reluflow.graph.rewrite.opset.raise_opset import raise_opset
from reluflow.psb import encode

ROOT = Path(__file__).resolve().parents[2]
NORMS = str(ROOT / "models" / "fashion_resnet8_bn_after_add.onnx")
"""Batch normalisation before and after additions, opset 17: 10 layers and 3 folds that stay."""
WORK = (copy_proto, fold_norms, encode, to_psb, plan_psb)


@contextmanager
def counted(*functions: Callable[..., Any]) -> Iterator[Counter[str]]:
    """Count calls of Python functions in this thread, by whatever name they are called."""
    names: dict[CodeType, str] = {each.__code__: each.__qualname__ for each in functions}
    found: Counter[str] = Counter()

    def look(frame: FrameType, event: str, _: Any) -> None:
        if event == "call" and frame.f_code in names:
            found[names[frame.f_code]] += 1

    before = sys.getprofile()
    sys.setprofile(look)
    try:
        yield found
    finally:
        sys.setprofile(before)


@pytest.fixture(scope="module")
def images() -> np.ndarray:
    held = np.load(ROOT / "models" / "fashion_mnist_test_2000.npz")
    return held["image"][:8]


@pytest.fixture(scope="module")
def n_layers() -> int:
    return len(find_psb(to_psb(load(NORMS)).model))


@pytest.mark.parametrize("options", [PsbOptions(), PsbOptions(prune=0.5, input_defaults=False)])
def test_fold_prune_and_convert_share_one_copy(options: PsbOptions, n_layers: int) -> None:
    model = load(NORMS)
    with counted(*WORK) as calls:
        to_psb(model, options)
    assert calls == {"to_psb": 1, "copy_proto": 1, "fold_norms": 1, "encode": n_layers}


def test_a_plan_encodes_nothing_and_is_not_made_again(n_layers: int) -> None:
    model = load(NORMS)
    with counted(*WORK) as calls:
        plan = plan_psb(model)
    assert calls == {"plan_psb": 1, "copy_proto": 1, "fold_norms": 1}
    assert [node.name for node in plan.done.nodes] == [n.name for n in find_psb(to_psb(plan).model)]
    with counted(*WORK) as calls:
        to_psb(plan)
    assert calls == {"to_psb": 1, "copy_proto": 1, "encode": n_layers}


def test_calibrating_converts_nothing(images: np.ndarray) -> None:
    model = load(NORMS)
    with counted(*WORK) as calls:
        calibrate(model, open_data(images, model.inputs))
    assert calls == {"plan_psb": 1, "copy_proto": 2, "fold_norms": 1}  # the second shows tensors


def test_two_widths_are_tried_on_one_conversion(images: np.ndarray, n_layers: int) -> None:
    model = load(NORMS)
    with counted(*WORK) as calls:
        found = choose_activation_bits(model, open_data(images, model.inputs))
    assert (calls["plan_psb"], calls["to_psb"], calls["fold_norms"]) == (1, 1, 1)
    assert calls["encode"] == n_layers
    again = to_psb(model, found.options).model
    assert found.result.model.serialize() == again.serialize()


@pytest.mark.parametrize("width", ["12", "16", "auto"])
@pytest.mark.parametrize("check", [[], ["--no-check"]])
def test_the_command_converts_once_and_does_not_read_its_file(
    width: str, check: list[str], images: np.ndarray, n_layers: int, tmp_path: Path, capsys
) -> None:
    np.save(tmp_path / "x.npy", images)
    out = str(tmp_path / "p.onnx")
    given = ["--x-bits", width, "--calibrate", str(tmp_path / "x.npy"), "--json"]
    with counted(*WORK, Model.save, _parse) as calls:
        assert main(["psb", "convert", NORMS, "-o", out, *given, *check]) == 0
    capsys.readouterr()
    names = ("plan_psb", "to_psb", "fold_norms", "_parse", "Model.save")
    done = {name: calls[name] for name in names}
    assert done == dict.fromkeys(done, 1)
    assert calls["encode"] == n_layers
    compared = 0 if check else 2  # with wide activations, and these in floating point
    # the tensors that scales are found for and the chain, with fewer bits also those of 16; with
    # auto both widths, the tensors and chains of as many bytes as are within the loss
    tried = {"12": 4, "16": 2, "auto": 6}[width]
    assert calls["copy_proto"] == len(("plan", "expose", "to_psb")) + tried + compared
    assert find_psb(load(out))[0].x_bits == (8 if width == "auto" else int(width))
    assert find_psb(load(out))[-1].x_bits == (8 if width == "auto" else int(width))


def test_a_layer_alone_folds_nothing(n_layers: int) -> None:
    plan = plan_psb(load(NORMS))
    converted = to_psb(plan).model
    with counted(*WORK, raise_opset) as calls:
        for node in find_psb(converted):
            psb_alone(plan, converted, node.name)
    assert calls == {"copy_proto": n_layers, "encode": n_layers}


def test_an_evaluation_with_layers_alone_folds_once_for_them_all(
    images: np.ndarray, n_layers: int
) -> None:
    options = reluflow.EvaluationOptions(samples=(1,), seeds=1, threads=1)
    with counted(fold_norms) as without:
        reluflow.evaluate(NORMS, images, options=options)
    layers = reluflow.EvaluationOptions(samples=(1,), seeds=1, threads=1, sensitivity=1)
    with counted(fold_norms) as calls:
        found = reluflow.evaluate(NORMS, images, options=layers)
    assert len(found.sensitivity) == n_layers
    assert calls["fold_norms"] == without["fold_norms"] + 1
